"""The benchmark's plan, `plan.yaml`, as typed values."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from data_prep.errors import UsageError

PLAN = Path(__file__).with_name("plan.yaml")


@dataclass
class DatasetPlan:
    """A dataset.

    Attributes:
        title: its heading on the page.
        prepare: overrides of `python -m data_prep`; `{shared}` stands for the folder of shared data.
    """

    title: str
    prepare: list[str]


@dataclass
class RecipePlan:
    """One way of training ours.

    Attributes:
        train, evaluate: overrides of `python -m towers.train` and `python -m towers.evaluate`.
        evaluate_untrained: further overrides of the evaluation with the first seed.
        rows: scorer of the evaluation -> label on the page.
        untrained: the same for what needs no training; shown with the first seed.
        datasets: dataset -> further overrides of training.
    """

    train: list[str]
    evaluate: list[str]
    evaluate_untrained: list[str]
    rows: dict[str, str]
    untrained: dict[str, str]
    datasets: dict[str, list[str]]


@dataclass
class PeerPlan:
    """Somebody else's model.

    Attributes:
        label: on the page.
        environment: which of `environments` runs it.
        script: file in `peers/`.
        settings: what the script is told.
        datasets: dataset -> settings that differ.
    """

    label: str
    environment: str
    script: str
    settings: dict[str, Any]
    datasets: dict[str, Any]


@dataclass
class EnvironmentPlan:
    """A virtual environment.

    Attributes:
        requirements: of pip.
        without_dependencies: installed after them, alone.
        told: packages whose versions the page names.
    """

    requirements: list[str]
    without_dependencies: list[str]
    told: list[str]


@dataclass
class Plan:
    """Everything that may be run.

    Attributes:
        datasets, recipes, peers, environments: by name.
    """

    datasets: dict[str, DatasetPlan]
    recipes: dict[str, RecipePlan]
    peers: dict[str, PeerPlan]
    environments: dict[str, EnvironmentPlan]


def read_plan(path: Path = PLAN) -> Plan:
    """Read a plan.

    Raises:
        UsageError: a key is unknown or missing, or a value is of the wrong type.
    """
    try:
        raw = OmegaConf.create(yaml.safe_load(path.read_text(encoding="utf-8")))
        plan = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Plan), raw))
    except (OmegaConfBaseException, yaml.YAMLError) as error:
        raise UsageError(f"{path}: {error}") from error
    assert isinstance(plan, Plan)
    return plan


@dataclass(frozen=True)
class Job:
    """One training to be measured.

    Attributes:
        dataset, name: keys of the plan; the name is a recipe's or a peer's.
        seed: of the training.
        first: whether it is the first of the seeds.
    """

    dataset: str
    name: str
    seed: int
    first: bool

    @property
    def key(self) -> str:
        """What `--only` matches."""
        return f"{self.dataset}:{self.name}"


def jobs(plan: Plan, seeds: list[int], only: list[str]) -> list[Job]:
    """What is to be run: the first seed of everything before the second of anything.

    Args:
        plan: the plan.
        seeds: one training each.
        only: "dataset:name", "dataset:" or ":name"; nothing means all.

    Raises:
        UsageError: a choice matches nothing.
    """
    entries: dict[str, dict[str, Any]] = {name: recipe.datasets for name, recipe in plan.recipes.items()}
    entries |= {name: peer.datasets for name, peer in plan.peers.items()}
    pairs = [(dataset, name) for dataset in plan.datasets for name, wanted in entries.items() if dataset in wanted]
    chosen = set()
    for choice in only:
        dataset, _, name = choice.partition(":")
        found = {(d, n) for d, n in pairs if dataset in ("", d) and name in ("", n)}
        if not found:
            raise UsageError(f"--only {choice}: not one of {', '.join(f'{d}:{n}' for d, n in pairs)}")
        chosen |= found
    kept = [pair for pair in pairs if not only or pair in chosen]
    return [Job(dataset, name, seed, seed == seeds[0]) for seed in seeds for dataset, name in kept]
