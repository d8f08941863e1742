"""What a peer is given and what it gives back. Needs numpy alone: every peer's environment imports it.

A peer sees what happened before the test part, never the answers. It chooses how long to train on the validation part,
trains once more on all it sees, and returns a vector for every test case and for every item; ranking and metrics are
ours.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

CHUNK = 256
CUTOFF = 10

Rows = NDArray[np.int64]
Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Material:
    """The log up to the test part.

    Attributes:
        offsets: [U + 1]; events of user u are at offsets[u]:offsets[u + 1], oldest first.
        rows: [E] item of each event, 0…num_items-1.
        valid: [E] whether the event belongs to the validation part.
        num_items: N.
        exclude_seen: whether items of the history are neither recommended nor wanted.
        valid_users, valid_truth, valid_bounds: users to validate on [V], the items to be found, where each one's begin.
        test_users: [C] users of the test cases; all their events given here are their history.
    """

    offsets: Rows
    rows: Rows
    valid: NDArray[np.bool_]
    num_items: int
    exclude_seen: bool
    valid_users: Rows
    valid_truth: Rows
    valid_bounds: Rows
    test_users: Rows

    @classmethod
    def read(cls, path: Path) -> "Material":
        """What `write` wrote."""
        with np.load(path) as file:
            fields = {name: file[name] for name in file.files}
        return cls(**{k: v.item() if v.ndim == 0 else v for k, v in fields.items()})

    def write(self, path: Path) -> None:
        """Write for `read`."""
        np.savez_compressed(path, **self.__dict__)

    def histories(self, with_valid: bool) -> list[Rows]:
        """Each user's events, oldest first; without those of the validation part unless asked for."""
        known = np.concatenate([[0], np.cumsum(~self.valid | with_valid)])
        kept = self.rows[~self.valid | with_valid]
        bounds = known[self.offsets]
        return [kept[a:b] for a, b in pairwise(bounds)]

    def ndcg(self, user_vectors: Vectors, item_vectors: Vectors, known: NDArray[np.bool_]) -> float:
        """Mean NDCG@10 of the validation users, [V, d] against the whole catalogue [N, d]; unknown items come last."""
        histories, total = self.histories(with_valid=False), 0.0
        for start in range(0, len(user_vectors), CHUNK):
            scores = user_vectors[start : start + CHUNK] @ item_vectors.T  # [b, N]
            scores[:, ~known] = -np.inf
            for case, own in enumerate(scores, start):
                wanted = self.valid_truth[self.valid_bounds[case] : self.valid_bounds[case + 1]]
                if self.exclude_seen:
                    own[histories[self.valid_users[case]]] = -np.inf
                ranks = 1 + (own[None, :] > own[wanted][:, None]).sum(axis=1)
                ranks = ranks[(ranks <= CUTOFF) & np.isfinite(own[wanted])]
                ideal = 1 / np.log2(2 + np.arange(min(len(wanted), CUTOFF)))
                total += (1 / np.log2(1 + ranks)).sum() / ideal.sum()
        return float(total / len(user_vectors))


@dataclass(frozen=True)
class Answer:
    """What a peer made.

    Attributes:
        users: [C, d] vectors of the test cases.
        items: [N, d] vectors of the catalogue.
        known: [N] whether training saw the item; others are ranked last.
        notes: what is worth telling: epochs, validation figures, versions.
    """

    users: Vectors
    items: Vectors
    known: NDArray[np.bool_]
    notes: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> "Answer":
        """What `write` wrote."""
        with np.load(path) as file:
            return cls(file["users"], file["items"], file["known"], json.loads(str(file["notes"])))

    def write(self, path: Path) -> None:
        """Write for `read`."""
        np.savez(path, users=self.users, items=self.items, known=self.known, notes=json.dumps(self.notes))


def batches(rows: list[Rows], size: int) -> Iterator[list[Rows]]:
    """Lists of at most `size`, in order."""
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def padded(histories: list[Rows], length: int, left: bool) -> Rows:
    """The newest `length` events of each as numbers from 1, 0 where there are none: [B, length]."""
    out = np.zeros((len(histories), length), np.int64)
    for line, history in zip(out, histories, strict=True):
        newest = history[-length:] + 1
        if len(newest):
            line[slice(-len(newest), None) if left else slice(0, len(newest))] = newest
    return out


def serve(fit: Callable[[Material, dict[str, Any], int], Answer]) -> None:
    """The command line of every peer: read the material, fit, write the answer."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--material", type=Path, required=True)
    parser.add_argument("--answer", type=Path, required=True)
    parser.add_argument("--settings", type=json.loads, required=True)
    parser.add_argument("--seed", type=int, required=True)
    arguments = parser.parse_args()
    began = time.monotonic()
    answer = fit(Material.read(arguments.material), arguments.settings, arguments.seed)
    answer.notes["fit_seconds"] = time.monotonic() - began
    answer.write(arguments.answer)
