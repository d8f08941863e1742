"""The whole funnel on held-out users: each stage's order, what each channel is worth, and who found what where."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_prep.columns import Columns
from data_prep.files import read_json
from data_prep.progress import track
from towers.candidates.candidate_pool import Pools, stretched
from towers.candidates.channel_selection import Gain, Variant, load_variants
from towers.candidates.funnel import FUNNEL, TOWERS_ALONE, Funnel
from towers.candidates.labelled_pools import LabelledPools
from towers.candidates.pool_builder import labelled_pools
from towers.candidates.stage import DIVERSIFIED, FUSED, NOT_FOUND, RANKED, RECALL, RERANKED, Stage
from towers.diversity import Diversity, DiversityConfig, mean_distance, unit
from towers.evaluation.funnel_diversity import Looks, diversified_ranks, looked_at
from towers.evaluation.tables import compare, summarize
from towers.metrics.config import EvaluationConfig
from towers.metrics.evaluation import Cases
from towers.model.run_record import RUN
from towers.model.scorer import VectorScorer
from towers.ranking.cross_encoder import CrossEncoder


def stages(
    funnel: Funnel, whole: LabelledPools, names: Sequence[str], reading: "CrossEncoderReading | None"
) -> list[Stage]:
    """What each stage of the funnel makes of the pools; a server answers the last one that is published.

    Args:
        funnel: as it is served.
        whole: users with the pools of all channels that were fitted.
        names: of those channels, the towers first.
        reading: the cross-encoder and what it reads, where there is one.
    """
    alone = whole.only([0])
    found = [Stage.by(RECALL, alone, TOWERS_ALONE.scores(alone.pools))]
    some = whole.only([names.index(name) for name in funnel.names])
    fused = Stage.by(FUSED, some, funnel.fusion.scores(some.pools))
    if funnel.channels:
        found.append(fused)
    if reading is not None:
        found.append(Stage(RERANKED, some, *reading.read(some.pools, fused)))
    if funnel.ranker is not None:
        head = some.kept(fused.ranks <= funnel.candidates)
        found.append(Stage.by(RANKED, head, funnel.ranker.scores(head.pools)))
    return found


@dataclass(frozen=True)
class CrossEncoderReading:
    """A cross-encoder at work on users of whom all is known.

    Attributes:
        model: the cross-encoder.
        contexts: what it reads of each user, [U].
        texts: and of each item, [N].
        depth: how many candidates it reads, the first of the fused order; the rest follow as they are.
        better: whether its training found it better than recall, as `index.build` wants it.
    """

    model: CrossEncoder
    contexts: Sequence[str]
    texts: Sequence[str]
    depth: int
    better: bool

    @classmethod
    def of(cls, folder: Path, items: pd.DataFrame, cases: Cases, depth: int) -> "CrossEncoderReading":
        """The cross-encoder of a folder, for these users."""
        model = CrossEncoder.load(folder)
        input_template, titles, contexts = model.input_template, items[Columns.TITLE].astype(str).tolist(), []
        for case in range(len(cases)):
            read = cases.history(case).last(input_template.context_items)
            contexts.append(input_template.context([titles[row] for row in read.rows], read.events, ""))
        better = bool(read_json(folder / RUN)["result"]["better"])
        return cls(model, contexts, input_template.items(items), depth, better)

    def read(self, pools: Pools, fused: Stage) -> tuple[NDArray[np.floating], NDArray[np.int64]]:
        """Scores of what is read of all candidates in the order of a stage, [T], and their ranks then, [T]."""
        if not self.model.reads:
            return fused.scores, fused.ranks
        found, ranks = np.full(len(fused.ranks), np.nan, np.float32), fused.ranks.copy()
        for user in track(range(len(pools)), "reading candidates"):
            own = np.arange(pools.offsets[user], pools.offsets[user + 1])
            first = own[fused.ranks[own] <= self.depth]
            texts = [self.texts[row] for row in pools.rows[first]]
            weighed = stretched(fused.scores[first].astype(np.float32), pools.scores[first, 0])
            scores = self.model.score(self.contexts[user], texts, weighed)
            found[first] = scores
            ranks[first[np.lexsort((fused.ranks[first], -scores))]] = np.arange(1, len(first) + 1)
        return found, ranks


def evaluate_funnel(
    run: Path,
    towers: VectorScorer,
    items: pd.DataFrame,
    cases: Cases,
    counts: NDArray[np.int64],
    texts: NDArray[np.float32] | None,
    settings: EvaluationConfig,
    diversity: DiversityConfig,
    seed: int,
) -> tuple[dict[str, Any], pd.DataFrame]:
    """The funnel of a run on held-out users.

    Args:
        run: its folder, with a funnel.
        towers: the model's one vector.
        items: the catalogue.
        cases: the users.
        counts: training events of each item, [N].
        texts: as of `summarize`.
        settings: intervals and the like.
        diversity: how the last stage's lists are made diverse.
        seed: of the bootstrap.

    Returns:
        For `metrics.json`: `stages`, as `summarize` has them, and in `beyond` the `item_distance` within lists, by item
        vectors; `against` recall, as `compare` has it; `served`, the stage that a server answers by unless it is to be
        diverse; `diversified`, how the last stage is made of that one, and how far it lies `against` it; `ablation`,
        what each fusion of some of the channels is worth beside recall; `missed`, the share of relevant items that no
        channel in use found. And a row for each user, see `rows_of_cases`.
    """
    bootstrap, k = (settings.bootstrap_samples, settings.confidence, seed), min(cases.cutoffs)
    funnel = Funnel.load(run / FUNNEL)
    everything, variants = load_variants(run / FUNNEL)
    whole, names = labelled_pools(everything, towers, cases), everything.names
    folder = run / "cross_encoder"
    reading = CrossEncoderReading.of(folder, items, cases, looked_at(k)) if folder.is_dir() else None
    found = stages(funnel, whole, names, reading)
    answering = [stage for stage in found if stage.name != RERANKED or (reading is not None and reading.better)]
    served, looks, how = answering[-1], Looks.of(items, towers.items.numpy()), diversity.standard()
    found.append(diversified(served, k, how, looks))
    outcomes = {stage.name: stage.outcome(cases) for stage in found}
    metrics = {name: outcome.metrics for name, outcome in outcomes.items()}
    summaries = {name: summarize(outcome, cases, counts, texts, *bootstrap) for name, outcome in outcomes.items()}
    directions = unit(looks.vectors)
    for name, outcome in outcomes.items():
        summaries[name]["beyond"]["item_distance"] = mean_distance(outcome.top, directions)
    report = {
        "users": len(cases),
        "channels": funnel.names,
        "stages": summaries,
        "against": compare(metrics, [RECALL], cases.cutoffs, *bootstrap),
        "served": served.name,
        "diversified": {
            "how": asdict(how),
            "against": compare(
                {name: metrics[name] for name in (served.name, DIVERSIFIED)}, [served.name], cases.cutoffs, *bootstrap
            ),
        },
        "missed": {stage.name: stage.labelled.missed_share for stage in found},
        "ablation": _ablation(whole, names, variants, found[0], bootstrap),
    }
    return report, rows_of_cases(found, served, funnel.names, cases)


def _ablation(
    whole: LabelledPools,
    names: Sequence[str],
    variants: Sequence[Variant],
    recall: Stage,
    bootstrap: tuple[int, float, int],
) -> dict[str, Any]:
    """What each fusion of some of the channels is worth beside recall alone, and what it misses."""
    alone = recall.labelled.ndcg(recall.scores)
    found = {}
    for variant in variants:
        some = whole.only([0, *(names.index(name) for name in variant.channels)])
        gain = Gain.of(alone, some.ndcg(variant.fusion.scores(some.pools)), *bootstrap)
        found[variant.name] = asdict(gain) | {"missed": some.missed_share}
    return found


def diversified(stage: Stage, k: int, how: Diversity, looks: Looks) -> Stage:
    """A stage's order once the first k of each user are chosen to be unlike each other; the others follow."""
    pools = stage.labelled.pools
    ranks = diversified_ranks(pools, stage.scores, stage.ranks, k, how, looks)
    return Stage(DIVERSIFIED, stage.labelled, stage.scores, ranks)


