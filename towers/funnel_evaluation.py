"""The whole funnel on held-out users: each stage's order, what each channel is worth, and who found what where."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from data_prep.columns import Columns
from data_prep.progress import track
from towers.config import EvaluationConfig
from towers.cross_encoder import CrossEncoder
from towers.evaluation import Cases, Outcome
from towers.funnel import FUNNEL, TOWERS_ALONE, Funnel
from towers.funnel_choice import Gain, load_variants
from towers.funnel_material import labelled_pools
from towers.labelled import Labelled
from towers.metrics import per_user
from towers.pools import Pools, stretched
from towers.report import compare, summarize
from towers.scoring import VectorScorer

RECALL, FUSED, RERANKED, BLENDED = "recall", "fused", "reranked", "blended"
NOT_FOUND = 1_000_000
"""The rank of a wanted item that no stage offers."""

READ = 50
"""Candidates that the cross-encoder reads, the first of the fused order; the rest follow as they are."""


@dataclass(frozen=True)
class Stage:
    """An order of users' candidates.

    Attributes:
        name: the row's in tables.
        labelled: the candidates.
        ranks: place of each, from 1, [T].
    """

    name: str
    labelled: Labelled
    ranks: NDArray[np.int64]

    def outcome(self, cases: Cases) -> Outcome:
        """What the order is worth, as of a scorer that ranks the whole catalogue; what is missed is not found."""
        users = np.repeat(np.arange(len(cases)), [len(rows) for rows in cases.truth])
        ranks = self.ranks_of(users, np.concatenate(cases.truth))
        metrics = per_user(torch.from_numpy(ranks), torch.from_numpy(users), len(cases), cases.cutoffs)
        top = self.top(min(cases.cutoffs))
        return Outcome(self.name, torch.stack(list(metrics.values()), dim=1).numpy(), ranks, top)

    def ranks_of(self, users: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Ranks of some items of some users, [n] both -> [n]; `NOT_FOUND` for what is not among the candidates."""
        pools = self.labelled.pools
        number = 1 + max(pools.rows.max(initial=0), rows.max(initial=0))
        keys, asked = pools.users * number + pools.rows, users * number + rows  # keys ascend
        at = np.minimum(np.searchsorted(keys, asked), len(keys) - 1)
        return np.where(keys[at] == asked, self.ranks[at], NOT_FOUND)

    def top(self, k: int) -> NDArray[np.int64]:
        """The first k items of each user, [U, k]; -1 where there are fewer."""
        pools, first = self.labelled.pools, self.ranks <= k
        top = np.full((len(pools), k), -1, np.int64)
        top[pools.users[first], self.ranks[first] - 1] = pools.rows[first]
        return top


def stages(funnel: Funnel, whole: Labelled, names: Sequence[str], reading: "Reading | None") -> list[Stage]:
    """What each stage of the funnel makes of the pools.

    Args:
        funnel: as it is served.
        whole: users with the pools of all channels that were fitted.
        names: of those channels, the towers first.
        reading: the cross-encoder and what it reads, where there is one.
    """
    alone = whole.only([0])
    found = [Stage(RECALL, alone, alone.pools.ranks(TOWERS_ALONE.scores(alone.pools)))]
    some = whole.only([names.index(name) for name in funnel.names])
    scores = funnel.fusion.scores(some.pools)
    fused = some.pools.ranks(scores)
    if funnel.channels:
        found.append(Stage(FUSED, some, fused))
    if reading is not None:
        found.append(Stage(RERANKED, some, reading.ranks(some.pools, scores)))
    if funnel.blender is not None:
        head = some.kept(fused <= funnel.candidates)
        found.append(Stage(BLENDED, head, head.pools.ranks(funnel.blender.scores(head.pools))))
    return found


@dataclass(frozen=True)
class Reading:
    """A cross-encoder at work on users of whom all is known.

    Attributes:
        model: the cross-encoder.
        contexts: what it reads of each user, [U].
        texts: and of each item, [N].
    """

    model: CrossEncoder
    contexts: Sequence[str]
    texts: Sequence[str]

    @classmethod
    def of(cls, folder: Path, items: pd.DataFrame, cases: Cases) -> "Reading":
        """The cross-encoder of a folder, for these users."""
        model = CrossEncoder.load(folder)
        rendering, titles, contexts = model.rendering, items[Columns.TITLE].astype(str).tolist(), []
        for case in range(len(cases)):
            read = cases.history(case).last(rendering.context_items)
            contexts.append(rendering.context([titles[row] for row in read.rows], read.events, ""))
        return cls(model, contexts, rendering.items(items))

    def ranks(self, pools: Pools, fused: NDArray[np.float64]) -> NDArray[np.int64]:
        """Ranks of all candidates, [T], after the first `READ` by some scores, [T], are read."""
        before = pools.ranks(fused)
        ranks = before.copy()
        for user in track(range(len(pools)), "reading candidates"):
            own = np.arange(pools.offsets[user], pools.offsets[user + 1])
            first = own[before[own] <= READ]
            texts = [self.texts[row] for row in pools.rows[first]]
            weighed = stretched(fused[first].astype(np.float32), pools.scores[first, 0])
            scores = self.model.score(self.contexts[user], texts, weighed)
            ranks[first[np.lexsort((before[first], -scores))]] = np.arange(1, len(first) + 1)
        return ranks


