"""How words are read: normalised, cut, and made into search terms."""

import pytest

from towers.text.query_text import QueryText
from towers.text.tokenization import normalized, singular_of, tokens_of, words_of


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("  USB\t Cable \n", "usb cable"),
        ("ＵＳＢ　３．０", "usb 3.0"),  # full width, ideographic space
        ("ﬁle ①", "file 1"),
        ("Straße", "straße"),
        ("cafe\u0301", "café"),  # a letter and its accent are one letter
        ("a\x00b\x07", "a b"),
        ("ｶﾒﾗ", "カメラ"),
        (" \x00 ", ""),
    ],
)
def test_what_looks_alike_is_spelt_alike(typed: str, read: str) -> None:
    assert normalized(typed) == read
    assert normalized(read) == read


def test_case_may_count() -> None:
    assert normalized("ＵＳＢ  Hub", lower=False) == "USB Hub"
    assert QueryText(lower=False)(" USB ") == "USB"


def test_the_reading_of_queries_comes_back_from_its_settings() -> None:
    assert QueryText.load(QueryText(lower=True).settings) == QueryText(lower=True)


def test_scripts_without_spaces_are_read_in_letters_and_searched_in_pairs() -> None:
    assert words_of("不锈钢 kettle 1.5L") == ["不", "锈", "钢", "kettle", "1", "5l"]
    assert tokens_of("不锈钢 Kettle 1.5L") == ["不锈", "锈钢", "kettle", "1", "5l"]
    assert tokens_of("茶 tea抹茶") == ["茶", "tea", "抹茶"]


@pytest.mark.parametrize(
    ("plural", "singular"),
    [("batteries", "battery"), ("headphones", "headphone"), ("cases", "case"), ("glass", "glass"), ("ios", "ios")],
)
def test_plurals_find_singulars(plural: str, singular: str) -> None:
    assert singular_of(plural) == singular


def test_numbers_and_model_names_stay() -> None:
    assert [singular_of(term) for term in ("ps4s", "x2s", "bus")] == ["ps4s", "x2s", "bus"]