def rows_of_cases(found: Sequence[Stage], served: Stage, names: Sequence[str], cases: Cases) -> pd.DataFrame:
    """A row for each user, for people who ask why.

    `user_id`, `history` (its length), `relevant` (item ids), `missed` (how many of them no stage offers); for each stage
    `<stage>_ranks`, the places of the relevant items, in the order of `relevant` and "-" for none; `stage`, the one that a
    server answers by unless it is to be diverse, and of that `top`, its first item ids, and `channels`, which offered
    each: `towers+bm25`.
    """
    ids = np.asarray(cases.item_ids, dtype=object)
    top = served.top(min(cases.cutoffs))
    columns: dict[str, list[Any]] = {
        "user_id": [str(cases.sequences.user_ids[user]) for user in cases.users],
        "history": (cases.ends - cases.sequences.offsets[cases.users]).tolist(),
        "relevant": [" ".join(ids[rows]) for rows in cases.truth],
        "missed": served.labelled.missed.tolist(),
    }
    for stage in found:
        columns[f"{stage.name}_ranks"] = _places(stage, cases.truth)
    columns["stage"] = [served.name] * len(cases)
    columns["top"] = [" ".join(ids[rows[rows >= 0]]) for rows in top]
    columns["channels"] = [
        _offering(served.labelled.pools, names, user, rows[rows >= 0]) for user, rows in enumerate(top)
    ]
    return pd.DataFrame(columns)


def _places(stage: Stage, relevant: Sequence[NDArray[np.int64]]) -> list[str]:
    """For each user the ranks of the relevant items, "-" for what is not among the candidates."""
    lengths = [len(rows) for rows in relevant]
    ranks = stage.ranks_of(np.repeat(np.arange(len(relevant)), lengths), np.concatenate(relevant))
    told = np.where(ranks == NOT_FOUND, "-", ranks.astype(str))
    return [" ".join(own) for own in np.split(told, np.cumsum(lengths)[:-1])]


def _offering(pools: Pools, names: Sequence[str], user: int, rows: NDArray[np.int64]) -> str:
    start = int(pools.offsets[user])
    places = pools.places[start + np.searchsorted(pools.rows[start : pools.offsets[user + 1]], rows)]  # [k, C]
    return " ".join("+".join(name for name, place in zip(names, own, strict=True) if place) for own in places)
