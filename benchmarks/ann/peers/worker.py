"""A library in a process of its own: it builds its index once, then answers requests line by line.

Needs numpy alone, beside the library: every environment runs it. Each line read is a JSON request, each line written
after `ANSWER` the answer to it: how fast a setting is, or, in a file, what it finds.
"""

import importlib
import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

ANSWER = "answer: "

Rows = NDArray[np.int64]
Vectors = NDArray[np.float32]
Search = Callable[[Vectors], Rows]


class Library(Protocol):
    """What is measured. Everything it does, it does on the caller's thread."""

    def bytes(self) -> int:
        """Memory that a search may touch."""
        ...

    def search(self, setting: dict[str, Any], k: int) -> Search:
        """A function from queries [B, D] to rows [B, k], -1 where nothing was found; several threads may call it.

        Args:
            setting: how hard to search, in the library's own words.
            k: rows wanted.
        """
        ...


def rates(search: Search, queries: Vectors, batch: int, threads: int, seconds: float) -> dict[str, float]:
    """Queries answered per second of processor time and per second, by threads that each search batch after batch.

    Args:
        search: of the library.
        queries: [Q, D], over and over.
        batch: queries searched at once.
        threads: that search side by side.
        seconds: of processor time to spend, of all threads together.
    """
    batches = [np.ascontiguousarray(queries[i : i + batch]) for i in range(0, len(queries) - batch + 1, batch)]

    together = Barrier(threads + 1)

    def work(worker: int) -> int:
        number = worker * len(batches) // threads
        search(batches[number])  # before the clock starts: a thread's first search makes its working memory
        together.wait()
        done, until = 0, time.process_time() + seconds
        while done == 0 or time.process_time() < until:
            search(batches[(number + done) % len(batches)])
            done += 1
        return done * batch

    with ThreadPoolExecutor(threads) as pool:
        working = [pool.submit(work, worker) for worker in range(threads)]
        together.wait()
        cpu, wall = time.process_time(), time.perf_counter()
        answered = sum(one.result() for one in working)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return {"per_cpu_second": answered / cpu, "per_second": answered / wall}


def main(module: str, vectors: Path, queries: Path, settings: str) -> None:
    """Build, then answer until there are no more lines."""
    library_module = importlib.import_module(module)
    items, users = np.load(vectors), np.load(queries)
    start = time.process_time()
    library: Library = library_module.build(items, **json.loads(settings))
    built = time.process_time() - start
    _answer({"build_cpu_seconds": built, "bytes": library.bytes()})
    for line in sys.stdin:
        asked = json.loads(line)
        search = library.search(asked["setting"], asked["k"])
        if "save" in asked:
            found = [search(np.ascontiguousarray(users[i : i + 64])) for i in range(0, len(users), 64)]
            np.save(asked["save"], np.concatenate(found))
            _answer({})
        else:
            _answer(rates(search, users, asked["batch"], asked["threads"], asked["seconds"]))


def _answer(value: dict[str, Any]) -> None:
    print(ANSWER + json.dumps(value), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4])
