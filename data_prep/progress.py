"""Progress of a long loop: a bar on a terminal, a line now and then in a log."""

import logging
import time
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

from rich.console import Console
from rich.progress import track as bar

LOG_EVERY = 10.0
"""Seconds between two log lines when there is no terminal."""

T = TypeVar("T")

log = logging.getLogger(__name__)


def track(iterable: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Yield from an iterable and show how far it is.

    Args:
        iterable: to be walked over.
        description: of the work, "Encoding items".
        total: number of elements, where `len(iterable)` does not tell.
    """
    if total is None and isinstance(iterable, Sized):
        total = len(iterable)
    console = Console(stderr=True)
    if console.is_terminal:
        yield from bar(iterable, description, total=total, console=console, transient=True)
    else:
        yield from _logged(iterable, description, total)


def _logged(iterable: Iterable[T], description: str, total: int | None) -> Iterator[T]:
    due = time.monotonic() + LOG_EVERY
    for number, element in enumerate(iterable):
        if time.monotonic() >= due:
            due = time.monotonic() + LOG_EVERY
            log.info("%s: %s", description, f"{number:,}" if total is None else f"{number:,} of {total:,}")
        yield element
