"""The funnel: what channels recall, in one order, and what a ranker makes of its head."""

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
from towers.candidates.candidate_pool import TOWERS, Found, Pools
from towers.candidates.channels import KINDS, FittedChannel
from towers.candidates.fusion import FittedFusion, WeightedScores, described, restored
from towers.candidates.item_statistics import ItemStatistics
from towers.events.history import History

FUNNEL, QUERY_FUNNEL = "funnel", "query_funnel"
"""Folders of a run's, and of a bundle's, funnels: of those who ask for nothing, and of those who ask by a query."""

CONFIG, CHANNELS = "funnel.json", "channels"
FORMAT_VERSION = 3

TOWERS_ALONE = WeightedScores(weights=[1.0], deviations=[1.0])
"""The fusion of one channel: its own order."""

Exact = Callable[[int, NDArray[np.int64]], NDArray[np.float32]]
"""The towers' scores of rows [n] for the user at a place, [n]."""

Open = Callable[[int, NDArray[np.int64]], NDArray[np.bool_]]
"""Which of rows [n] may come back for the user at a place, [n]."""


@dataclass(frozen=True)
class Funnel:
    """Channels beside the towers, how their candidates are ordered, and what is known of items.

    Attributes:
        channels: by name; the towers, which come first everywhere, are none of them.
        fusion: orders a pool.
        ranker: orders the head of the fused order anew; None where that was not better.
        facts: of the items.
        depth: items taken from the towers, at least.
        channel_depth: items taken from each other channel.
        candidates: length of the head.
    """

    channels: Mapping[str, FittedChannel]
    fusion: FittedFusion
    ranker: FittedFusion | None
    facts: ItemStatistics
    depth: int
    channel_depth: int
    candidates: int

    @property
    def names(self) -> list[str]:
        """Names of all channels, the towers first: the columns of a pool's scores and places."""
        return [TOWERS, *self.channels]

    def pools(
        self, histories: Sequence[History], queries: Sequence[str], towers: Sequence[Found], exact: Exact, may: Open
    ) -> list[Pools]:
        """What the channels offer each of B users.

        Of somebody who asks the channels see the query alone: what they had before speaks through the towers.

        Args:
            histories, queries: who asks, B of each.
            towers: what the towers found for each, B of them; only what may come back.
            exact: the towers' scores of what others found.
            may: tells what may come back of what others found.
        """
        seen = [History.empty() if query else history for history, query in zip(histories, queries, strict=True)]
        known = [channel.scores(seen, queries) for channel in self.channels.values()]
        return [self._pool(user, history, towers[user], known, exact, may) for user, history in enumerate(seen)]

    def _pool(
        self, user: int, history: History, towers: Found, known: Sequence[sp.csr_array], exact: Exact, may: Open
    ) -> Pools:
        mine, lists = [_row(table, user) for table in known], [towers]
        for rows, scores in mine:
            kept = (scores > 0) & may(user, rows)
            lists.append(Found.best(rows[kept], scores[kept], self.channel_depth))

        def score(rows: NDArray[np.int64]) -> NDArray[np.float32]:
            return np.stack([exact(user, rows), *(_looked_up(*one, rows) for one in mine)], axis=1)

        return Pools.of_one(lists, score, lambda rows: self.facts.about(rows, history))

    def of_channels(self, names: Sequence[str], whole: "Funnel") -> "Funnel":
        """The same order over some channels of another funnel, and over its facts."""
        return replace(self, channels={name: whole.channels[name] for name in names}, facts=whole.facts)

    def over(self, places: NDArray[np.int64], items: pd.DataFrame) -> "Funnel":
        """The same funnel over another catalogue; arguments as of `ItemStatistics.over`."""
        channels = {name: channel.over(places, items) for name, channel in self.channels.items()}
        return replace(self, channels=channels, facts=self.facts.over(places, items))

    def grown(self, items: pd.DataFrame) -> "Funnel":
        """The same funnel for a catalogue with items added behind; towers and channels of words can find them."""
        channels = {name: channel.grown(items) for name, channel in self.channels.items()}
        return replace(self, channels=channels, facts=self.facts.grown(items))

    @property
    def orders(self) -> bool:
        """Whether it does anything that the towers' own order does not."""
        return bool(self.channels) or self.ranker is not None

    def head(self, pools: Pools, fused: NDArray[np.float64]) -> NDArray[np.bool_]:
        """The candidates that a ranker orders: the first of each user in the fused order, [T]."""
        return pools.ranks(fused) <= self.candidates

    def save(self, folder: Path) -> None:
        """Write everything `load` needs into `folder`: arrays and JSON."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, channel in self.channels.items():
            channel.save(folder / CHANNELS / name)
        self.facts.save(folder)
        settings = {
            "format": FORMAT_VERSION,
            "channels": list(self.channels),
            "fusion": described(self.fusion),
            "ranker": None if self.ranker is None else described(self.ranker),
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
            channels={name: FittedChannel.load(folder / CHANNELS / name, KINDS) for name in settings["channels"]},
            fusion=restored(settings["fusion"]),
            ranker=None if settings["ranker"] is None else restored(settings["ranker"]),
            facts=ItemStatistics.load(folder),
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
    place = np.minimum(np.searchsorted(known, rows), len(known) - 1)
    return np.where(known[place] == rows, scores[place], np.float32(0))
