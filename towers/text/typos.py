"""Typing errors, made on purpose: to train on, and to measure their cost."""

import numpy as np

from towers.text.tokenization import is_ideograph

SHORTEST = 3
"""Letters of the shortest word that is misspelt: of fewer, an error leaves another word or nothing."""

KEYS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
"""Rows of letters on a keyboard; the key below a letter stands at the same place of the next row."""


def misspelt(text: str, rng: np.random.Generator) -> str:
    """A text with one error in one of its words: two letters swapped, one left out, doubled, or the key beside it.

    Words of at least `SHORTEST` letters are eligible, in scripts that are typed letter by letter; a text without any,
    such as "4k tv" or one in Chinese, stays as it is. The first letter of a word is spared, as people mostly get it
    right.

    Args:
        text: a search text, words one space apart.
        rng: draws word, letter and kind of error.
    """
    words = text.split(" ")
    eligible = [i for i, w in enumerate(words) if len(w) >= SHORTEST and w.isalpha() and not any(map(is_ideograph, w))]
    if not eligible:
        return text
    chosen = int(rng.choice(eligible))
    word = words[chosen]
    position = int(rng.integers(1, len(word)))
    errors = [error for error in errors_at(word, position, rng) if error != word]
    words[chosen] = errors[int(rng.integers(len(errors)))]
    return " ".join(words)


def errors_at(word: str, position: int, rng: np.random.Generator) -> list[str]:
    """The word with each kind of error at the letter `position`, 1 or beyond: swapped, dropped, doubled, replaced."""
    first = min(position, len(word) - 2)
    swapped = word[:first] + word[first + 1] + word[first] + word[first + 2 :]
    dropped = word[:position] + word[position + 1 :]
    doubled = word[:position] + word[position] + word[position:]
    beside = neighbours(word[position]) or word[position]
    key = beside[int(rng.integers(len(beside)))]
    return [swapped, dropped, doubled, word[:position] + key + word[position + 1 :]]


def neighbours(letter: str) -> str:
    """Letters beside, above and below one on a keyboard; none for a letter that is not there."""
    for row, keys in enumerate(KEYS):
        if (column := keys.find(letter)) >= 0:
            above = KEYS[row - 1][column : column + 1] if row else ""
            below = KEYS[row + 1][column : column + 1] if row + 1 < len(KEYS) else ""
            return keys[max(column - 1, 0) : column] + keys[column + 1 : column + 2] + above + below
    return ""
