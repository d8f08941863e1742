"""The report of an evaluation, typed: what `towers.evaluate` returns, and writes to `metrics.json`."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from data_prep.files import write_json
from towers.diversity import Diversity
from towers.metrics.bootstrap import Estimate
from towers.metrics.paired import PairedComparison

METRICS = "metrics.json"

Estimates = dict[str, Estimate]
"""Means with intervals, by metric."""


@dataclass(frozen=True)
class Slice:
    """Some of the users.

    Attributes:
        users: their number.
        metrics: of theirs, recall and NDCG at the first two cutoffs.
    """

    users: int
    metrics: Estimates


Slices = dict[str, Slice]
"""Slices of the users, by label."""


@dataclass(frozen=True)
class BeyondAccuracy:
    """Properties of the recommended lists, whatever they hit.

    Attributes:
        coverage: share of the catalogue that is recommended to anyone.
        novelty: mean of -log2 of an item's share of training events, one event at least (Zhou et al., PNAS 2010).
        popularity_share: share of the recommendations that are of the most popular tenth of the catalogue.
        intra_list_distance: mean over the lists of two items or more, by the items' texts; None without texts.
        item_distance: the same by item vectors; None for lists of the whole catalogue.
    """

    coverage: float
    novelty: float
    popularity_share: float
    intra_list_distance: float | None
    item_distance: float | None = None


@dataclass(frozen=True)
class ScorerSummary:
    """Everything that is reported of one scorer.

    Attributes:
        metrics: over all users.
        beyond: properties of its lists.
        slices: users by length of history and by popularity of their relevant items.
    """

    metrics: Estimates
    beyond: BeyondAccuracy
    slices: Slices


@dataclass(frozen=True)
class Differences:
    """How far scorers lie above the best of some, user by user.

    Attributes:
        baseline: the best of those, by NDCG at the first cutoff.
        scorers: name of each other -> metrics of the differences.
    """

    baseline: str
    scorers: dict[str, Estimates]


@dataclass(frozen=True)
class UsersWithoutHistory:
    """The users once more, their history taken away.

    Attributes:
        users: their number.
        scorers: the model, and lists that are the same for everybody, by name.
        against: the strongest list; None where there is none.
    """

    users: int
    scorers: dict[str, Estimates]
    against: Differences | None


@dataclass(frozen=True)
class ColdItems:
    """Users with a relevant item that has no training event, and those items alone.

    Attributes:
        users: their number.
        relevant: number of those items, each counted for each user.
        scorers: recall of each scorer.
        slices: of each scorer, by the length of histories.
    """

    users: int
    relevant: int
    scorers: dict[str, Estimates]
    slices: dict[str, Slices]


@dataclass(frozen=True)
class Ablation:
    """A fusion of some of the channels.

    Attributes:
        comparison: with recall alone.
        not_retrieved: share of the relevant items that none of them retrieves.
    """

    comparison: PairedComparison
    not_retrieved: float


@dataclass(frozen=True)
class DiversifiedStage:
    """The funnel's last stage.

    Attributes:
        settings: how its lists are made diverse.
        against: how far it lies from the stage that is served.
    """

    settings: Diversity
    against: Differences


@dataclass(frozen=True)
class FunnelReport:
    """The funnel on held-out users.

    Attributes:
        users: their number.
        channels: names of those in use, the towers first.
        stages: of each stage, by name.
        against: how far each stage lies above recall.
        served: the stage that a server answers by unless it is to be diverse.
        diversified: the stage after that.
        not_retrieved: share of the relevant items that are in no pool, by stage.
        ablation: fusions of some of the channels, by name.
    """

    users: int
    channels: list[str]
    stages: dict[str, ScorerSummary]
    against: Differences
    served: str
    diversified: DiversifiedStage
    not_retrieved: dict[str, float]
    ablation: dict[str, Ablation]


@dataclass(frozen=True)
class ServedRow:
    """The row of search tables that is as a server answers.

    Attributes:
        row: its name.
        learnt_from: source of the queries that its fusion learnt from.
    """

    row: str
    learnt_from: str


@dataclass(frozen=True)
class Reworded:
    """The judged queries in other words.

    Attributes:
        scorers: metrics of each scorer then.
        lost: by each scorer, query by query.
    """

    scorers: dict[str, Estimates]
    lost: dict[str, Estimates]


@dataclass(frozen=True)
class SearchReport:
    """Scorers on judged queries.

    Attributes:
        queries, judgements: their numbers.
        scorers: metrics of each scorer.
        against: the best baseline; None where there is none.
        served: the row that is as a server answers; None where there is no funnel for queries.
        left_out: baselines that do not apply, name -> reason.
        reworded: by name of the wording.
    """

    queries: int
    judgements: int
    scorers: dict[str, Estimates]
    against: Differences | None
    served: ServedRow | None
    left_out: dict[str, str]
    reworded: dict[str, Reworded]


@dataclass(frozen=True)
class EvaluationReport:
    """A run on held-out users and judged queries, beside baselines.

    Attributes:
        split: that was to be found, "test" or "valid".
        until: the first split whose events the run has not seen.
        items: number of items, all of them ranked.
        exclude_seen: whether items of a user's history are left out.
        run, data: fingerprints.
        confidence: of the intervals.
        cutoffs: the k of the metrics.
        users: number of users with something held out; 0 where only queries are evaluated, and what follows is empty.
        scorers: towers and baselines, by name.
        against: how far all lie above the strongest baseline; None where there is none.
        left_out: baselines that do not apply, name -> reason.
        without_history: the users without their history.
        cold: users with a relevant item that has no training event; None where there are none.
        funnel: the run's funnel; None where it has none.
        search: judged queries; None where there are none.
    """

    split: str
    until: str
    items: int
    exclude_seen: bool
    run: str
    data: str
    confidence: float
    cutoffs: list[int]
    users: int = 0
    scorers: dict[str, ScorerSummary] = field(default_factory=dict)
    against: Differences | None = None
    left_out: dict[str, str] = field(default_factory=dict)
    without_history: UsersWithoutHistory | None = None
    cold: ColdItems | None = None
    funnel: FunnelReport | None = None
    search: SearchReport | None = None

    def as_json(self) -> dict[str, Any]:
        """The contents of `metrics.json`."""
        content: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return content

    def write(self, run: Path) -> None:
        """Write `metrics.json` into a run."""
        write_json(run / METRICS, self.as_json())
