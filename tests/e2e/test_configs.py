"""Every file under conf/ composes into its command's typed config, and every class it names can be made."""

import dataclasses
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from data_prep.command import instantiate, load_config
from data_prep.config import CONFIG_FOLDER
from data_prep.prepare import PrepareConfig
from index.build.config import BuildConfig
from retrieval_server.config import ServeConfig
from towers.candidates.config import FunnelConfig
from towers.evaluate import EvaluateConfig
from towers.ranking.config import RankerConfig
from towers.sweep_report import SweepReportConfig
from towers.training.config import TrainConfig
from towers.tune import TuneConfig
from towers.tuning.space import check_space, parse_space

ROOTS = {
    "prepare": (PrepareConfig, []),
    "train": (TrainConfig, []),
    "train_ranker": (RankerConfig, ["run=x"]),
    "funnel": (FunnelConfig, ["run=x"]),
    "evaluate": (EvaluateConfig, ["run=x"]),
    "tune": (TuneConfig, []),
    "sweep_report": (SweepReportConfig, ["folder=x"]),
    "build": (BuildConfig, ["run=x"]),
    "serve": (ServeConfig, []),
}
GROUPS = {
    "train": [
        "encoder",
        "text",
        "id_init",
        "negatives",
        "negatives/counts",
        "blocks",
        "tower",
        "evaluation",
        "experiment",
    ],
    "prepare": ["source", "cleaning", "split"],
    "evaluate": ["evaluation", "baselines", "fallbacks"],
    "tune": ["space", "sampler"],
    "train_ranker": ["ranking_loss"],
    "funnel": ["channels", "fusion"],
    "build": ["index", "fallbacks"],
    "serve": ["event_store", "diversity"],
}


def choices() -> list[tuple[str, str]]:
    """(root, override) for every file of every group."""
    return [
        (root, f"{group}={path.stem}")
        for root, groups in GROUPS.items()
        for group in groups
        for path in sorted((CONFIG_FOLDER / group).glob("*.yaml"))
    ]


def missing(root: str, choice: str) -> list[str]:
    """Values for what a choice leaves to the user."""
    if not choice:
        return ROOTS[root][1]
    group, name = choice.split("=")
    file = OmegaConf.load(CONFIG_FOLDER / group / f"{name}.yaml")
    left = [f"{group}.{key}" for key in file if OmegaConf.is_missing(file, key)]
    source = file.get("source") or OmegaConf.create()
    left += [f"source.{key}" for key in source if OmegaConf.is_missing(source, key)]
    return [*(f"{key}=x" for key in left), *ROOTS[root][1]]


@pytest.mark.parametrize("root", ROOTS)
def test_every_root_composes_with_its_defaults(root: str):
    config = load_config(ROOTS[root][0], root, missing(root, ""))
    assert dataclasses.is_dataclass(config)


@pytest.mark.parametrize(("root", "choice"), choices())
def test_every_choice_composes(root: str, choice: str):
    load_config(ROOTS[root][0], root, [choice, *missing(root, choice)])


def test_no_config_file_is_left_out_of_these_tests():
    tried = {f"{choice.replace('=', '/')}.yaml" for _, choice in choices()} | {f"{root}.yaml" for root in ROOTS}
    there = {str(p.relative_to(CONFIG_FOLDER)) for p in Path(CONFIG_FOLDER).rglob("*.yaml")}
    assert {p for p in there if not p.startswith("hydra/")} == tried


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_every_sampler_can_be_made(sampler: str):
    config = load_config(TuneConfig, "tune", [f"sampler={sampler}"])
    assert instantiate(config.sampler)(seed=3).sample_independent


def test_the_space_of_tuning_fits_the_training_it_tunes():
    config = load_config(TuneConfig, "tune")
    check_space(parse_space(config.space), config.overrides, config.artifacts)
