"""Memory given back to the system when a version is no longer served."""

import ctypes
import gc
import sys
from collections.abc import Callable


def give_back() -> None:
    """Free what only cycles keep, and hand the allocator's empty pages back.

    glibc keeps what a thread has freed for that thread: versions loaded by one thread after another would each leave
    their size behind.
    """
    gc.collect()
    if _trim is not None:
        _trim(0)


def _find_trim() -> Callable[[int], int] | None:
    """glibc's `malloc_trim`; None where the allocator is another one."""
    if not sys.platform.startswith("linux"):
        return None
    trim: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return trim


_trim = _find_trim()
