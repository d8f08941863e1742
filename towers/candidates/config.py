"""Typed configuration of the funnel's training; the values live in conf/funnel.yaml."""

from dataclasses import dataclass
from pathlib import Path

from data_prep.config import Node, require
from data_prep.errors import UsageError
from towers.metrics.bootstrap import Bootstrap

JUDGED, LOGGED, SYNTHETIC = "judged", "logged", "synthetic"
"""Sources of queries to learn from: see `towers.candidates.query_examples`."""


@dataclass
class QueryFunnelConfig:
    """The funnel that answers queries.

    Attributes:
        sources: of queries, the most to be trusted first; the first that has `least` is used.
        channels: recall channels beside the towers, by name; conf/channels.
        fusion: orders the pool, learnt from judged or logged queries; conf/fusion.
        synthetic_fusion: the same where there are synthetic ones alone. They are words of the items: a fusion that
            learns from them trusts a match of words more than queries of people bear out.
        most: queries that are learnt from, at most.
        least: queries that a source must have.
        ways: how synthetic queries are made, as `queries.ways` in the towers' training.
        typos: share of them that are misspelt.
    """

    sources: list[str]
    channels: dict[str, Node]
    fusion: Node
    synthetic_fusion: Node
    most: int
    least: int
    ways: dict[str, float]
    typos: float

    def __post_init__(self) -> None:
        if not self.sources or (unknown := set(self.sources) - {JUDGED, LOGGED, SYNTHETIC}):
            named = ", ".join(sorted(unknown)) if self.sources else "none is named"
            raise UsageError(f"queries.sources: {named}: there is {JUDGED}, {LOGGED}, {SYNTHETIC}")
        require("queries.least", self.least, 4)
        require("queries.most", self.most, self.least)
        require("queries.typos", self.typos, 0, 1)

    def fusion_for(self, source: str) -> Node:
        """The fusion to learn from queries of a source."""
        return self.synthetic_fusion if source == SYNTHETIC else self.fusion


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
        folds: parts of them; a ranker is evaluated on each by one that learnt from the others.
        depth: items taken from the towers.
        channel_depth: items taken from each other channel.
        candidates: of the fused order that the ranker orders anew.
        certainty: standard errors that a channel, the fused order and the ranker must gain to be kept.
        bootstrap_samples, confidence: of the intervals.
        channels: recall channels beside the towers, by name; conf/channels.
        fusion: orders the pool; conf/fusion.
        ranker: orders its head anew; conf/fusion too.
        queries: the funnel that answers queries.
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
    channels: dict[str, Node]
    fusion: Node
    ranker: Node
    queries: QueryFunnelConfig

    def __post_init__(self) -> None:
        require("users", self.users, 0)
        require("folds", self.folds, 2)
        for name in ("threads", "depth", "channel_depth", "candidates", "bootstrap_samples"):
            require(name, getattr(self, name), 1)
        require("certainty", self.certainty, 0)

    @property
    def bootstrap(self) -> Bootstrap:
        """Settings of the intervals."""
        return Bootstrap(self.bootstrap_samples, self.confidence, self.seed)
