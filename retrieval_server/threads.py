"""The one place that says how many threads the libraries under a worker may use."""

import faiss
import torch


def limit_threads(threads: int) -> None:
    """Hold the calling thread's searches to one thread and its model computations to `threads`.

    FAISS counts per calling thread, and parallel search of a single query costs more than it gains: 8 threads took
    2.2 times the processor time of one.
    """
    faiss.omp_set_num_threads(1)
    torch.set_num_threads(threads)
