"""Trials of a sweep or a tuning on disk: gathered from their folders, distinguished by their settings."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import OmegaConf
from scipy import stats

from data_prep.errors import UsageError
from data_prep.files import read_json, write_json
from towers.fitting.checkpoints import CHECKPOINTS
from towers.model.run_record import RUN, RunRecord

FAILURE = "failure.json"
IRRELEVANT = {
    "artifacts", "run", "resume", "seed", "text.cache", "trainer.accelerator", "trainer.checkpoints", "trainer.threads",
}  # fmt: skip
"""Settings that do not distinguish trials: where, how far and on what one ran, and the seed."""

UNSET = "–"


@dataclass(frozen=True)
class Trial:
    """One training of a sweep.

    Attributes:
        folder: its run folder.
        overrides: as typed for it, setting -> value.
        config: its whole configuration, dotted setting -> value; empty before it is finished.
        figures: validation figures, name -> value; empty before it is finished.
        intervals: bootstrap intervals of the figures, name -> (low, high).
        cost: `wall_seconds`, `cpu_seconds`, `peak_memory_mb`.
        best_epoch: epochs its weights were trained for.
        seed: of the training.
        reason: why it has no figures; "" when it has.
    """

    folder: Path
    overrides: Mapping[str, str]
    config: Mapping[str, str] = field(default_factory=dict)
    figures: Mapping[str, float] = field(default_factory=dict)
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    cost: Mapping[str, float] = field(default_factory=dict)
    best_epoch: int | None = None
    seed: int | None = None
    reason: str = ""

    @property
    def identity(self) -> str:
        """Same for trials that differ only in seed and in what does not matter to the weights."""
        return json.dumps(sorted((k, v) for k, v in self.config.items() if k not in IRRELEVANT))


@dataclass(frozen=True)
class TrialGroup:
    """Finished trials that differ only in their seed.

    Attributes:
        settings: the settings that vary in the sweep -> this group's value.
        trials: its members.
        mean: of the metric over the members.
        low, high: interval of the mean: Student's over seeds, the bootstrap's over users for a lone one, else NaN.
        close: whether the distance to the best group is within noise; the best one is close to itself.
    """

    settings: Mapping[str, str]
    trials: Sequence[Trial]
    mean: float
    low: float
    high: float
    close: bool = False

    @property
    def half_width(self) -> float:
        """Half the interval's width."""
        return (self.high - self.low) / 2

    def cost(self, name: str) -> float:
        """Mean cost of a member, NaN if it was not recorded."""
        known = [trial.cost[name] for trial in self.trials if name in trial.cost]
        return float(np.mean(known)) if known else math.nan

    @property
    def best_epoch(self) -> float:
        """Mean over the members."""
        return float(np.mean([trial.best_epoch for trial in self.trials if trial.best_epoch is not None]))


def note_failure(folder: Path, reason: str) -> None:
    """Leave in a trial's folder why it came to nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / FAILURE, {"reason": reason})


def forget_failure(folder: Path) -> None:
    """A trial is tried again."""
    (folder / FAILURE).unlink(missing_ok=True)


def gather(folders: Sequence[Path]) -> list[Trial]:
    """Every trial at or below the folders, finished or not, each once, in order of their paths.

    Raises:
        UsageError: a folder is not there, or there is no trial in any of them.
    """
    trials: dict[Path, Trial] = {}
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(f"folder: {folder} is not there")
        for path in sorted(_trial_folders(folder), key=_natural):
            trials.setdefault(path.resolve(), read_trial(path))
    if not trials:
        raise UsageError(
            f"folder: no training run in {', '.join(map(str, folders))}; python -m towers.train -m … first"
        )
    return list(trials.values())


def _trial_folders(folder: Path) -> Iterator[Path]:
    signs = (RUN, FAILURE, CHECKPOINTS, ".hydra")
    if any((folder / sign).exists() for sign in signs):
        yield folder
        return
    for child in folder.iterdir():
        if child.is_dir() and not child.is_symlink() and not child.name.startswith("."):
            yield from _trial_folders(child)


def _natural(path: Path) -> list[tuple[int, str]]:
    """Trial 2 before trial 10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in path.parts]


