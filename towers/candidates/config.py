"""Typed configuration of the funnel's training; the values live in conf/funnel.yaml."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_prep.config import require
from data_prep.errors import UsageError

JUDGED, LOGGED, DERIVED = "judged", "logged", "derived"
"""Where queries to learn from come from: see `towers.candidates.query_examples`."""


@dataclass
class QueryFunnelConfig:
    """The funnel of those who ask by a query.

    Attributes:
        sources: where queries are taken from, the most to be trusted first; the first that has `least` is used.
        channels: recall channels beside the towers, by name; conf/channels.
        fusion: what orders the pool, learnt from judged or logged queries; conf/fusion.
        derived_fusion: the same where there are derived ones alone. They are words of the items: what learns from them
            trusts a match of words more than queries of people bear out.
        most: queries that are learnt from, at most.
        least: queries that a source must have.
        ways: how derived queries are made, as `queries.ways` in the towers' training.
        typos: share of them that are misspelt.
    """

    sources: list[str]
    channels: dict[str, Any]
    fusion: dict[str, Any]
    derived_fusion: dict[str, Any]
    most: int
    least: int
    ways: dict[str, float]
    typos: float

    def __post_init__(self) -> None:
        if not self.sources or (unknown := set(self.sources) - {JUDGED, LOGGED, DERIVED}):
            named = ", ".join(sorted(unknown)) if self.sources else "none is named"
            raise UsageError(f"queries.sources: {named}: there is {JUDGED}, {LOGGED}, {DERIVED}")
        require("queries.least", self.least, 4)
        require("queries.most", self.most, self.least)
        require("queries.typos", self.typos, 0, 1)


@dataclass
class FunnelConfig:
    """`python -m towers.train_funnel`.

    Attributes:
        run: folder of a finished training run; the funnel is written into it.
        data: the dataset it was trained on; null finds it.
        artifacts: root of everything written.
        seed: decides everything that is random.
        threads: intra-op threads of torch.
        users: of the validation split that are learnt from, at most; 0 leaves their funnel out.
        folds: parts of them; a ranker is judged on each by one that learnt from the others.
        depth: items taken from the towers.
        channel_depth: items taken from each other channel.
        candidates: of the fused order that the ranker orders anew.
        certainty: standard errors that a channel, the fused order and the ranker must gain to be kept.
        bootstrap_samples, confidence: of the intervals.
        channels: recall channels beside the towers, by name; conf/channels.
        fusion: what orders the pool; conf/fusion.
        ranker: what orders its head anew; conf/fusion too.
        queries: the funnel of those who ask by a query.
    """

    run: Path
    data: Path | None
    artifacts: Path
    seed: int
    threads: int
    users: int
    folds: int
    depth: int
    channel_depth: int
    candidates: int
    certainty: float
    bootstrap_samples: int
    confidence: float
    channels: dict[str, Any]
    fusion: dict[str, Any]
    ranker: dict[str, Any]
    queries: QueryFunnelConfig

    def __post_init__(self) -> None:
        require("users", self.users, 0)
        require("folds", self.folds, 2)
        for name in ("threads", "depth", "channel_depth", "candidates", "bootstrap_samples"):
            require(name, getattr(self, name), 1)
        require("certainty", self.certainty, 0)
