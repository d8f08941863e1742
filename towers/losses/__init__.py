"""The sampled softmax and its negatives: a small class per scheme, a file each in conf/negatives, any subset at once.

A scheme offers candidates shared by all positives of a batch and says how many copies of any item it expects to offer.
`Negatives` puts the offers together and corrects each candidate by the sum over all schemes: what was really done.
Only items that are a positive of some user are offered: an item new since training must not be taught to be wrong.
"""

from towers.losses.composition import Candidates, Negatives
from towers.losses.counts import Counts, CountSketch, ExactCounts
from towers.losses.cross_batch import CrossBatch
from towers.losses.full import Full
from towers.losses.hard_negatives import Hard
from towers.losses.in_batch import InBatch
from towers.losses.softmax import sampled_softmax
from towers.losses.source import Encoded, NegativeSource, Setting
from towers.losses.uniform import Uniform

__all__ = [
    "Candidates",
    "CountSketch",
    "Counts",
    "CrossBatch",
    "Encoded",
    "ExactCounts",
    "Full",
    "Hard",
    "InBatch",
    "NegativeSource",
    "Negatives",
    "Setting",
    "Uniform",
    "sampled_softmax",
]
