"""Spelling correction: words of a catalogue that are one error, or a space, away from a misspelt one."""

from collections.abc import Iterator, Mapping

from towers.text.tokenization import is_ideograph

SHORTEST = 3
"""Letters of the shortest word that is mended, or that another one is cut into: of fewer, too many words are near."""


class Spelling:
    """Mends words by a vocabulary.

    Args:
        counts: how many items hold each word.
    """

    def __init__(self, counts: Mapping[str, int]) -> None:
        self.counts = counts
        letters = {letter for word in counts for letter in word}
        self.letters = sorted(letter for letter in letters if letter.isalpha() and not is_ideograph(letter))
        self.longest = max(map(len, counts), default=0)

    def mended(self, word: str) -> tuple[str, ...]:
        """The word itself, if it is known; otherwise the most frequent known word one error away, if there is any.

        If there is none, the two known words that it consists of, of which the rarer one is as frequent as can be.

        An error is two neighbouring letters swapped, one left out, one too many, or one taken for another. Source:
        Damerau, "A technique for computer detection and correction of spelling errors", 1964.
        """
        if word in self.counts or not SHORTEST <= len(word) <= 2 * self.longest or not word.isalpha():
            return (word,)
        if len(word) <= self.longest + 1:
            near = [other for other in self._one_error_away(word) if other in self.counts]
            if near:
                return (max(near, key=lambda other: (self.counts[other], other)),)
        return max(self._halves(word), key=lambda halves: min(map(self.counts.__getitem__, halves)), default=(word,))

    def _halves(self, word: str) -> Iterator[tuple[str, ...]]:
        for cut in range(SHORTEST, len(word) - SHORTEST + 1):
            halves = word[:cut], word[cut:]
            if all(half in self.counts for half in halves):
                yield halves

    def _one_error_away(self, word: str) -> Iterator[str]:
        for cut in range(len(word) + 1):
            before, after = word[:cut], word[cut:]
            if after:
                yield before + after[1:]
            if len(after) > 1:
                yield before + after[1] + after[0] + after[2:]
            for letter in self.letters:
                yield before + letter + after
                if after:
                    yield before + letter + after[1:]
