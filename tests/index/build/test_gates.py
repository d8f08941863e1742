"""Items and vectors that cannot be served are refused, the first twenty by name."""

import numpy as np
import pandas as pd
import pytest

from data_prep.command import GateFailed
from index.build.gates import check_items, check_vectors


def items(count=30, **columns):
    plain = {"item_id": [f"i{number}" for number in range(count)], "text": ["some text"] * count}
    return pd.DataFrame(plain | columns)


def test_a_sound_table_passes():
    check_items(items())
    check_vectors(np.zeros((30, 4), np.float32), items(), 4)


def test_no_items_are_refused():
    with pytest.raises(GateFailed, match="no items"):
        check_items(items(0))


def test_duplicate_ids_are_named_once():
    ids = ["a", "b", "a", "c", "b", *map(str, range(25))]
    with pytest.raises(GateFailed, match="4 of 30 items share their item_id with another: a, b; "):
        check_items(items(item_id=ids))


@pytest.mark.parametrize("text", ["", "  \n", None])
def test_items_without_text_are_named(text):
    texts = ["some text", text, *["some text"] * 28]
    with pytest.raises(GateFailed, match="1 of 30 items have no text: i1; "):
        check_items(items(text=texts))


def test_no_more_than_twenty_are_named():
    with pytest.raises(GateFailed, match=r"30 of 30 items have no text: i0, .*i19, …; "):
        check_items(items(text=[""] * 30))


@pytest.mark.parametrize("item_id", ["", None])
def test_missing_ids_are_refused(item_id):
    with pytest.raises(GateFailed, match="1 of 30 items have no item_id"):
        check_items(items(item_id=[item_id, *(f"i{number}" for number in range(29))]))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_vectors_that_are_not_finite_are_named(value):
    vectors = np.zeros((30, 4), np.float32)
    vectors[7, 2] = vectors[9, 0] = value
    with pytest.raises(GateFailed, match="2 of 30 items have a vector with NaN or infinity: i7, i9; "):
        check_vectors(vectors, items(), 4)


def test_vectors_of_another_shape_are_refused_with_both():
    with pytest.raises(GateFailed, match=r"expected shape \(30, 4\), got \(30, 3\)"):
        check_vectors(np.zeros((30, 3), np.float32), items(), 4)
