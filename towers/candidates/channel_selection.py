"""Channel selection: the channels worth having beside the towers, chosen on half of the users."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import GateFailed
from data_prep.files import read_json, write_json
from towers.candidates.channels import FittedChannel
from towers.candidates.funnel import CHANNELS, TOWERS_ALONE, Funnel
from towers.candidates.fusion import FittedFusion, Fusion, fusion_from_json, fusion_to_json
from towers.candidates.fusion.features import standing
from towers.candidates.labelled_pools import LabelledPools
from towers.metrics.bootstrap import Bootstrap
from towers.metrics.paired import PairedComparison, greedy_ascent

VARIANTS = "variants.json"

ITEM_PARTS = 2
"""Parts of the catalogue, each scored by a fusion that learnt from the others."""


def choose_channels(
    labelled: LabelledPools, names: Sequence[str], fusion: Fusion, certainty: float, by_item: bool = False
) -> list[int]:
    """The channels that are worth having, added one at a time as `greedy_ascent` does.

    Every user is ranked by a fusion that was fitted to the other half of the users.

    Args:
        labelled: users to choose by.
        names: of all channels, the towers first.
        fusion: fuses them.
        certainty: standard errors that a channel must gain.
        by_item: as of `held_out_scores`.

    Returns:
        Columns of the channels, ascending, the towers' always.
    """

    @cache
    def ndcg(channels: tuple[int, ...]) -> NDArray[np.float64]:
        chosen = [names[channel] for channel in channels]
        return cross_validated_ndcg(labelled.only(channels), chosen, fusion, folds=2, seed=0, by_item=by_item)

    def moves(channels: tuple[int, ...]) -> list[tuple[int, ...]]:
        others = (channel for channel in range(len(names)) if channel not in channels)
        return [tuple(sorted([*channels, channel])) for channel in others]

    def figures(
        channels: tuple[int, ...], following: Sequence[tuple[int, ...]]
    ) -> tuple[NDArray[np.float64], list[NDArray[np.float64]]]:
        return ndcg(channels), [ndcg(more) for more in following]

    start: tuple[int, ...] = (0,)
    chosen = greedy_ascent(start, moves, figures, certainty, len(names))
    return list(chosen)


def held_out_scores(
    learning: LabelledPools, held_out: LabelledPools, names: Sequence[str], fusion: Fusion, by_item: bool
) -> NDArray[np.float64]:
    """Scores of the candidates of some users by a fusion that was fitted to others, [T].

    Args:
        learning: users the fusion is fitted to.
        held_out: users whose candidates are scored.
        names: of the channels.
        fusion: is fitted.
        by_item: whether an item is scored by a fusion that never saw that item, if the fusion could recognise it.
            Boosted trees tell an item by its popularity, to the digit, and so learn how often it is relevant,
            not items like it: worth something only as long as the items' statistics stay as they were learnt from.
    """
    if not (by_item and fusion.reads_item_features):
        return fusion.fit(learning, names).scores(held_out.pools)
    scores = np.zeros(len(held_out.pools.rows))
    for part in range(ITEM_PARTS):
        of_part = held_out.pools.rows % ITEM_PARTS == part
        others = learning.kept(learning.pools.rows % ITEM_PARTS != part)
        try:
            fused = fusion.fit(others, names).scores(held_out.pools)
        except GateFailed:  # none of the other items is relevant to anyone, so these stay in the towers' order
            fused = held_out.pools.scores[:, 0].astype(np.float64)
        users = held_out.pools.users[of_part]
        scores[of_part] = standing(users, fused[of_part], len(held_out))  # the fits have no scale in common
    return scores


def cross_validated_ndcg(
    labelled: LabelledPools, names: Sequence[str], fusion: Fusion, folds: int, seed: int, by_item: bool = False
) -> NDArray[np.float64]:
    """NDCG@10 of each user by a fusion that was fitted to the users of the other folds, [U].

    Args:
        labelled: the users.
        names: of the channels.
        fusion: is fitted.
        folds: parts of the users.
        seed: draws the folds.
        by_item: as of `held_out_scores`.
    """
    fold = np.random.default_rng((seed, 2)).permutation(len(labelled)) % folds
    figures = np.zeros(len(labelled))
    for number in range(folds):
        learning, held_out = labelled.of(fold != number), labelled.of(fold == number)
        figures[fold == number] = held_out.ndcg(held_out_scores(learning, held_out, names, fusion, by_item))
    return figures


@dataclass(frozen=True)
class SelectedChannels:
    """The channels that were worth having.

    Attributes:
        columns: of the channels, the towers' always.
        fusion: fuses them.
        gain: of the fused order beside the towers' own, on the users that chose nothing; None where no channel was
            worth trying there.
    """

    columns: list[int]
    fusion: FittedFusion
    gain: PairedComparison | None


@dataclass(frozen=True)
class ChannelSelection:
    """Users, or queries, with the pools of all channels; half of them choose, the other half compares.

    Attributes:
        everyone: all of them.
        names: of the channels, the towers first.
        fusion: fuses channels.
        certainty: standard errors that a channel and the fused order must gain.
        bootstrap: of intervals.
        by_item: as of `held_out_scores`.
    """

    everyone: LabelledPools
    names: Sequence[str]
    fusion: Fusion
    certainty: float
    bootstrap: Bootstrap
    by_item: bool

    @cached_property
    def choosing(self) -> NDArray[np.bool_]:
        """Which of them choose channels and fusion, [U]: half, drawn by the seed of the intervals."""
        choosing = np.zeros(len(self.everyone), bool)
        order = np.random.default_rng((self.bootstrap.seed, 1)).permutation(len(self.everyone))
        choosing[order[: len(self.everyone) // 2]] = True
        return choosing

    def fused(self, channels: Sequence[int]) -> FittedFusion:
        """The fusion of some channels, fitted to the users that choose."""
        return self.fusion.fit(self.everyone.of(self.choosing).only(channels), self._names_of(channels))

    def _names_of(self, channels: Sequence[int]) -> list[str]:
        return [self.names[channel] for channel in channels]

    def choose(self) -> SelectedChannels:
        """The channels that are worth having, their fusion, and its gain beside the towers alone."""
        choosing, others = self.everyone.of(self.choosing), self.everyone.of(~self.choosing)
        chosen = choose_channels(choosing, self.names, self.fusion, self.certainty, self.by_item)
        if len(chosen) == 1:
            return SelectedChannels([0], TOWERS_ALONE, None)
        alone, narrowed = others.only([0]), others.only(chosen)
        scores = held_out_scores(choosing.only(chosen), narrowed, self._names_of(chosen), self.fusion, self.by_item)
        before, after = alone.ndcg(TOWERS_ALONE.scores(alone.pools)), narrowed.ndcg(scores)
        gain = PairedComparison.of(before, after, self.bootstrap)
        if gain.exceeds(self.certainty):
            return SelectedChannels(chosen, self.fused(chosen), gain)
        return SelectedChannels([0], TOWERS_ALONE, gain)

    def variants(self) -> "list[Variant]":
        """The fusions of an ablation: each channel beside the towers, all of them, all but each."""
        names, everything = self.names, list(range(len(self.names)))
        sets = {f"towers + {names[channel]}": [0, channel] for channel in everything[1:]}
        if len(names) > 2:
            sets["all channels"] = everything
            sets |= {
                f"all but {names[left_out]}": [c for c in everything if c != left_out] for left_out in everything[1:]
            }
        return [
            Variant(name, [names[channel] for channel in channels[1:]], self.fused(channels))
            for name, channels in sets.items()
        ]


@dataclass(frozen=True)
class Variant:
    """A fusion of some of the channels.

    Attributes:
        name: as it stands in tables.
        channels: names of those beside the towers.
        fusion: fitted to them.
    """

    name: str
    channels: list[str]
    fusion: FittedFusion


def save_variants(folder: Path, whole: Funnel, variants: Sequence[Variant]) -> None:
    """Write every channel, and the variants, for `load_variants` to read.

    Args:
        folder: of the funnel, in which the channels that it keeps lie already.
        whole: the funnel with all channels.
        variants: of it.
    """
    for name, channel in whole.channels.items():
        if not (folder / CHANNELS / name).exists():
            channel.save(folder / CHANNELS / name)
    saved = [{"name": v.name, "channels": v.channels, "fusion": fusion_to_json(v.fusion)} for v in variants]
    write_json(folder / VARIANTS, {"channels": list(whole.channels), "variants": saved})


def load_variants(folder: Path) -> tuple[Funnel, list[Variant]]:
    """The funnel with all channels, and the variants of it."""
    funnel, saved = Funnel.load(folder), read_json(folder / VARIANTS)
    channels = {name: FittedChannel.load(folder / CHANNELS / name) for name in saved["channels"]}
    variants = [Variant(v["name"], v["channels"], fusion_from_json(v["fusion"])) for v in saved["variants"]]
    return replace(funnel, channels=channels), variants
