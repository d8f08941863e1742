"""The benchmark's plan, `plan.yaml`, as typed values."""

from dataclasses import dataclass, field
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
        prepare: overrides of `python -m data_prep`; `{shared}` stands for the folder of shared data, `{packages}` for
            where the packages of `environment` are.
        environment: whose packages hold the data; empty where none does.
    """

    title: str
    prepare: list[str]
    environment: str = ""


@dataclass
class StudyPlan:
    """A table of its own on the page, for the recipes, or rows of recipes, that name it.

    Attributes:
        title: its heading.
        explanation: the sentence below.
        columns: heading -> where the figure stands: a path in a row of a result, such as `beyond.coverage`, or
            `epochs`, `seconds`, `peak_mb` of the training, or `seeds`, their number.
    """

    title: str
    explanation: str
    columns: dict[str, str]


@dataclass
class RecipePlan:
    """One way of training ours.

    Attributes:
        train, evaluate: overrides of `python -m towers.train` and `python -m towers.evaluate`.
        rows: scorer of the evaluation -> label on the page.
        datasets: dataset -> further overrides of training.
        funnel: dataset -> overrides of `python -m towers.train_funnel`, for those that get one; its last stage is the
            scorer `funnel` of `rows`.
        late_fusion: dataset -> baselines that are fused late with the one vector, as the scorer "late fused" of `rows`.
        evaluate_untrained: further overrides of the evaluation with the first seed.
        untrained: like `rows`, for scorers that need no training; shown with the first seed.
        also: study -> rows of the same runs that stand in its table; rows that an evaluation lacks are left out.
        study: whose table shows it; null for the main one.
        seeds: the only ones it is trained with, of those asked for; null for all.
    """

    train: list[str]
    evaluate: list[str]
    rows: dict[str, str]
    datasets: dict[str, list[str]]
    funnel: dict[str, list[str]] = field(default_factory=dict)
    late_fusion: dict[str, list[str]] = field(default_factory=dict)
    evaluate_untrained: list[str] = field(default_factory=list)
    untrained: dict[str, str] = field(default_factory=dict)
    also: dict[str, dict[str, str]] = field(default_factory=dict)
    study: str | None = None
    seeds: list[int] | None = None


@dataclass
class PeerPlan:
    """Somebody else's model.

    Attributes:
        label: on the page.
        environment: which of `environments` runs it.
        script: file in `peers/`.
        settings: arguments of the script.
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
class QualityPlan:
    """Everything that may be run.

    Attributes:
        datasets, studies, recipes, peers, environments: by name.
    """

    datasets: dict[str, DatasetPlan]
    studies: dict[str, StudyPlan]
    recipes: dict[str, RecipePlan]
    peers: dict[str, PeerPlan]
    environments: dict[str, EnvironmentPlan]


def read_plan(path: Path = PLAN) -> QualityPlan:
    """Read a plan.

    Raises:
        UsageError: a key is unknown or missing, a value is of the wrong type, a study is not there, or two rows of a
            recipe have one label.
    """
    try:
        raw = OmegaConf.create(yaml.safe_load(path.read_text(encoding="utf-8")))
        plan = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(QualityPlan), raw))
    except (OmegaConfBaseException, yaml.YAMLError) as error:
        raise UsageError(f"{path}: {error}") from error
    assert isinstance(plan, QualityPlan)
    for name, recipe in plan.recipes.items():
        for study in [*([recipe.study] if recipe.study is not None else []), *recipe.also]:
            if study not in plan.studies:
                raise UsageError(f"{path}: recipes.{name}: study {study} is not one of {', '.join(plan.studies)}")
        labels = [label for rows in (recipe.rows, recipe.untrained, *recipe.also.values()) for label in rows.values()]
        if twice := sorted({label for label in labels if labels.count(label) > 1}):
            raise UsageError(f"{path}: recipes.{name}: several rows are called {', '.join(twice)}")
    return plan


@dataclass(frozen=True)
class Job:
    """One training to be measured.

    Attributes:
        dataset, name: keys of the plan; the name is a recipe's or a peer's.
        seed: of the training.
        first: whether it is the first of its seeds.
    """

    dataset: str
    name: str
    seed: int
    first: bool

    @property
    def key(self) -> str:
        """The text that `--only` matches."""
        return f"{self.dataset}:{self.name}"


def jobs(plan: QualityPlan, seeds: list[int], only: list[str]) -> list[Job]:
    """The jobs to run: the first seed of everything before the second of anything.

    Args:
        plan: the plan.
        seeds: one training each, but for recipes that have seeds of their own.
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
    own = {name: _own_seeds(plan, name, seeds) for _, name in kept}
    return [
        Job(dataset, name, seed, seed == own[name][0]) for seed in seeds for dataset, name in kept if seed in own[name]
    ]


def _own_seeds(plan: QualityPlan, name: str, seeds: list[int]) -> list[int]:
    """Those of the seeds asked for that a recipe or peer is trained with."""
    recipe = plan.recipes.get(name)
    return seeds if recipe is None or recipe.seeds is None else [seed for seed in seeds if seed in recipe.seeds]
