"""The names of the canonical tables' columns, and of the parts of a split."""

from enum import IntEnum
from typing import TYPE_CHECKING, Any, TypeAlias

import pandas as pd

if TYPE_CHECKING:
    Column: TypeAlias = pd.Series[Any]
else:
    Column = pd.Series  # generic for the type checker alone
"""One column of a table, shape [rows]."""


class Columns:
    """Column names; nothing else in the house spells them out."""

    ITEM_ID = "item_id"
    TITLE = "title"
    TEXT = "text"
    CATEGORY = "category"
    BRAND = "brand"
    PRICE = "price"
    IN_STOCK = "in_stock"

    USER_ID = "user_id"
    TIMESTAMP = "timestamp"
    EVENT = "event"
    QUERY = "query"
    RATING = "rating"
    POSITION = "position"
    PROPENSITY = "propensity"

    GRADE = "grade"

    SPLIT_TEMPORAL = "split_temporal"
    SPLIT_LEAVE_ONE_OUT = "split_leave_one_out"


class Split(IntEnum):
    """Part of a split that an event belongs to."""

    TRAIN = 0
    VALID = 1
    TEST = 2
