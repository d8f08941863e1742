"""Messages between the supervisor and its workers, sent over a pipe."""

from dataclasses import dataclass
from pathlib import Path

from data_prep.errors import CommandError
from retrieval_server.bundles.swapping import SwapResult
from retrieval_server.process.serve import LoadedBundle


@dataclass(frozen=True)
class Serve:
    """To a worker: answer from what you have loaded."""


@dataclass(frozen=True)
class Prepare:
    """To a worker: load the bundle in a folder; answer `BundlePrepared`."""

    folder: Path


@dataclass(frozen=True)
class Commit:
    """To a worker: serve what you have prepared."""

    previous: str
    count: int


@dataclass(frozen=True)
class Discard:
    """To a worker: forget what you have prepared; another worker could not."""


@dataclass(frozen=True)
class Stop:
    """To a worker: drain and end."""


@dataclass(frozen=True)
class SwapOutcome:
    """To a worker: the outcome of the swap that an operator asked it for."""

    swapped: SwapResult | None
    version: str
    refusal: str
    under_way: bool


@dataclass(frozen=True)
class Ready:
    """From a worker: loaded and warm."""

    loaded: LoadedBundle
    address: str


@dataclass(frozen=True)
class BundlePrepared:
    """From a worker: the bundle in a folder is ready, or `fault` says why not."""

    folder: Path
    version: str
    fault: str


@dataclass(frozen=True)
class Failed:
    """From a worker: it cannot start."""

    error: CommandError


@dataclass(frozen=True)
class SwapRequested:
    """From a worker: an operator asks for a version, None for the one before."""

    version: str | None


@dataclass(frozen=True)
class Drained:
    """From a worker: stopped, and whether every call in flight was answered."""

    finished: bool
