"""Item texts: a template over named columns, filled in for a whole table at once."""

from string import Formatter

import pandas as pd

from data_prep.columns import Column, Columns
from data_prep.errors import UsageError
from data_prep.parsing import storable


def render(frame: pd.DataFrame, template: str) -> Column:
    """Fill a template such as `"{title}. {category}, by {brand}"` for every row.

    The words before a field belong to it: where the field is empty they go too, so that a product without
    a category reads "Kettle, by Bodum" and not "Kettle. , by Bodum".

    Args:
        frame: table with a column for every field, shape [N, columns].
        template: as for `str.format`, with plain field names.

    Raises:
        UsageError: the template is broken or names a column the table does not have.
    """
    result = pd.Series("", index=frame.index, dtype="str")
    for words, name in fields(template):
        if name is None:
            result = result.where(result == "", result + words)
            continue
        if name not in frame.columns:
            raise UsageError(f"text template '{template}' names '{name}'; columns: {', '.join(frame.columns)}")
        value = storable(frame[name]).astype("str").fillna("").str.strip()
        result = result + (words + value).where(value != "", "")
    return result.str.lstrip(" .,;:|-").str.split().str.join(" ")


def fields(template: str) -> list[tuple[str, str | None]]:
    """The template's parts in order: the words before a field and its name, None for words at the end."""
    try:
        return [(words, name) for words, name, _, _ in Formatter().parse(template)]
    except ValueError as error:
        raise UsageError(f"text template '{template}' is broken: {error}") from error


def with_texts(items: pd.DataFrame, template: str | None) -> pd.DataFrame:
    """Add `title` where it is missing and `text` from a template.

    Args:
        items: table with `item_id` and perhaps `title`, `category`, `brand`, shape [N, columns].
        template: see `render`; None joins whichever of title, category and brand there are.

    An item of which nothing is known is called by its id, so that its text is never empty.
    """
    known = [name for name in (Columns.TITLE, Columns.CATEGORY, Columns.BRAND) if name in items.columns]
    template = ". ".join(f"{{{name}}}" for name in known) if template is None else template
    text = render(items, template)
    text = text.where(text != "", items[Columns.ITEM_ID])
    title = items[Columns.TITLE] if Columns.TITLE in items.columns else pd.Series(None, items.index, dtype="str")
    title = title.astype("str").fillna("").str.strip()
    return items.assign(**{Columns.TITLE: title.where(title != "", text), Columns.TEXT: text})
