"""Blocks: parts of the one vector beside the towers' own, fitted by counting or from plain text."""

from towers.blocks.block import Block, FittedBlock, HistoryWeights
from towers.blocks.cooccurrence import CooccurrenceFactors
from towers.blocks.factors import FittedFactors
from towers.blocks.linear import LinearFactors
from towers.blocks.profile import BlockProfile
from towers.blocks.text import FittedText, WhitenedText
from towers.blocks.trend import FittedTrend, Trend

KINDS: dict[str, type[FittedBlock]] = {
    CooccurrenceFactors.name: FittedFactors,
    LinearFactors.name: FittedFactors,
    WhitenedText.name: FittedText,
    Trend.name: FittedTrend,
}
"""Class of each saved block by its kind, an explicit string: a run cannot name code to execute."""

__all__ = [
    "KINDS",
    "Block",
    "BlockProfile",
    "CooccurrenceFactors",
    "FittedBlock",
    "FittedFactors",
    "FittedText",
    "FittedTrend",
    "HistoryWeights",
    "LinearFactors",
    "Trend",
    "WhitenedText",
]
