"""The space of a tuning: settings of `towers.train` and the values they may take."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_prep.command import load_config
from data_prep.errors import UsageError
from towers.training.config import TrainConfig

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

PLAIN = re.compile(r"[A-Za-z_][\w./-]*")
KINDS = ({"choices"}, {"low", "high", "log", "step"})
RESERVED = ("artifacts", "hydra", "resume", "run", "seed")
"""Settings that the tuning itself gives each trial."""


@dataclass(frozen=True)
class Choices:
    """A setting that takes one of a few values, each as it would be typed."""

    key: str
    values: Sequence[str]

    def extremes(self) -> Sequence[str]:
        """Values that must fit for all to fit."""
        return self.values

    def distribution(self) -> "BaseDistribution":
        """Optuna's distribution of its values."""
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution(list(self.values))


@dataclass(frozen=True)
class Range:
    """A number between two bounds, both of them possible; whole if all that is given of it is."""

    key: str
    low: float
    high: float
    log: bool
    step: float | None

    def extremes(self) -> Sequence[str]:
        """Values that must fit for all to fit."""
        return [typed_value(self.low), typed_value(self.high)]

    def distribution(self) -> "BaseDistribution":
        """Optuna's distribution of its values."""
        from optuna.distributions import FloatDistribution, IntDistribution

        if all(isinstance(value, int) for value in (self.low, self.high, self.step or 1)):
            return IntDistribution(int(self.low), int(self.high), self.log, int(self.step or 1))
        return FloatDistribution(self.low, self.high, self.log, self.step)


Dimension = Choices | Range


def parse_space(space: Mapping[str, Any]) -> list[Dimension]:
    """Dimensions of a space as YAML has it: `{tower.dim: {choices: [64, 128]}}`, keys dotted or nested.

    Raises:
        UsageError: there is none, or one is no set of choices and no range; it is named.
    """
    dimensions = [_dimension(key, spec) for key, spec in _specs(space, "")]
    if not dimensions:
        raise UsageError("space: is empty; give settings as {tower.dim: {choices: [64, 128]}} or space=towers")
    return dimensions


def _specs(node: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, value in node.items():
        key = f"{prefix}.{name}" if prefix else str(name)
        if not isinstance(value, Mapping) or not value:
            raise UsageError(f"space.{key}: {value!r} is neither {{choices: […]}} nor {{low: …, high: …}}")
        if value.keys() & (KINDS[0] | KINDS[1]):
            yield key, value
        else:
            yield from _specs(value, key)


def _dimension(key: str, spec: Mapping[str, Any]) -> Dimension:
    where = f"space.{key}"
    if key.lstrip("+").split(".")[0] in RESERVED:
        raise UsageError(f"{where}: the tuning sets {', '.join(RESERVED)} itself; leave it out")
    if not any(spec.keys() <= kind for kind in KINDS):
        raise UsageError(f"{where}: takes choices, or low and high with log or step; not {', '.join(spec)}")
    if "choices" in spec:
        values = spec["choices"]
        if not isinstance(values, list) or not values:
            raise UsageError(f"{where}.choices: must be a list of at least one value, not {values!r}")
        return Choices(key, [typed_value(value) for value in values])
    return _range(key, where, spec)


def _range(key: str, where: str, spec: Mapping[str, Any]) -> Range:
    low, high, log, step = (spec.get(name) for name in ("low", "high", "log", "step"))
    for name, value in (("low", low), ("high", high), ("step", 1 if step is None else step)):
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise UsageError(f"{where}.{name}: must be a number, not {value!r}")
    assert isinstance(low, int | float) and isinstance(high, int | float)
    if low > high:
        raise UsageError(f"{where}: low {low:g} is above high {high:g}")
    if log and (step is not None or low <= 0):
        raise UsageError(f"{where}: log takes no step and a low above 0, not low {low:g}, step {step}")
    if step is not None and step <= 0:
        raise UsageError(f"{where}.step: must be above 0, not {step:g}")
    return Range(key, low, high, bool(log), step)


def typed_value(value: Any) -> str:
    """A value as it would be typed in an override."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{','.join(map(typed_value, value))}]"
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{k}:{typed_value(v)}' for k, v in value.items())}}}"
    if isinstance(value, str) and not PLAIN.fullmatch(value):
        return "'" + value.replace("'", r"\'") + "'"
    return str(value)


def check_space(dimensions: Sequence[Dimension], overrides: Sequence[str], artifacts: Path) -> TrainConfig:
    """Compose the training configuration once with each extreme of each dimension, the others left as they are.

    Returns:
        The configuration without any of them.

    Raises:
        UsageError: an override or an extreme does not fit, or the tuning sets it itself; it is named.
    """
    fixed = {override.lstrip("+~").partition("=")[0] for override in overrides}
    for key in fixed:
        if key.split(".")[0] in RESERVED:
            raise UsageError(f"overrides: the tuning sets {', '.join(RESERVED)} itself; leave {key} out")
    typed = [*overrides, f"artifacts={typed_value(str(artifacts))}"]
    try:
        base = load_config(TrainConfig, "train", typed)
    except UsageError as error:
        raise UsageError(f"overrides: {error}") from error
    for dimension in dimensions:
        if dimension.key.lstrip("+") in fixed:
            raise UsageError(f"space.{dimension.key}: is also among the overrides; leave one out")
        for value in dimension.extremes():
            try:
                load_config(TrainConfig, "train", [*typed, f"{dimension.key}={value}"])
            except UsageError as error:
                raise UsageError(f"space.{dimension.key}: {value} does not fit: {error}") from error
    return base
