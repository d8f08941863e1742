"""From YAML to typed objects: compose a config, check it against its dataclass, build what it names."""

import inspect
import math
import re
import types
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, InstantiationException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from data_prep.errors import CommandError, UsageError

C = TypeVar("C")

Node = dict[str, Any]
"""A choice among classes as conf/ has it: `_target_` and the arguments of its constructor, for `instantiate`."""

CONFIG_FOLDER = Path(__file__).resolve().parents[1] / "conf"

CONFIG_ERRORS = (HydraException, OmegaConfBaseException, YAMLError)
"""What Hydra, OmegaConf and YAML raise when a config or an override is wrong."""


def load_config(schema: type[C], config_name: str, overrides: Sequence[str] = ()) -> C:
    """Compose a root config as the command line would, for tests and Python callers.

    Args:
        schema: the dataclass the config must fit.
        config_name: name of the root file in `conf/`, without `.yaml`.
        overrides: as on the command line, `["source=movielens", "name=films"]`.

    Raises:
        UsageError: an unknown key, a wrong type, a missing value or file; the message names it.
    """
    try:
        with _search_path():
            return typed(schema, hydra.compose(config_name, overrides=list(overrides)))
    except CONFIG_ERRORS as error:
        raise UsageError(describe(error)) from error


def _search_path() -> AbstractContextManager[object]:
    """`conf/`, or within a running command what it searches, `--config-dir` included: Hydra starts only once."""
    if GlobalHydra.instance().is_initialized():
        return nullcontext()
    started: AbstractContextManager[object] = hydra.initialize_config_dir(str(CONFIG_FOLDER), version_base="1.3")
    return started


def typed(schema: type[C], config: DictConfig) -> C:
    """Turn a composed config into its dataclass; unknown keys and wrong types raise OmegaConf's errors."""
    merged = OmegaConf.merge(OmegaConf.structured(schema), config)
    return cast(C, OmegaConf.to_object(merged))


def describe(error: BaseException) -> str:
    """One line for a Hydra, OmegaConf or YAML error, its cause included, with the key it names."""
    parts: list[str] = []
    current: BaseException | None = error
    while current is not None:
        lines = str(current).partition("Config search path:")[0].splitlines()
        text = " ".join(" ".join(line for line in lines if "_type=" not in line).split())
        text = re.sub(r" full_key: (\S+)$", r" (\1)", text)
        if text and not any(text in part for part in parts):
            parts.append(text)
        current = current.__cause__
    return ": ".join(parts)


def instantiate(node: Any, *args: Any, **kwargs: Any) -> Any:
    """Build the object that a config node with `_target_` describes, after checking its keys and types.

    Args:
        node: a mapping with `_target_`, or a list or mapping of such; nested ones are built first.
        args: positional arguments for the target, before those of the node.
        kwargs: keyword arguments for the target, over those of the node.

    Raises:
        UsageError: an unknown key, a value of the wrong type, a target that does not exist, or a value
            the constructor refuses with `ValueError` or `TypeError`.
    """
    plain = OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node
    for place, target in _targets(plain, ""):
        _check_arguments(place, target)
    try:
        return hydra.utils.instantiate(plain, *args, _convert_="all", **kwargs)
    except InstantiationException as error:
        cause = error.__cause__
        if isinstance(cause, CommandError):
            raise cause from None
        if cause is None or isinstance(cause, ValueError | TypeError | ImportError):
            raise UsageError(describe(error)) from error
        raise cause from None


def _targets(node: Any, place: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every mapping with `_target_` inside a node, with its dotted place."""
    if isinstance(node, Mapping):
        if "_target_" in node:
            yield place, node
        for key, value in node.items():
            yield from _targets(value, f"{place}.{key}" if place else str(key))
    elif isinstance(node, list):
        for number, value in enumerate(node):
            yield from _targets(value, f"{place}[{number}]")


def _check_arguments(place: str, node: Mapping[str, Any]) -> None:
    name = str(node["_target_"])
    where = f"{place}: {name}" if place else name
    try:
        target = hydra.utils.get_object(name)
    except (ImportError, AttributeError, ValueError, HydraException) as error:
        raise UsageError(f"{where}: cannot be imported: {describe(error)}") from error
    parameters = inspect.signature(target).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    hints = get_type_hints(target.__init__ if inspect.isclass(target) else target)
    for key, value in node.items():
        if key in ("_target_", "_partial_", "_args_", "_convert_", "_recursive_"):
            continue
        if key not in parameters:
            accepted = ", ".join(parameters) or "none"
            raise UsageError(f"{where}: unknown key '{key}'; accepted keys: {accepted}")
        if not _fits(value, hints.get(key, Any)):
            expected = inspect.formatannotation(hints[key])
            raise UsageError(f"{where}: '{key}' must be {expected}, not {value!r}")


def _fits(value: Any, annotation: Any) -> bool:
    """Whether a YAML value can stand for an annotation; annotations YAML cannot spell are let through."""
    if isinstance(value, Mapping) and "_target_" in value:
        return True
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return any(_fits(value, choice) for choice in inner)
    if origin in (list, Sequence, tuple):
        return isinstance(value, list) and all(_fits(element, inner[0]) for element in value)
    if origin in (dict, Mapping):
        return isinstance(value, Mapping) and all(_fits(element, inner[1]) for element in value.values())
    scalars: dict[Any, tuple[type, ...]] = {
        bool: (bool,),
        int: (int,),
        float: (int, float),
        str: (str,),
        Path: (str, Path),
        types.NoneType: (types.NoneType,),
    }
    if annotation not in scalars:
        return True
    return isinstance(value, scalars[annotation]) and (annotation is bool or not isinstance(value, bool))


def require(name: str, value: float, least: float, most: float = math.inf) -> None:
    """Check a number of a configuration.

    Raises:
        UsageError: it lies outside least…most.
    """
    if not least <= value <= most:
        bounds = f"at least {least:g}" if math.isinf(most) else f"within {least:g}…{most:g}"
        raise UsageError(f"{name} must be {bounds}, not {value:g}")
