"""What a bundle has for those of whom nothing is known."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_prep.columns import Columns
from data_prep.command import instantiate
from index.build.config import BuildConfig
from index.build.inputs import Inputs
from index.search.exact import exact_scores
from towers import History, OneVectorModel
from towers.baselines import Baseline
from towers.candidates import TOWERS, Fallback, FallbackChoice, choose_fallback
from towers.events.history import Sequences
from towers.events.reading import read_sequences_of
from towers.metrics.cases import Cases
from towers.metrics.ranking_metrics import CUTOFF
from towers.metrics.users_without_history import stranger_scores
from towers.model.run_record import RunRecord


def decide(
    config: BuildConfig,
    inputs: Inputs,
    model: OneVectorModel,
    items: pd.DataFrame,
    vectors: NDArray[np.float32],
    sequences: Sequences,
    places: NDArray[np.int64],
) -> tuple[FallbackChoice, Fallback | None]:
    """Decide on users of the first split that the towers have not seen, and count the list anew on all there is.

    Args:
        config: the command's.
        inputs: run and data.
        model: of the run.
        items: the bundle's item table.
        vectors: of those items, [N, D].
        sequences: the whole log, over those items.
        places: row of each item of the dataset among them; -1 where it has none.

    Returns:
        What was decided, and the list; None for the towers' own answer.
    """
    run = RunRecord.read(inputs.run)
    until, settings = run.until, run.settings.evaluation
    log = read_sequences_of(inputs.dataset, run.settings.log).over(places)
    item_ids = [str(item_id) for item_id in items[Columns.ITEM_ID]]
    cases = Cases.held_out(log, item_ids, until, model.exclude_seen, [CUTOFF])
    (stranger,) = model.user_encoder(items, vectors).encode([History.empty()], [""])  # [D] or [interests, D]
    towers = exact_scores(vectors, stranger)
    bootstrap = settings.bootstrap(config.seed)
    choice = choose_fallback(towers, config.fallbacks, model.towers.seen(log, items, until), cases, bootstrap)
    if choice.name == TOWERS:
        return choice, None
    chosen: Baseline = instantiate(config.fallbacks[choice.name])
    scores = stranger_scores(chosen.fit(model.towers.seen(sequences, items, until=None)))
    return choice, Fallback.of(choice.name, scores)
