"""The funnel: candidates of several recall channels in one fused order, its head ordered anew by a ranker."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from data_prep.errors import UsageError
from data_prep.files import read_json, write_json
from towers.candidates.candidate_pool import TOWERS, CandidatePools, ChannelCandidates
from towers.candidates.channels import FittedChannel
from towers.candidates.fusion import FittedFusion, WeightedScores, fusion_from_json, fusion_to_json
from towers.candidates.item_statistics import ItemStatistics
from towers.events.history import History

FUNNEL, QUERY_FUNNEL = "funnel", "query_funnel"
"""Folders of a run's, and of a bundle's, funnels: the one that answers users, and the one that answers queries."""

CONFIG, CHANNELS = "funnel.json", "channels"
FORMAT_VERSION = 5

TOWERS_ALONE = WeightedScores(weights=[1.0], deviations=[1.0])
"""The fusion of one channel: its own order."""

ExactScores = Callable[[int, NDArray[np.int64]], NDArray[np.float32]]
"""The towers' scores of rows [n] for the user of a position in the batch, [n]."""

Allowed = Callable[[int, NDArray[np.int64]], NDArray[np.bool_]]
"""Which of rows [n] may come back for the user of a position in the batch, [n]."""


@dataclass(frozen=True)
class Funnel:
    """Channels beside the towers, the order of their candidates, and the items' statistics.

    Attributes:
        channels: by name; the towers, which come first everywhere, are none of them.
        fusion: orders a pool.
        ranker: orders the head of the fused order anew; None where that was not better.
        item_statistics: of the catalogue.
        depth: items taken from the towers, at least.
        channel_depth: items taken from each other channel.
        candidates: length of the head.
    """

    channels: Mapping[str, FittedChannel]
    fusion: FittedFusion
    ranker: FittedFusion | None
    item_statistics: ItemStatistics
    depth: int
    channel_depth: int
    candidates: int

    @property
    def names(self) -> list[str]:
        """Names of all channels, the towers first: the columns of a pool's scores and channel ranks."""
        return [TOWERS, *self.channels]

    def pools(
        self,
        histories: Sequence[History],
        queries: Sequence[str],
        towers: Sequence[ChannelCandidates],
        exact: ExactScores,
        allowed: Allowed,
    ) -> list[CandidatePools]:
        """The candidate pools of B users.

        Of a user with a query the channels see the query alone: the history speaks through the towers.

        Args:
            histories, queries: of the users, B of each.
            towers: the towers' candidates of each, B of them; only what may come back.
            exact: the towers' scores of the other channels' candidates.
            allowed: which of the other channels' candidates may come back.
        """
        seen = [History.empty() if query else history for history, query in zip(histories, queries, strict=True)]
        tables = [channel.scores(seen, queries) for channel in self.channels.values()]
        return [self._pool(user, history, towers[user], tables, exact, allowed) for user, history in enumerate(seen)]

    def _pool(
        self,
        user: int,
        history: History,
        towers: ChannelCandidates,
        tables: Sequence[sp.csr_array],
        exact: ExactScores,
        allowed: Allowed,
    ) -> CandidatePools:
        by_channel, lists = [_row(table, user) for table in tables], [towers]
        for rows, scores in by_channel:
            kept = (scores > 0) & allowed(user, rows)
            lists.append(ChannelCandidates.best(rows[kept], scores[kept], self.channel_depth))

        def score(rows: NDArray[np.int64]) -> NDArray[np.float32]:
            return np.stack([exact(user, rows), *(_looked_up(*scored, rows) for scored in by_channel)], axis=1)

        return CandidatePools.of_user(lists, score, lambda rows: self.item_statistics.item_features(rows, history))

    def of_channels(self, names: Sequence[str], whole: "Funnel") -> "Funnel":
        """The same order over some channels of another funnel, and over its item statistics."""
        return replace(
            self, channels={name: whole.channels[name] for name in names}, item_statistics=whole.item_statistics
        )

    def over(self, new_rows: NDArray[np.int64], items: pd.DataFrame) -> "Funnel":
        """The same funnel over another catalogue; arguments as of `ItemStatistics.over`."""
        channels = {name: channel.over(new_rows, items) for name, channel in self.channels.items()}
        return replace(self, channels=channels, item_statistics=self.item_statistics.over(new_rows, items))

    def grown(self, items: pd.DataFrame) -> "Funnel":
        """The same funnel for a catalogue with items added behind; towers and channels of words can find them."""
        channels = {name: channel.grown(items) for name, channel in self.channels.items()}
        return replace(self, channels=channels, item_statistics=self.item_statistics.grown(items))

    @property
    def reorders(self) -> bool:
        """Whether its order can differ from the towers' own."""
        return bool(self.channels) or self.ranker is not None

    def head(self, pools: CandidatePools, fused: NDArray[np.float64]) -> NDArray[np.bool_]:
        """The candidates that a ranker orders: the first of each user in the fused order, [T]."""
        return pools.ranks(fused) <= self.candidates

    def save(self, folder: Path) -> None:
        """Write everything `load` needs into `folder`: arrays and JSON."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, channel in self.channels.items():
            channel.save(folder / CHANNELS / name)
        self.item_statistics.save(folder)
        settings = {
            "format": FORMAT_VERSION,
            "channels": list(self.channels),
            "fusion": fusion_to_json(self.fusion),
            "ranker": None if self.ranker is None else fusion_to_json(self.ranker),
            "depth": self.depth,
            "channel_depth": self.channel_depth,
            "candidates": self.candidates,
        }
        write_json(folder / CONFIG, settings)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote; arrays are mapped.

        Raises:
            UsageError: the folder holds no funnel, or one of another format.
        """
        if not (folder / CONFIG).is_file():
            raise UsageError(f"no funnel in {folder}: {CONFIG} is missing; python -m towers.train_funnel makes one")
        settings = read_json(folder / CONFIG)
        if settings["format"] != FORMAT_VERSION:
            raise UsageError(
                f"{folder}: format {settings['format']}, this version reads {FORMAT_VERSION}; train it anew"
            )
        return cls(
            channels={name: FittedChannel.load(folder / CHANNELS / name) for name in settings["channels"]},
            fusion=fusion_from_json(settings["fusion"]),
            ranker=None if settings["ranker"] is None else fusion_from_json(settings["ranker"]),
            item_statistics=ItemStatistics.load(folder),
            depth=settings["depth"],
            channel_depth=settings["channel_depth"],
            candidates=settings["candidates"],
        )


def _row(table: sp.csr_array, user: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The items that one user's row of scores has, ascending, and their scores."""
    part = slice(table.indptr[user], table.indptr[user + 1])
    order = np.argsort(table.indices[part], kind="stable")
    return table.indices[part][order].astype(np.int64), table.data[part][order]


def _looked_up(known: NDArray[np.int64], scores: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Scores of rows [n], 0 for those that are not among the known, which ascend."""
    if not len(known):
        return np.zeros(len(rows), np.float32)
    at = np.minimum(np.searchsorted(known, rows), len(known) - 1)
    return np.where(known[at] == rows, scores[at], np.float32(0))
