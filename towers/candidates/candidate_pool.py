"""Candidate pools: the items that recall channels offer a user together, each with its scores and features."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

TOWERS = "towers"
"""Name of the first channel: the model's one vector, searched in the index."""


@dataclass(frozen=True)
class ChannelCandidates:
    """The best items of one channel for one user.

    Attributes:
        rows: items [n], best first.
        scores: of each [n], in the channel's own unit.
    """

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]

    @classmethod
    def best(cls, rows: NDArray[np.int64], scores: NDArray[np.float32], k: int) -> "ChannelCandidates":
        """The k items of highest score; of equal ones those of lower row."""
        if len(rows) > k:
            near = scores >= np.partition(scores, len(scores) - k)[len(scores) - k]
            rows, scores = rows[near], scores[near]
        order = np.lexsort((rows, -scores))[:k]
        return cls(rows[order], scores[order])


@dataclass(frozen=True)
class CandidatePools:
    """The pools of U users, one behind the other, T candidates in all.

    Attributes:
        offsets: the candidates of user u are at offsets[u]:offsets[u + 1], [U + 1].
        rows: items, [T], ascending within a user.
        scores: by each of C channels, also of candidates that it did not offer itself, [T, C].
        channel_ranks: rank of each in the channel's own list, 1 the best; 0 if it did not offer it, [T, C].
        item_features: features of item and user beside the channels' scores, columns as
            `item_statistics.ITEM_FEATURES`, [T, A]; NaN where nothing is known.
    """

    offsets: NDArray[np.int64]
    rows: NDArray[np.int64]
    scores: NDArray[np.float32]
    channel_ranks: NDArray[np.int32]
    item_features: NDArray[np.float32]

    @classmethod
    def of_user(
        cls,
        lists: Sequence[ChannelCandidates],
        score: Callable[[NDArray[np.int64]], NDArray[np.float32]],
        item_features: Callable[[NDArray[np.int64]], NDArray[np.float32]],
    ) -> "CandidatePools":
        """The pool of one user.

        Args:
            lists: candidates of each of C channels.
            score: scores of given rows by all channels, [n] -> [n, C].
            item_features: other features of given rows, [n] -> [n, A].
        """
        rows = np.unique(np.concatenate([candidates.rows for candidates in lists]))
        channel_ranks = np.zeros((len(rows), len(lists)), np.int32)
        for channel, candidates in enumerate(lists):
            channel_ranks[np.searchsorted(rows, candidates.rows), channel] = np.arange(1, len(candidates.rows) + 1)
        return cls(np.array([0, len(rows)]), rows, score(rows), channel_ranks, item_features(rows))

    @classmethod
    def joined(cls, parts: Sequence["CandidatePools"]) -> "CandidatePools":
        """The pools of several, at least one, one behind the other."""
        lengths = np.concatenate([np.zeros(1, np.int64), *(np.diff(part.offsets) for part in parts)])
        columns = ("rows", "scores", "channel_ranks", "item_features")
        return cls(np.cumsum(lengths), *(np.concatenate([getattr(part, name) for part in parts]) for name in columns))

    def __len__(self) -> int:
        """Number of users."""
        return len(self.offsets) - 1

    @property
    def users(self) -> NDArray[np.int64]:
        """User of each candidate, [T]."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    def offered(self, channels: Sequence[int]) -> NDArray[np.bool_]:
        """Which candidates some channels offered, [T]."""
        return np.asarray((self.channel_ranks[:, channels] > 0).any(axis=1))

    def only(self, channels: Sequence[int]) -> "CandidatePools":
        """The pools as they were without the other channels, for columns of `scores` and `channel_ranks`."""
        narrowed = replace(self, scores=self.scores[:, channels], channel_ranks=self.channel_ranks[:, channels])
        return narrowed.kept(self.offered(channels))

    def kept(self, chosen: NDArray[np.bool_]) -> "CandidatePools":
        """The same users with some of their candidates, [T]."""
        ends = np.concatenate([[0], np.cumsum(chosen)])
        return CandidatePools(
            ends[self.offsets],
            self.rows[chosen],
            self.scores[chosen],
            self.channel_ranks[chosen],
            self.item_features[chosen],
        )

    def of(self, users: NDArray[np.bool_]) -> "CandidatePools":
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


def rescaled(scores: NDArray[np.float32], like: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scores [n] in their own order, with mean and deviation of others [n].

    A cross-encoder has learnt how much the towers' scores are worth beside its own; a fused order reaches it in their
    unit.
    """
    if not len(scores):
        return scores
    spread = scores.std(dtype=np.float64)
    unit = like.std(dtype=np.float64) / spread if spread > 1e-9 else 0.0
    moved = (scores - scores.mean(dtype=np.float64)) * unit + like.mean(dtype=np.float64)
    return np.asarray(moved, np.float32)
