"""What a misspelt word may have meant: the words of a catalogue that are one error away."""

from collections.abc import Iterator, Mapping

SHORTEST = 3
"""Letters of the shortest word that is mended: of fewer, too many words are one error away."""


class Spelling:
    """Mends words by a vocabulary.

    Args:
        counts: how many items hold each word.
    """

    def __init__(self, counts: Mapping[str, int]) -> None:
        self.counts = counts
        self.letters = sorted({letter for word in counts for letter in word if letter.isalpha()})

    def mended(self, word: str) -> str:
        """The word itself, if it is known; otherwise the most frequent known word one error away, if there is any.

        An error is two neighbouring letters swapped, one left out, one too many, or one taken for another. Source:
        Damerau, "A technique for computer detection and correction of spelling errors", 1964.
        """
        if word in self.counts or len(word) < SHORTEST or not word.isalpha():
            return word
        known = [other for other in self._one_error_away(word) if other in self.counts]
        return max(known, key=lambda other: (self.counts[other], other), default=word)

    def _one_error_away(self, word: str) -> Iterator[str]:
        for place in range(len(word) + 1):
            before, after = word[:place], word[place:]
            if after:
                yield before + after[1:]
            if len(after) > 1:
                yield before + after[1] + after[0] + after[2:]
            for letter in self.letters:
                yield before + letter + after
                if after:
                    yield before + letter + after[1:]
