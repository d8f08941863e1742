"""Parts of the one vector beside the towers' own: what counting and plain text know, in the same inner product."""

from towers.blocks.block import Block, FittedBlock
from towers.blocks.cooccurrence import CooccurrenceFactors
from towers.blocks.profile import Profile
from towers.blocks.text import WhitenedText

__all__ = ["Block", "CooccurrenceFactors", "FittedBlock", "Profile", "WhitenedText"]