def read_trial(folder: Path) -> Trial:
    """A trial from its folder."""
    if RunRecord.finished(folder):
        record = RunRecord.read(folder)
        return Trial(
            folder,
            parse_overrides(record.overrides),
            dict(_flat({**record.config, "data": str(record.data)})),
            record.validation,
            record.intervals,
            record.cost,
            record.best_epoch,
            record.config["seed"],
        )
    typed = folder / ".hydra" / "overrides.yaml"
    overrides = parse_overrides([str(o) for o in OmegaConf.load(typed)]) if typed.is_file() else {}
    seed = overrides.get("seed")
    return Trial(folder, overrides, seed=int(seed) if seed and seed.isdecimal() else None, reason=_unfinished(folder))


def _unfinished(folder: Path) -> str:
    if (folder / FAILURE).is_file():
        return str(read_json(folder / FAILURE)["reason"])
    begun = any((folder / CHECKPOINTS).glob("epoch-*.ckpt"))
    return "unfinished, resume=true goes on from its checkpoint" if begun else "unfinished, no epoch is whole yet"


def parse_overrides(overrides: Sequence[str]) -> dict[str, str]:
    """`["tower.dim=64", "++a.b=1"]` -> `{"tower.dim": "64", "a.b": "1"}`."""
    pairs = (override.lstrip("+").partition("=") for override in overrides)
    return {key: value for key, _, value in pairs if not key.startswith("hydra.")}


def _flat(node: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(node, Mapping) and node:
        for key, value in node.items():
            yield from _flat(value, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, node if isinstance(node, str) else json.dumps(node)


def varying(trials: Sequence[Trial]) -> list[str]:
    """Settings that tell finished trials apart, in the order they were typed.

    What was typed has the first word: `negatives=in_batch` says more than the keys it stands for. Settings that differ
    and were not typed (another version's defaults, runs made from Python) are added from the recorded configuration,
    when what was typed leaves different configurations with the same values.
    """
    one_each = list({trial.identity: trial for trial in trials}.values())
    typed = [key for key in dict.fromkeys(k for t in one_each for k in t.overrides) if key not in IRRELEVANT]
    names = [key for key in typed if len({setting(t, key) for t in one_each}) > 1]
    if len({tuple(setting(t, key) for key in names) for t in one_each}) < len(one_each):
        recorded = dict.fromkeys(k for t in one_each for k in t.config)
        covered = tuple(f"{name}." for name in names)
        names += [
            key
            for key in recorded
            if key not in IRRELEVANT and key not in names and not key.startswith(covered)
            if len({t.config.get(key, UNSET) for t in one_each}) > 1
        ]
    return names


def setting(trial: Trial, name: str) -> str:
    """A trial's value of a setting: as typed, else as recorded."""
    return trial.overrides.get(name) or trial.config.get(name, UNSET)


def compare(trials: Sequence[Trial], metric: str, confidence: float) -> list[TrialGroup]:
    """Finished trials grouped by settings, best first, with those marked that noise may keep from being the best.

    A group is close to the best when their means differ by no more than their half widths added in squares.

    Raises:
        UsageError: a trial has no such metric.
    """
    members: dict[str, list[Trial]] = {}
    done = [trial for trial in trials if not trial.reason]
    for trial in done:
        if metric not in trial.figures:
            raise UsageError(f"metric: {trial.folder} has no {metric!r}; it has {', '.join(trial.figures)}")
        members.setdefault(trial.identity, []).append(trial)
    names = varying(done)
    groups = [
        TrialGroup({name: setting(g[0], name) for name in names}, g, *_mean_and_interval(g, metric, confidence))
        for g in members.values()
    ]
    groups.sort(key=lambda group: -group.mean)
    return [replace(group, close=_within_noise(groups[0], group)) for group in groups]


def _mean_and_interval(group: Sequence[Trial], metric: str, confidence: float) -> tuple[float, float, float]:
    values = np.array([trial.figures[metric] for trial in group])
    mean = float(values.mean())
    if len(values) == 1:
        return mean, *group[0].intervals.get(metric, (math.nan, math.nan))
    spread = float(stats.t.ppf((1 + confidence) / 2, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values)))
    return mean, mean - spread, mean + spread


def _within_noise(best: TrialGroup, other: TrialGroup) -> bool:
    widths = [0.0 if math.isnan(group.half_width) else group.half_width for group in (best, other)]
    return best.mean - other.mean <= math.hypot(*widths)
