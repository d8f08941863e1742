"""Commands: a function of a typed config with Hydra in front and documented exit codes behind."""

import functools
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from data_prep.config import CONFIG_ERRORS, CONFIG_FOLDER, describe, instantiate, load_config, typed
from data_prep.errors import CommandError, ExitCode, GateFailed, Locked, UsageError

__all__ = [
    "CommandError",
    "ExitCode",
    "GateFailed",
    "Locked",
    "UsageError",
    "command",
    "instantiate",
    "load_config",
]


C = TypeVar("C")

EXPECTED = (CommandError, *CONFIG_ERRORS)
"""Errors a user can act on: one line, no traceback."""


def command(schema: type[C], config_name: str) -> Callable[[Callable[[C], object]], Callable[[], None]]:
    """Make a function of one typed config into a command of the package.

    The command reads `conf/<config_name>.yaml` and the overrides on the command line, calls the function
    with a filled `schema`, hands its result to Hydra's callbacks, and leaves the process with an `ExitCode`.
    An error the user can act on is one line on stderr; anything else keeps its traceback and exits 1.

    Args:
        schema: the dataclass the composed config must fit; a choice among classes is a field of type `Any`.
        config_name: name of the root file in `conf/`, without `.yaml`.
    """

    def decorate(function: Callable[[C], object]) -> Callable[[], None]:
        def task(config: DictConfig) -> object:
            try:
                return function(typed(schema, config))
            except EXPECTED as error:
                if HydraConfig.get().mode is RunMode.MULTIRUN:
                    raise  # Hydra runs the sweep's other jobs first and says which overrides failed
                raise SystemExit(_report(error)) from None

        task.__module__ = function.__module__  # Hydra looks there for the job's name
        run = hydra.main(config_path=str(CONFIG_FOLDER), config_name=config_name, version_base="1.3")(task)

        def main() -> None:
            try:
                with _hydra_raises():
                    run()
            except (*EXPECTED, KeyboardInterrupt) as error:
                sys.exit(_report(error))

        functools.update_wrapper(main, function, assigned=("__module__", "__name__", "__qualname__", "__doc__"))
        del main.__wrapped__  # type: ignore[attr-defined]  # its signature is another
        return main

    return decorate


def _report(error: BaseException) -> ExitCode:
    """Say an expected error in one line on stderr, and give the code the process ends with."""
    if isinstance(error, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
        return ExitCode.INTERRUPTED
    message, code = (
        (str(error), error.exit_code) if isinstance(error, CommandError) else (describe(error), ExitCode.USAGE)
    )
    print(f"error: {message}", file=sys.stderr)
    return code


@contextmanager
def _hydra_raises() -> Iterator[None]:
    """Let exceptions out of `hydra.main`, which otherwise prints its own account of them and exits 1."""
    name = "HYDRA_FULL_ERROR"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
