"""The texts of users and items."""

import numpy as np
import pandas as pd
import pytest

from data_prep.errors import UsageError
from towers import InputTemplate

PLAIN = InputTemplate(template=None, context_items=3, event_types=False)


def test_the_context_is_the_query_and_then_the_newest_titles_first():
    titles, events = ["soap", "rye bread", "", "green tea"], ["view", "view", "view", "cart"]
    assert PLAIN.context(titles, events, " toast ") == "toast; green tea; rye bread"
    assert PLAIN.context([], [], "") == ""
    with_events = InputTemplate(template=None, context_items=2, event_types=True)
    assert with_events.context(titles[:2], events[-2:], "") == "cart rye bread; view soap"


def test_items_are_shown_by_a_template_and_by_their_text_where_it_leaves_nothing():
    table = pd.DataFrame(
        {"title": ["tea", None], "brand": ["Bodum", ""], "price": [2.5, np.nan], "text": ["some tea", "a thing"]}
    )
    assert PLAIN.items(table) == ["some tea", "a thing"]
    shown = InputTemplate(template="{title}, by {brand}, {price}", context_items=3, event_types=False)
    assert shown.items(table) == ["tea, by Bodum, 2.5", "a thing"]
    with pytest.raises(UsageError, match="names 'colour'"):
        InputTemplate(template="{colour}", context_items=3, event_types=False).items(table)
