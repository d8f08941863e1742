"""The funnel of those who ask by a query: what it learns, and how it answers."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from data_prep.command import instantiate
from data_prep.files import new_directory, read_json, write_json
from towers.candidates.candidate_pool import stretched
from towers.candidates.channel_selection import Gain, Halves
from towers.candidates.config import DERIVED, JUDGED, FunnelConfig
from towers.candidates.funnel import QUERY_FUNNEL, Funnel
from towers.candidates.pool_builder import labelled_pools, pools_of
from towers.candidates.query_examples import query_material
from towers.candidates.stage import Stage
from towers.candidates.trained_run import TrainedRun, whole_funnel
from towers.events.history import History
from towers.metrics.evaluation import Cases
from towers.model.run_record import RUN, check_towers
from towers.model.scorer import Recall, VectorScorer

LEARNT = "judged_queries"
"""In `run.json` of the funnel: the judged queries that it learnt from."""


@dataclass(frozen=True)
class QueryFunnelResult:
    """What training the funnel of those who ask came to.

    Attributes:
        folder: where it was written.
        source: where its queries come from: judged, logged or derived.
        queries: how many there were.
        kept: channels that were worth having.
        left_out: channels that do not apply, name -> reason.
        fused: the fused order beside the towers' own, on the half of the queries that chose nothing; None where no
            channel was worth having.
        missed: share of the relevant items that are in no query's pool.
    """

    folder: Path
    source: str
    queries: int
    kept: list[str]
    left_out: dict[str, str]
    fused: Gain | None
    missed: float


def train_query_funnel(config: FunnelConfig, shop: TrainedRun, served: TrainedRun) -> QueryFunnelResult:
    """Fit channels to the items, and a fusion to queries; write the funnel into the run, whole or not at all.

    Args:
        config: the command's.
        shop: with a run that has not seen the validation split.
        served: with the run itself; another one where it was refit.

    Raises:
        GateFailed: there are too few queries.
    """
    material = query_material(shop, config.queries, config.seed)
    whole, left_out = whole_funnel(config, config.queries.channels, shop)
    labelled = labelled_pools(whole, shop.towers, material.cases)
    bootstrap = (config.bootstrap_samples, config.confidence, config.seed)
    fusion = instantiate(config.queries.derived_fusion if material.source == DERIVED else config.queries.fusion)
    refit = served is not shop
    halves = Halves.drawn(labelled, whole.names, fusion, config.certainty, bootstrap, by_item=refit)
    columns, order, gain = halves.choose()
    kept = [whole.names[channel] for channel in columns[1:]]
    if refit:
        whole, _ = whole_funnel(config, config.queries.channels, served)
    funnel = replace(whole, fusion=order).of_channels(kept, whole)
    missed = labelled.only(columns).missed_share
    folder = config.run / QUERY_FUNNEL
    result = QueryFunnelResult(folder, material.source, len(material.cases), kept, left_out, gain, missed)
    described = {
        "towers_fingerprint": served.model.fingerprint,
        "config": asdict(config),
        "result": asdict(result),
        LEARNT: list(material.cases.queries) if material.source == JUDGED else [],
    }
    with new_directory(folder) as written:
        funnel.save(written)
        write_json(written / RUN, json.loads(json.dumps(described, default=str)))
    return result


@dataclass(frozen=True)
class QueryFunnel:
    """A run's funnel of those who ask, beside its towers.

    Attributes:
        funnel: the channels and their order.
        towers: the model's one vector.
        source: where the queries that it was made with come from.
        learnt: the judged queries among them.
    """

    funnel: Funnel
    towers: VectorScorer
    source: str
    learnt: frozenset[str]

    @classmethod
    def of(cls, run: Path, fingerprint: str, towers: VectorScorer) -> Self | None:
        """A run's funnel; None where it has none.

        Args:
            run: its folder.
            fingerprint: of the run's towers.
            towers: the model's one vector.

        Raises:
            UsageError: the funnel was trained for other towers.
        """
        folder = run / QUERY_FUNNEL
        if not folder.is_dir():
            return None
        told: Mapping[str, Any] = read_json(folder / RUN)
        check_towers(folder, told["towers_fingerprint"], fingerprint, f"python -m towers.train_funnel run={run} again")
        return cls(Funnel.load(folder), towers, told["result"]["source"], frozenset(told[LEARNT]))

    @property
    def name(self) -> str:
        """The row's name in tables."""
        return f"served: {' + '.join(self.funnel.names)}"

    def recall(self, depth: int) -> Recall:
        """What a reranker is given when a stranger asks: the first `depth` in the fused order, in the towers' unit.

        The other items have the towers' own scores, none above those.
        """

        def fused(histories: Sequence[History], queries: Sequence[str]) -> Tensor:
            scores = self.towers.score(histories, queries)  # [B, N]
            pools = pools_of(self.funnel, histories, queries, scores, [np.zeros(0, np.int64)] * len(histories))
            for own, pool in zip(scores, pools, strict=True):
                said = self.funnel.fusion.scores(pool)
                first = pool.order(said)[:depth]
                rows = torch.from_numpy(pool.rows[first])
                moved = torch.from_numpy(stretched(said[first].astype(np.float32), own[rows].numpy()))
                own.clamp_(max=np.nextafter(moved[-1].item(), -np.inf, dtype=np.float32).item())
                own[rows] = moved
            return scores

        return fused

    def stage(self, cases: Cases) -> Stage:
        """What a server answers to some cases, as far as its index recalls what exact search does."""
        labelled = labelled_pools(self.funnel, self.towers, cases)
        return Stage.by(self.name, labelled, self.funnel.fusion.scores(labelled.pools))
