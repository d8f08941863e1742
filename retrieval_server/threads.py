"""The one place that says how many threads the libraries under a server may use."""

import os
import sys

import faiss
import torch

SWITCH_SECONDS = 0.001
"""After how long a thread that computes in Python lets another one in. Of itself that is 5 ms, which a call would wait
several times while a version is loaded beside it, and a refusal as long as an answer takes."""


def limit_process(threads: int) -> None:
    """Hold what is set for the whole process: to be called once, before anything is loaded.

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