def evaluate_funnel(
    run: Path,
    towers: VectorScorer,
    items: pd.DataFrame,
    cases: Cases,
    counts: NDArray[np.int64],
    texts: NDArray[np.float32] | None,
    settings: EvaluationConfig,
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
        seed: of the bootstrap.

    Returns:
        For `metrics.json`: `stages`, as `summarize` has them; `against` recall, as `compare` has it; `ablation`, what
        each fusion of some of the channels is worth beside recall; `missed`, the share of wanted items that no channel
        in use found. And a row for each user, see `rows_of_cases`.
    """
    bootstrap = (settings.bootstrap_samples, settings.confidence, seed)
    funnel = Funnel.load(run / FUNNEL)
    everything, variants = load_variants(run / FUNNEL)
    whole, names = labelled_pools(everything, towers, cases), everything.names
    reading = Reading.of(run / "reranker", items, cases) if (run / "reranker").is_dir() else None
    found = stages(funnel, whole, names, reading)
    outcomes = {stage.name: stage.outcome(cases) for stage in found}
    alone = found[0].labelled.ndcg(-found[0].ranks.astype(np.float64))
    ablation = {}
    for variant in variants:
        some = whole.only([0, *(names.index(name) for name in variant.channels)])
        gain = Gain.of(alone, some.ndcg(variant.fusion.scores(some.pools)), *bootstrap)
        ablation[variant.name] = asdict(gain) | {"missed": some.missed_share}
    metrics = {name: outcome.metrics for name, outcome in outcomes.items()}
    report = {
        "users": len(cases),
        "channels": funnel.names,
        "stages": {name: summarize(outcome, cases, counts, texts, *bootstrap) for name, outcome in outcomes.items()},
        "against": compare(metrics, [RECALL], cases.cutoffs, *bootstrap),
        "missed": {stage.name: stage.labelled.missed_share for stage in found},
        "ablation": ablation,
    }
    return report, rows_of_cases(found, funnel.names, cases)


def rows_of_cases(found: Sequence[Stage], names: Sequence[str], cases: Cases) -> pd.DataFrame:
    """A row for each user, for people who ask why.

    `user_id`, `history` (its length), `wanted` (item ids), `missed` (how many of them no stage offers); for each stage
    `<stage>_ranks`, the places of the wanted items, in the order of `wanted` and "-" for none; of the last stage
    `top` (its first item ids) and `channels`, which offered each: `towers+bm25`.
    """
    last, ids = found[-1], np.asarray(cases.item_ids, dtype=object)
    top = last.top(min(cases.cutoffs))
    columns: dict[str, list[Any]] = {
        "user_id": [str(cases.sequences.user_ids[user]) for user in cases.users],
        "history": (cases.ends - cases.sequences.offsets[cases.users]).tolist(),
        "wanted": [" ".join(ids[rows]) for rows in cases.truth],
        "missed": last.labelled.missed.tolist(),
    }
    for stage in found:
        columns[f"{stage.name}_ranks"] = _places(stage, cases.truth)
    columns["top"] = [" ".join(ids[rows[rows >= 0]]) for rows in top]
    columns["channels"] = [
        _offering(last.labelled.pools, names, user, rows[rows >= 0]) for user, rows in enumerate(top)
    ]
    return pd.DataFrame(columns)


def _places(stage: Stage, wanted: Sequence[NDArray[np.int64]]) -> list[str]:
    """For each user the ranks of the wanted items, "-" for what is not among the candidates."""
    lengths = [len(rows) for rows in wanted]
    ranks = stage.ranks_of(np.repeat(np.arange(len(wanted)), lengths), np.concatenate(wanted))
    told = np.where(ranks == NOT_FOUND, "-", ranks.astype(str))
    return [" ".join(own) for own in np.split(told, np.cumsum(lengths)[:-1])]


def _offering(pools: Pools, names: Sequence[str], user: int, rows: NDArray[np.int64]) -> str:
    start = int(pools.offsets[user])
    places = pools.places[start + np.searchsorted(pools.rows[start : pools.offsets[user + 1]], rows)]  # [k, C]
    return " ".join("+".join(name for name, place in zip(names, own, strict=True) if place) for own in places)
