"""Which channels are worth having, and whether one order is better than another: on askers, paired with themselves."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import GateFailed
from data_prep.files import read_json, write_json
from towers.candidates.channels import KINDS, FittedChannel
from towers.candidates.funnel import CHANNELS, TOWERS_ALONE, Funnel
from towers.candidates.fusion import FittedFusion, Fusion, described, restored
from towers.candidates.fusion.features import standing
from towers.candidates.labelled_pools import LabelledPools
from towers.metrics.ranking_metrics import bootstrap_intervals

VARIANTS = "variants.json"

ITEM_PARTS = 2
"""Parts of the catalogue that are judged by what learnt from the others."""


@dataclass(frozen=True)
class Gain:
    """How far one order of the same users' candidates lies above another, by NDCG@10.

    Attributes:
        users: on whom.
        before, after: mean NDCG@10 of the two.
        mean, low, high: of the difference, user by user, with its bootstrap interval.
        error: the mean's standard error.
    """

    users: int
    before: float
    after: float
    mean: float
    low: float
    high: float
    error: float

    @classmethod
    def of(
        cls, before: NDArray[np.float64], after: NDArray[np.float64], samples: int, confidence: float, seed: int
    ) -> "Gain":
        """Of the NDCG of U users, [U] each; the rest as of `bootstrap_intervals`."""
        difference = after - before
        low, high = bootstrap_intervals(difference[:, np.newaxis], samples, confidence, seed)
        means = float(before.mean()), float(after.mean()), float(difference.mean())
        return cls(len(before), *means, float(low[0]), float(high[0]), float(difference.std() / len(before) ** 0.5))

    def sure(self, certainty: float) -> bool:
        """Whether the mean exceeds so many standard errors."""
        return self.mean > certainty * self.error

    def told(self, whom: str = "users") -> str:
        """In words, the users by another name where they are something else."""
        return (
            f"NDCG@10 {self.after:.4f} beside {self.before:.4f}, difference {self.mean:+.4f} "
            f"({self.low:+.4f} … {self.high:+.4f}) on {self.users:,} {whom}"
        )


def choose_channels(
    labelled: LabelledPools, names: Sequence[str], fusion: Fusion, certainty: float, by_item: bool = False
) -> list[int]:
    """The channels that are worth having, found one at a time.

    The one that gains most is added as long as its mean gain exceeds `certainty` standard errors. Every user is judged
    by a fusion that was fitted to the other half of the users.

    Args:
        labelled: users to choose by.
        names: of all channels, the towers first.
        fusion: what fuses them.
        certainty: in standard errors.
        by_item: as of `scores_by_others`.

    Returns:
        Columns of the channels, ascending, the towers' always.
    """

    def judged(channels: Sequence[int]) -> NDArray[np.float64]:
        named = [names[channel] for channel in channels]
        return crossed(labelled.only(channels), named, fusion, folds=2, seed=0, by_item=by_item)

    chosen = [0]
    best = judged(chosen)
    while len(chosen) < len(names):
        tried = {channel: judged(sorted([*chosen, channel])) for channel in range(len(names)) if channel not in chosen}
        gains = {channel: found - best for channel, found in tried.items()}
        sure = {c: g.mean() for c, g in gains.items() if g.mean() > certainty * g.std() / len(g) ** 0.5}
        if not sure:
            break
        added = max(sure, key=lambda channel: sure[channel])
        chosen, best = sorted([*chosen, added]), tried[added]
    return chosen


def scores_by_others(
    learning: LabelledPools, judged: LabelledPools, names: Sequence[str], fusion: Fusion, by_item: bool
) -> NDArray[np.float64]:
    """Scores of the candidates of some users by a fusion that was fitted to others, [T].

    Args:
        learning: whom the fusion is fitted to.
        judged: whose candidates are scored.
        names: of the channels.
        fusion: what is fitted.
        by_item: whether an item is scored by a fusion that saw it in nobody's pool, if the fusion could know it again.
            Boosted trees tell an item by its popularity, to the digit, and so learn how often it is relevant,
            not items like it: worth something only as long as the facts of items stay as they were learnt from.
    """
    if not (by_item and fusion.reads_facts):
        return fusion.fit(learning, names).scores(judged.pools)
    scores = np.zeros(len(judged.pools.rows))
    for part in range(ITEM_PARTS):
        own = judged.pools.rows % ITEM_PARTS == part
        try:
            found = fusion.fit(learning.kept(learning.pools.rows % ITEM_PARTS != part), names).scores(judged.pools)
        except GateFailed:  # nobody relevant anything of the other items, so these stay in the towers' order
            found = judged.pools.scores[:, 0].astype(np.float64)
        scores[own] = standing(judged.pools.users[own], found[own], len(judged))  # the fits have no scale in common
    return scores


def crossed(
    labelled: LabelledPools, names: Sequence[str], fusion: Fusion, folds: int, seed: int, by_item: bool = False
) -> NDArray[np.float64]:
    """NDCG@10 of each user by a fusion that was fitted to the users of the other folds, [U].

    Args:
        labelled: the users.
        names: of the channels.
        fusion: what is fitted.
        folds: parts of the users.
        seed: of who is in which.
        by_item: as of `scores_by_others`.
    """
    fold = np.random.default_rng((seed, 2)).permutation(len(labelled)) % folds
    found = np.zeros(len(labelled))
    for number in range(folds):
        learning, own = labelled.of(fold != number), labelled.of(fold == number)
        found[fold == number] = own.ndcg(scores_by_others(learning, own, names, fusion, by_item))
    return found


@dataclass(frozen=True)
class Halves:
    """Users, or queries, with the pools of all channels: what is chosen on one half of them is judged on the other.

    Attributes:
        everyone: all of them.
        names: of the channels, the towers first.
        learning: which of them choose channels and fusion, [U].
        fusion: what fuses channels.
        certainty: standard errors that a channel and the fused order must gain.
        bootstrap: samples, confidence and seed of intervals.
        by_item: as of `scores_by_others`.
    """

    everyone: LabelledPools
    names: Sequence[str]
    learning: NDArray[np.bool_]
    fusion: Fusion
    certainty: float
    bootstrap: tuple[int, float, int]
    by_item: bool

    @classmethod
    def drawn(
        cls,
        everyone: LabelledPools,
        names: Sequence[str],
        fusion: Fusion,
        certainty: float,
        bootstrap: tuple[int, float, int],
        by_item: bool = False,
    ) -> "Halves":
        """With halves drawn by the seed of the intervals; arguments as above."""
        learning = np.zeros(len(everyone), bool)
        order = np.random.default_rng((bootstrap[2], 1)).permutation(len(everyone))
        learning[order[: len(everyone) // 2]] = True
        return cls(everyone, names, learning, fusion, certainty, bootstrap, by_item)

    def gain(self, before: NDArray[np.float64], after: NDArray[np.float64]) -> Gain:
        """How far the NDCG of some of them lies above what it was, [n] each."""
        return Gain.of(before, after, *self.bootstrap)

    def fused(self, channels: Sequence[int]) -> FittedFusion:
        """The fusion of some channels."""
        learning = self.everyone.of(self.learning)
        return self.fusion.fit(learning.only(channels), self._named(channels))

    def _named(self, channels: Sequence[int]) -> list[str]:
        return [self.names[channel] for channel in channels]

    def choose(self) -> tuple[list[int], FittedFusion, Gain | None]:
        """The channels that are worth having, how they are fused, and what that gains beside the towers alone.

        Returns:
            Columns of the channels, the towers' always; their fusion; the gain on the other half, None where no channel
            was worth trying there.
        """
        learning, others = self.everyone.of(self.learning), self.everyone.of(~self.learning)
        chosen = choose_channels(learning, self.names, self.fusion, self.certainty, self.by_item)
        if len(chosen) == 1:
            return [0], TOWERS_ALONE, None
        alone, some = others.only([0]), others.only(chosen)
        scores = scores_by_others(learning.only(chosen), some, self._named(chosen), self.fusion, self.by_item)
        gain = self.gain(alone.ndcg(TOWERS_ALONE.scores(alone.pools)), some.ndcg(scores))
        return (chosen, self.fused(chosen), gain) if gain.sure(self.certainty) else ([0], TOWERS_ALONE, gain)

    def variants(self) -> "list[Variant]":
        """What an ablation looks at: each channel beside the towers, all of them, all but each."""
        names, everything = self.names, list(range(len(self.names)))
        sets = {f"towers + {names[one]}": [0, one] for one in everything[1:]}
        if len(names) > 2:
            sets["all channels"] = everything
            sets |= {f"all but {names[one]}": [c for c in everything if c != one] for one in everything[1:]}
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
    told = [{"name": v.name, "channels": v.channels, "fusion": described(v.fusion)} for v in variants]
    write_json(folder / VARIANTS, {"channels": list(whole.channels), "variants": told})


def load_variants(folder: Path) -> tuple[Funnel, list[Variant]]:
    """The funnel with all channels, and the variants of it."""
    funnel, told = Funnel.load(folder), read_json(folder / VARIANTS)
    channels = {name: FittedChannel.load(folder / CHANNELS / name, KINDS) for name in told["channels"]}
    variants = [Variant(one["name"], one["channels"], restored(one["fusion"])) for one in told["variants"]]
    return replace(funnel, channels=channels), variants
