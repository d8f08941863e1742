"""The space of a tuning: settings of `towers.train` and the values they may take, as optuna's distributions."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from data_prep.command import load_config
from data_prep.errors import UsageError
from towers.training.config import TrainConfig
from towers.tuning.trial import typed_value

try:
    from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
except ImportError as error:
    raise UsageError("towers.tune needs optuna: pip install 'twotower[sweep]'") from error

KINDS = ({"choices"}, {"low", "high", "log", "step"})
RESERVED = ("artifacts", "hydra", "resume", "run", "seed")
"""Settings that the tuning itself gives each trial."""


def parse_space(space: Mapping[str, Any]) -> dict[str, BaseDistribution]:
    """Distribution of each setting of a space as YAML has it, `{tower.dim: {choices: [64, 128]}}`, dotted or nested.

    Choices are kept as they would be typed; a range is of whole numbers if all that is given of it is whole.

    Raises:
        UsageError: there is none, or one is no set of choices and no range; it is named.
    """
    distributions = {key: _distribution(key, spec) for key, spec in _specs(space, "")}
    if not distributions:
        raise UsageError("space: is empty; give settings as {tower.dim: {choices: [64, 128]}} or space=towers")
    return distributions


def _specs(node: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, value in node.items():
        key = f"{prefix}.{name}" if prefix else str(name)
        if not isinstance(value, Mapping) or not value:
            raise UsageError(f"space.{key}: {value!r} is neither {{choices: […]}} nor {{low: …, high: …}}")
        if value.keys() & (KINDS[0] | KINDS[1]):
            yield key, value
        else:
            yield from _specs(value, key)


def _distribution(key: str, spec: Mapping[str, Any]) -> BaseDistribution:
    where = f"space.{key}"
    if key.lstrip("+").split(".")[0] in RESERVED:
        raise UsageError(f"{where}: the tuning sets {', '.join(RESERVED)} itself; leave it out")
    if not any(spec.keys() <= kind for kind in KINDS):
        raise UsageError(f"{where}: takes choices, or low and high with log or step; not {', '.join(spec)}")
    if "choices" in spec:
        values = spec["choices"]
        if not isinstance(values, list) or not values:
            raise UsageError(f"{where}.choices: must be a list of at least one value, not {values!r}")
        return CategoricalDistribution([typed_value(value) for value in values])
    return _range(where, spec)


def _range(where: str, spec: Mapping[str, Any]) -> BaseDistribution:
    given = {name: value for name, value in spec.items() if value is not None}
    for name in ("low", "high", *given.keys() - {"log"}):
        value = given.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise UsageError(f"{where}.{name}: must be a number, not {value!r}")
    whole = all(isinstance(value, int) for value in given.values())
    try:
        return IntDistribution(**given) if whole else FloatDistribution(**given)
    except ValueError as error:
        raise UsageError(f"{where}: {error}") from error


def check_space(space: Mapping[str, BaseDistribution], overrides: Sequence[str], artifacts: Path) -> TrainConfig:
    """Compose the training configuration once with each extreme of each setting, the others left as they are.

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
    for key, distribution in space.items():
        if key.lstrip("+") in fixed:
            raise UsageError(f"space.{key}: is also among the overrides; leave one out")
        for value in _extremes(distribution):
            try:
                load_config(TrainConfig, "train", [*typed, f"{key}={value}"])
            except UsageError as error:
                raise UsageError(f"space.{key}: {value} does not fit: {error}") from error
    return base


def _extremes(distribution: BaseDistribution) -> Sequence[object]:
    """Values that must fit for all to fit."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    return distribution.low, distribution.high
