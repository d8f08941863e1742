"""The list that answers users without history, or the towers' own answer where that is as good."""

import numpy as np
from numpy.typing import NDArray

from data_prep.columns import Columns
from data_prep.command import instantiate
from index.build.catalogue import Catalogue
from index.build.config import BuildConfig
from index.bundle.parts import UserEncoding
from index.search.exact import exact_scores
from towers import History, OneVectorModel
from towers.baselines import Baseline
from towers.candidates import TOWERS, Fallback, FallbackChoice, choose_fallback
from towers.metrics import CUTOFF, Cases, scores_without_history
from towers.model import RunRecord


def decide(
    config: BuildConfig,
    run: RunRecord,
    model: OneVectorModel,
    catalogue: Catalogue,
    vectors: NDArray[np.float32],
    users: UserEncoding,
) -> tuple[FallbackChoice, Fallback | None]:
    """Decide on users of the first split that the towers have not seen, and count the list anew on the whole log.

    Args:
        config: the command's.
        run: its record.
        model: of the run.
        catalogue: the items and the log over them.
        vectors: of those items, [N, D].
        users: encodes users over those items.

    Returns:
        The decision, and the list; None for the towers' own answer.
    """
    items, sequences = catalogue.items, catalogue.sequences
    until = run.until
    item_ids = [str(item_id) for item_id in items[Columns.ITEM_ID]]
    cases = Cases.held_out(sequences, item_ids, until, model.exclude_seen, [CUTOFF])
    (vector,) = users.encode([History.empty()], [""])  # [D] or [interests, D]
    bootstrap = run.settings.evaluation.bootstrap(config.seed)
    training = model.towers.seen(sequences, items, until)
    choice = choose_fallback(exact_scores(vectors, vector), config.fallbacks, training, cases, bootstrap)
    if choice.name == TOWERS:
        return choice, None
    chosen: Baseline = instantiate(config.fallbacks[choice.name])
    scores = scores_without_history(chosen.fit(model.towers.seen(sequences, items, until=None)))
    return choice, Fallback.of(choice.name, scores)
