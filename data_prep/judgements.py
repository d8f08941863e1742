"""Judgements (qrels): how well an item answers a query, in a judge's opinion."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_prep.columns import Column, Columns
from data_prep.errors import GateFailed
from data_prep.parsing import ids, numbers
from data_prep.tables import among

UNUSABLE = {
    Columns.QUERY: "no query",
    Columns.ITEM_ID: "no item id",
    Columns.GRADE: "grade is not a whole number from 0 up",
}
"""Reason for leaving out a row whose value there is null: the mapping may be wrong, so they count against a limit."""


def judgement_table(query: Column, item_id: Column, grade: Column) -> pd.DataFrame:
    """A judgements table out of raw columns, row by row; an unreadable value is null.

    Args:
        query: search texts, shape [N].
        item_id: raw ids of any type, shape [N].
        grade: numbers or texts of them, higher is better, shape [N].
    """
    text = query.astype("str").str.strip()
    grades = numbers(grade)
    whole = (grades >= 0) & (grades == grades.round())
    return pd.DataFrame(
        {
            Columns.QUERY: text.where(text != ""),
            Columns.ITEM_ID: ids(item_id),
            Columns.GRADE: grades.where(whole).astype("Int64"),
        }
    )


def sound_judgements(
    judgements: pd.DataFrame, items: pd.DataFrame, max_bad_rows: float
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Judgements that can be used; of several for one pair the last one.

    Args:
        judgements: as `judgement_table` makes them.
        items: the item table as it will be written.
        max_bad_rows: the largest tolerable share of rows without query, item or grade, 0 to 1.

    Returns:
        The judgements, and how many were left out, by reason.

    Raises:
        GateFailed: too many make no sense, or nothing is left.
    """
    read = len(judgements)
    dropped: dict[str, int] = {}

    def keep(sound: NDArray[np.bool_], reason: str) -> None:
        nonlocal judgements
        dropped[reason] = int((~sound).sum())
        judgements = judgements[sound]

    for column, reason in UNUSABLE.items():
        keep(judgements[column].notna().to_numpy(), reason)
    bad = sum(dropped.values())
    if bad > max_bad_rows * read:
        raise GateFailed(
            f"{bad:,} of {read:,} judgements are bad, more than max_bad_rows={max_bad_rows:g}: {_listed(dropped)}. "
            "Check source.judgement_columns, or raise max_bad_rows"
        )
    keep(among(judgements[Columns.ITEM_ID], items[Columns.ITEM_ID]), "item not in the item table")
    keep(
        ~judgements.duplicated([Columns.QUERY, Columns.ITEM_ID], keep="last").to_numpy(), "judged again in a later row"
    )
    if judgements.empty:
        raise GateFailed(f"no judgements are left of {read:,} ({_listed(dropped) or 'there were none'})")
    return judgements.reset_index(drop=True).astype({Columns.GRADE: "int64"}), dropped


def _listed(dropped: Mapping[str, int]) -> str:
    return ", ".join(f"{number:,} {reason}" for reason, number in dropped.items() if number)
