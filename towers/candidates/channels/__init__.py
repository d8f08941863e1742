"""Recall channels beside the towers: other sources of candidates, each cheap enough to serve."""

from towers.candidates.channels.channel import Channel, FittedChannel
from towers.candidates.channels.neighbours import Neighbours, NextBasket, SimilarUsers
from towers.candidates.channels.popular import PopularItems, SameCategory
from towers.candidates.channels.words import WordMatch

__all__ = [
    "Channel",
    "FittedChannel",
    "Neighbours",
    "NextBasket",
    "PopularItems",
    "SameCategory",
    "SimilarUsers",
    "WordMatch",
]
