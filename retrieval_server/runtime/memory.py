"""Memory: given back to the system when a version is no longer served, and never searched for longer than a moment."""

import ctypes
import gc
import sys
from collections.abc import Callable


def settle() -> None:
    """Take all objects that there are out of the collector's sight: to be called before the first version is loaded.

    A collection lets no other thread in while it walks over every object. With torch and transformers imported that
    takes a third of a second, in which calls pile up; without what belongs to modules, which stay for good, 1 % of it.
    """
    import onnxruntime  # noqa: F401  what the first version would import otherwise
    import sentence_transformers  # noqa: F401
    from transformers import AutoModel, AutoTokenizer  # noqa: F401

    gc.collect()
    gc.freeze()


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
