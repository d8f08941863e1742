"""Items that a shopper would take for the same thing twice."""

import re
import unicodedata
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

WORD = re.compile(r"\w+")


def duplicates(directions: NDArray[np.float32], titles: Sequence[str], cosine: float) -> NDArray[np.bool_]:
    """Which items are as good as the same as a better one that is none itself: by title or by vector.

    Titles are the same when their words are, whatever their case, width and punctuation; an empty one is like no other.

    Args:
        directions: unit vectors, the best item's first, [n, d].
        titles: of the same items, [n].
        cosine: above it two vectors count as the same.

    Returns:
        [n].
    """
    names = np.array([_name(title) for title in titles], object)  # [n]
    found = np.zeros(len(directions), np.bool_)
    for place in range(len(directions)):
        if found[place]:
            continue
        near = directions[place + 1 :] @ directions[place] > cosine
        named = (names[place + 1 :] == names[place]) & (names[place] != "")
        found[place + 1 :] |= near | named
    return found


def _name(title: str) -> str:
    return " ".join(WORD.findall(unicodedata.normalize("NFKC", title).casefold()))
