"""Numbers of threads that the libraries under a server may use, and the cores they keep to."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import faiss
import torch

from data_prep.errors import UsageError

SWITCH_SECONDS = 0.001
"""After how long a thread that computes in Python lets another one in. Of itself that is 5 ms, which a call would wait
several times while a version is loaded beside it, and a refusal as long as an answer takes."""


def limit_process(threads: int) -> None:
    """Set the limits of the whole process: to be called once, before anything is loaded.

    Tokenizers would split every batch over all cores. The threads that compute are the server's own (handlers, streams,
    reranking); each calls `limit_threads` when it starts.

    Args:
        threads: threads that a model computation may use.
    """
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    sys.setswitchinterval(SWITCH_SECONDS)
    limit_threads(threads)


def limit_threads(threads: int) -> None:
    """Hold the calling thread's searches to one thread and its model computations to `threads`.

    FAISS counts per calling thread, and parallel search of a single query costs more than it gains: 8 threads took
    2.2 times the processor time of one.
    """
    faiss.omp_set_num_threads(1)
    torch.set_num_threads(threads)


@contextmanager
def on_core(number: int | None) -> Iterator[None]:
    """Have the threads that are started in this block, and those that they start, keep to one processor core.

    Python computes in one thread at a time. Threads on several cores pay for every change of turns with what the other
    core's caches hold: a Recall by 16 of them took 2.2 ms of processor time, and 1.7 ms on one core.

    Args:
        number: which of the cores that the process may use, counted around; None for all of them.

    Raises:
        UsageError: the system cannot do it.
    """
    if number is None:
        yield
        return
    if not hasattr(os, "sched_setaffinity"):
        raise UsageError(f"core={number}: this system does not tie threads to cores; leave it null")
    cores = sorted(os.sched_getaffinity(os.getpid()))
    os.sched_setaffinity(0, {cores[number % len(cores)]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def limit_beside(threads: int) -> None:
    """As `limit_threads`, for a thread that works beside those that `on_core` ties: on any core of the process."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, os.sched_getaffinity(os.getpid()))
    limit_threads(threads)
