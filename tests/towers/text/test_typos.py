"""Typing errors made on purpose, and words mended."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from towers.text.spelling import Spelling
from towers.text.typos import errors_at, misspelt, neighbours


def distance(a: str, b: str) -> int:
    """Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours."""
    table = np.zeros((len(a) + 1, len(b) + 1), int)
    table[:, 0], table[0, :] = np.arange(len(a) + 1), np.arange(len(b) + 1)
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            same = a[i - 1] == b[j - 1]
            table[i, j] = min(table[i - 1, j] + 1, table[i, j - 1] + 1, table[i - 1, j - 1] + (not same))
            if i > 1 and j > 1 and a[i - 1] == b[j - 2] and a[i - 2] == b[j - 1]:
                table[i, j] = min(table[i, j], table[i - 2, j - 2] + 1)
    return int(table[-1, -1])


words = st.text("abcdefgé", min_size=3, max_size=9)


@settings(deadline=None)
@given(st.lists(words, min_size=1, max_size=4), st.integers(0, 1000))
def test_a_misspelt_text_is_one_error_away_and_keeps_first_letters(of_text: list[str], seed: int) -> None:
    text = " ".join(of_text)
    wrong = misspelt(text, np.random.default_rng(seed))
    assert distance(text, wrong) == 1
    assert [word[0] for word in wrong.split(" ")] == [word[0] for word in of_text]
    assert wrong == misspelt(text, np.random.default_rng(seed))


def test_the_four_errors() -> None:
    swapped, dropped, doubled, beside = errors_at("mouse", 2, np.random.default_rng(0))
    assert (swapped, dropped, doubled) == ("mosue", "mose", "mouuse")
    assert beside in {f"mo{key}se" for key in neighbours("u")}
    assert errors_at("tvs", 2, np.random.default_rng(0))[0] == "tsv"  # the last letter swaps backward


def test_keys_lie_beside_each_other() -> None:
    assert set(neighbours("g")) == set("fhtb")
    assert neighbours("é") == ""


@pytest.mark.parametrize("text", ["", "4k tv", "ab", "不锈钢水壶", "12345"])
def test_texts_without_words_of_letters_stay(text: str) -> None:
    assert misspelt(text, np.random.default_rng(0)) == text


@pytest.mark.parametrize(
    ("word", "mended"),
    [
        ("mouse", ["mouse"]),
        ("muose", ["mouse"]),
        ("mousee", ["mouse"]),
        ("ouse", ["house"]),  # the mouse is as near
        ("xylophone", ["xylophone"]),
        ("ct", ["ct"]),  # too short to tell
        ("m0use", ["m0use"]),
        ("cathouse", ["cat", "house"]),
        ("housecat", ["house", "cat"]),
        ("cathose", ["cathose"]),  # one error is mended, or a space, not both
        ("mousehouse" * 400, ["mousehouse" * 400]),  # no two words are that long: nothing is tried
    ],
)
def test_a_word_that_nobody_has_is_taken_for_what_is_one_error_or_a_space_away(word: str, mended: list[str]) -> None:
    spelling = Spelling({"mouse": 5, "house": 9, "moose": 1, "cat": 3})
    assert list(spelling.mended(word)) == mended


def test_of_two_ways_to_cut_a_word_the_one_whose_words_are_frequent_is_taken() -> None:
    spelling = Spelling({"use": 40, "sofa": 9, "sof": 1, "ause": 2, "sofaa": 30, "barstool": 1, "bar": 1, "stool": 1})
    assert spelling.mended("sofause") == ("sofa", "use")
    assert spelling.mended("barstool") == ("barstool",)


@settings(deadline=None)
@given(st.lists(words, min_size=1, max_size=8), words, st.integers(0, 7), st.integers(0, 7))
def test_mending_finds_what_a_walk_over_the_vocabulary_finds(known: list[str], word: str, one: int, other: int) -> None:
    if other % 2:  # two words of the vocabulary in one
        word = known[one % len(known)] + known[other % len(known)]
    counts = {other: place for place, other in enumerate(known, 1)}
    near = [other for other in counts if distance(word, other) <= 1]
    cuts = [(word[:place], word[place:]) for place in range(3, len(word) - 2)]
    halves = [cut for cut in cuts if cut[0] in counts and cut[1] in counts]
    expected: tuple[str, ...] = (word,)
    if word not in counts and near:
        expected = (max(near, key=lambda other: (counts[other], other)),)
    elif word not in counts and halves:
        expected = max(halves, key=lambda cut: min(counts[cut[0]], counts[cut[1]]))
    assert Spelling(counts).mended(word) == expected
