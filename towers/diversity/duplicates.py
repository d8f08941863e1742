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
    same = np.zeros(len(directions), np.bool_)
    for item in range(len(directions)):
        if same[item]:
            continue
        near = directions[item + 1 :] @ directions[item] > cosine
        same_name = (names[item + 1 :] == names[item]) & (names[item] != "")
        same[item + 1 :] |= near | same_name
    return same


def _name(title: str) -> str:
    return " ".join(WORD.findall(unicodedata.normalize("NFKC", title).casefold()))
