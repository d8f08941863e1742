"""Recall channels beside the towers: what else may offer items to a user, each cheap enough to serve."""

from towers.channels.channel import Channel, FittedChannel
from towers.channels.neighbours import Neighbours
from towers.channels.profiles import ByGroups, ByItems, Everybody
from towers.channels.trending import SameCategory, Trending
from towers.channels.words import ByWords, Words

KINDS = {kind.__name__: kind for kind in (ByItems, ByGroups, ByWords, Everybody)}
"""Ways a channel may see a user, by the names its files have for them."""

__all__ = ["KINDS", "Channel", "FittedChannel", "Neighbours", "SameCategory", "Trending", "Words"]
