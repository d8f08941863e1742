"""Recall channels beside the towers: what else may offer items to a user, each cheap enough to serve."""

from towers.candidates.channels.channel import Channel, FittedChannel
from towers.candidates.channels.neighbours import Alike, Neighbours, NextBasket
from towers.candidates.channels.popular import ForEverybody, SameCategory
from towers.candidates.channels.profiles import ByBaskets, ByGroups, ByItems, ByPeople, Everybody
from towers.candidates.channels.words import ByWords, Words

KINDS = {kind.__name__: kind for kind in (ByItems, ByBaskets, ByPeople, ByGroups, ByWords, Everybody)}
"""Ways a channel may see a user, by the names its files have for them."""

__all__ = [
    "KINDS",
    "Alike",
    "Channel",
    "FittedChannel",
    "ForEverybody",
    "Neighbours",
    "NextBasket",
    "SameCategory",
    "Words",
]
