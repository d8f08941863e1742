"""The texts of users and items that a cross-encoder reads, in training and in serving alike."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from data_prep.columns import Columns
from data_prep.text import render


@dataclass
class InputTemplate:
    """Templates of both texts; they are stored with the model.

    Attributes:
        template: item text as a template over item columns, `"{title}. {category}, by {brand}, {price}"`; None for the
            `text` that the items were prepared with.
        context_items: newest items of a history in the context.
        event_types: whether the type of an event stands before its item's title.
    """

    template: str | None
    context_items: int
    event_types: bool

    def context(self, titles: Sequence[str], events: Sequence[str], query: str) -> str:
        """The text of a user.

        Args:
            titles: titles of the history's items, oldest first; more than `context_items` are cut.
            events: type of each event, as many.
            query: search text, "" for none.

        Returns:
            The query, then the titles from the newest to the oldest, so that cutting the text loses the oldest.
        """
        newest = list(zip(titles, events, strict=True))[::-1][: self.context_items]
        had = [f"{event} {title}" if self.event_types else title for title, event in newest if title]
        return "; ".join(part for part in (query.strip(), *had) if part)

    def items(self, table: pd.DataFrame) -> list[str]:
        """Texts of items, N; where the template leaves nothing, the prepared text.

        Args:
            table: canonical items table, N rows.

        Raises:
            UsageError: the template is broken or names a column the table does not have.
        """
        prepared = table[Columns.TEXT].astype(str)
        if self.template is None:
            return prepared.tolist()
        texts = render(table, self.template)
        return [str(text) for text in texts.where(texts != "", prepared)]
