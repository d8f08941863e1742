"""Item texts out of templates."""

import pandas as pd
import pytest

from data_prep.command import UsageError
from data_prep.text import render, with_texts

ITEMS = pd.DataFrame(
    {
        "item_id": ["1", "2", "3", "4"],
        "title": ["Kettle", "Kettle", None, None],
        "category": ["Kitchen", None, "Kitchen", None],
        "brand": ["Bodum", "Bodum", None, " "],
    }
)


def test_a_field_that_is_empty_takes_its_words_with_it() -> None:
    assert render(ITEMS, "{title}. {category}, by {brand}!").tolist() == [
        "Kettle. Kitchen, by Bodum!",
        "Kettle, by Bodum!",
        "Kitchen!",
        "",
    ]


def test_numbers_are_written_as_they_are_and_blanks_run_together() -> None:
    frame = pd.DataFrame({"size": [12], "name": ["Tea \n pot"]})
    assert render(frame, "{name}, {size} oz").tolist() == ["Tea pot, 12 oz"]


@pytest.mark.parametrize(("template", "message"), [("{colour}", "names 'colour'; columns: item_id"), ("{", "broken")])
def test_a_wrong_template_is_refused_with_the_columns_there_are(template: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        render(ITEMS, template)


def test_without_a_template_title_category_and_brand_are_joined_and_nothing_is_ever_empty() -> None:
    found = with_texts(ITEMS, None)
    assert found["text"].tolist() == ["Kettle. Kitchen. Bodum", "Kettle. Bodum", "Kitchen", "4"]
    assert found["title"].tolist() == ["Kettle", "Kettle", "Kitchen", "4"]


def test_items_of_which_only_the_id_is_known_go_by_it() -> None:
    found = with_texts(pd.DataFrame({"item_id": ["a", "b"]}), None)
    assert found[["title", "text"]].to_numpy().tolist() == [["a", "a"], ["b", "b"]]
