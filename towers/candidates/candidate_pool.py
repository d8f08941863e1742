"""What recall channels offer a user together: every item that one of them found, with what each says of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

TOWERS = "towers"
"""Name of the first channel: the model's one vector, searched in the index."""


@dataclass(frozen=True)
class Found:
    """The best items of one channel for one user.

    Attributes:
        rows: items [n], best first.
        scores: of each [n], in the channel's own unit.
    """

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]

    @classmethod
    def best(cls, rows: NDArray[np.int64], scores: NDArray[np.float32], k: int) -> "Found":
        """The k items of highest score; of equal ones those of lower row."""
        if len(rows) > k:
            near = scores >= np.partition(scores, len(scores) - k)[len(scores) - k]
            rows, scores = rows[near], scores[near]
        order = np.lexsort((rows, -scores))[:k]
        return cls(rows[order], scores[order])


@dataclass(frozen=True)
class Pools:
    """The pools of U users, one behind the other, T candidates in all.

    Attributes:
        offsets: the candidates of user u are at offsets[u]:offsets[u + 1], [U + 1].
        rows: items, [T], ascending within a user.
        scores: what each of C channels says of them, also of what it did not offer itself, [T, C].
        places: place of each in the channel's own list, 1 the best; 0 for what it did not offer, [T, C].
        about: what is known of item and user beside that, columns as `facts.ABOUT`, [T, A]; NaN where nothing is.
    """

    offsets: NDArray[np.int64]
    rows: NDArray[np.int64]
    scores: NDArray[np.float32]
    places: NDArray[np.int32]
    about: NDArray[np.float32]

    @classmethod
    def of_one(
        cls,
        lists: Sequence[Found],
        score: Callable[[NDArray[np.int64]], NDArray[np.float32]],
        about: Callable[[NDArray[np.int64]], NDArray[np.float32]],
    ) -> "Pools":
        """The pool of one user.

        Args:
            lists: what each of C channels found.
            score: scores of given rows by all channels, [n] -> [n, C].
            about: what else is known of given rows, [n] -> [n, A].
        """
        rows = np.unique(np.concatenate([found.rows for found in lists]))
        places = np.zeros((len(rows), len(lists)), np.int32)
        for channel, found in enumerate(lists):
            places[np.searchsorted(rows, found.rows), channel] = np.arange(1, len(found.rows) + 1)
        return cls(np.array([0, len(rows)]), rows, score(rows), places, about(rows))

    @classmethod
    def joined(cls, parts: Sequence["Pools"]) -> "Pools":
        """The pools of several, at least one, one behind the other."""
        lengths = np.concatenate([np.zeros(1, np.int64), *(np.diff(part.offsets) for part in parts)])
        rest = ("rows", "scores", "places", "about")
        return cls(np.cumsum(lengths), *(np.concatenate([getattr(part, name) for part in parts]) for name in rest))

    def __len__(self) -> int:
        """Number of users."""
        return len(self.offsets) - 1

    @property
    def users(self) -> NDArray[np.int64]:
        """User of each candidate, [T]."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    def offered(self, channels: Sequence[int]) -> NDArray[np.bool_]:
        """Which candidates some channels offered, [T]."""
        return np.asarray((self.places[:, channels] > 0).any(axis=1))

    def only(self, channels: Sequence[int]) -> "Pools":
        """The pools as they were without the other channels, for columns `channels` of `scores` and `places`."""
        narrowed = replace(self, scores=self.scores[:, channels], places=self.places[:, channels])
        return narrowed.kept(self.offered(channels))

    def kept(self, chosen: NDArray[np.bool_]) -> "Pools":
        """The same users with some of their candidates, [T]."""
        ends = np.concatenate([[0], np.cumsum(chosen)])
        return Pools(
            ends[self.offsets],
            self.rows[chosen],
            self.scores[chosen],
            self.places[chosen],
            self.about[chosen],
        )

    def of(self, users: NDArray[np.bool_]) -> "Pools":
        """The pools of some users, [U]."""
        inside = self.kept(users[self.users])
        return replace(inside, offsets=np.append(0, inside.offsets[1:][users]))

    def order(self, scores: NDArray[np.floating]) -> NDArray[np.int64]:
        """Positions of all candidates, [T], each user's best first by some scores [T]; of equal ones the lower row."""
        return np.lexsort((self.rows, -scores, self.users))

    def ranks(self, scores: NDArray[np.floating]) -> NDArray[np.int64]:
        """Rank of each candidate within its user's pool, 1 the best, [T]."""
        order = self.order(scores)
        ranks = np.empty(len(order), np.int64)
        ranks[order] = np.arange(len(order)) - self.offsets[self.users[order]] + 1
        return ranks


def stretched(scores: NDArray[np.float32], like: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scores [n] in their own order, with mean and deviation of others [n].

    A cross-encoder has learnt what the towers' scores are worth beside what it reads; a fused order speaks to it in
    their unit.
    """
    if not len(scores):
        return scores
    spread = scores.std(dtype=np.float64)
    unit = like.std(dtype=np.float64) / spread if spread > 1e-9 else 0.0
    moved = (scores - scores.mean(dtype=np.float64)) * unit + like.mean(dtype=np.float64)
    return np.asarray(moved, np.float32)
