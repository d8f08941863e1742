"""The benchmark's plan, `plan.yaml`, as typed values."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from benchmarks.quality.plan import EnvironmentPlan
from data_prep.errors import UsageError

PLAN = Path(__file__).with_name("plan.yaml")
KINDS = ("ours", "faiss", "other")


@dataclass
class ShopPlan:
    """One shop's share of the catalogue.

    Attributes:
        items: Parquet file of its items, inside the folder of shared data.
        id: the file's column of item ids.
        text: template of the texts that are encoded.
        section: column of a section's number, where users are made up from sections.
        events: Parquet file of `user_id` and `item_id`, oldest first, where it has users.
    """

    items: str
    id: str
    text: str
    section: str | None = None
    events: str | None = None


@dataclass
class CataloguePlan:
    """The catalogue that is searched.

    Attributes:
        shops: by name.
        max_tokens: longer texts are cut there.
        dim: length of the vectors.
    """

    shops: dict[str, ShopPlan]
    max_tokens: int
    dim: int


@dataclass
class UserPlan:
    """Who asks.

    Attributes:
        users: number of query vectors, half of them of real users.
        calibration: how many of them our calibration may see; the others are measured.
        training_users: histories the user tower is trained on, others than those.
        epochs, batch, learning_rate, negatives, temperature: of its training; negatives are drawn anew for each batch.
        max_history: events read of a history.
        made_up_events: events of a made-up history, at most.
        layers, heads: of the tower.
        seed: of everything drawn.
    """

    users: int
    calibration: int
    training_users: int
    epochs: int
    batch: int
    learning_rate: float
    negatives: int
    temperature: float
    max_history: int
    made_up_events: int
    layers: int
    heads: int
    seed: int


@dataclass
class MeasurePlan:
    """Measurements of each contender.

    Attributes:
        k: answers to a query.
        recall_floor: the fastest setting that reaches it stands in the table.
        rounds: turns of everybody; medians are reported.
        seconds: of processor time for a figure in a turn.
        batches, threads: the table's columns; the curves are of the largest batch and one thread.
    """

    k: int
    recall_floor: float
    rounds: int
    seconds: float
    batches: list[int]
    threads: list[int]


@dataclass
class ContenderPlan:
    """An index of ours or of another library.

    Attributes:
        label: on the page.
        kind: "ours", "faiss" or "other".
        module: in `peers/`.
        environment: which of `environments` runs it; null for ours.
        build: arguments of the module's `build`; `{users}` stands for the file of the users that calibration sees.
        tried: settings, the least work first.
    """

    label: str
    kind: str
    module: str
    environment: str | None
    build: dict[str, Any]
    tried: list[dict[str, Any]]


@dataclass
class AnnPlan:
    """Everything that is run.

    Attributes:
        catalogue, users, measure: see there.
        contenders, environments: by name.
    """

    catalogue: CataloguePlan
    users: UserPlan
    measure: MeasurePlan
    contenders: dict[str, ContenderPlan]
    environments: dict[str, EnvironmentPlan]


def read_plan(path: Path = PLAN) -> AnnPlan:
    """Read a plan.

    Raises:
        UsageError: a key is unknown or missing, a value is of the wrong type, or a kind is not one of `KINDS`.
    """
    try:
        raw = OmegaConf.create(yaml.safe_load(path.read_text(encoding="utf-8")))
        plan = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(AnnPlan), raw))
    except (OmegaConfBaseException, yaml.YAMLError) as error:
        raise UsageError(f"{path}: {error}") from error
    assert isinstance(plan, AnnPlan)
    for name, contender in plan.contenders.items():
        if contender.kind not in KINDS:
            raise UsageError(f"{path}: contenders.{name}.kind: {contender.kind} is not one of {', '.join(KINDS)}")
    return plan
