"""UCI Online Retail and Online Retail II: a British gift shop's invoices, xlsx or CSV, as published."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from data_prep.columns import Column, Columns
from data_prep.errors import UsageError
from data_prep.parsing import ids, numbers, times
from data_prep.reading import Layout, find_files, read_delimited
from data_prep.tables import Tables, event_table
from data_prep.text import with_texts

NAMES = {
    "Invoice": "InvoiceNo",
    "Price": "UnitPrice",
    "Customer ID": "CustomerID",
}
"""The second edition's names -> the first's."""

NEEDED = ["InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country"]

BYTE_ORDER_MARKS = "\ufeff\xef\xbb\xbf "

EXCEL_SUFFIXES = {".xlsx", ".xls"}

MONTH_FIRST = "%m/%d/%Y %H:%M"
"""How the CSV exports of the first edition write times: 12/1/2010 8:26 is the first of December."""


@dataclass(frozen=True)
class OnlineRetail:
    """Invoice lines of one shop.

    Attributes:
        path: path or glob of the xlsx (all sheets are read) or CSV files.
        encoding: of CSV files; the published ones are Latin-1.
        product_code: regular expression of the stock codes that are goods; the others are postage (POST, DOT),
            manual entries (M), discounts (D), bank charges, samples, gift vouchers.
        text: template of the item text, over `title`.
    """

    path: str
    encoding: str
    product_code: str
    text: str

    def load(self) -> Tables:
        files = find_files(self.path)
        readings = [self._read(path) for path in files]
        lines = pd.concat([frame for frame, _ in readings], ignore_index=True)
        lines = lines.assign(
            StockCode=ids(lines["StockCode"]).str.upper(),
            Quantity=numbers(lines["Quantity"]),
            UnitPrice=numbers(lines["UnitPrice"]),
            InvoiceNo=ids(lines["InvoiceNo"]).fillna(""),
        )
        tables = Tables(
            items=pd.DataFrame(),
            events=lines,
            bad_rows={"not a row": sum(bad for _, bad in readings)},
            files=files,
        )
        for reason, gone in self._rules():
            tables = tables.without_events(gone(tables.events).fillna(True).to_numpy(dtype=bool), reason)
        return _canonical(tables, self.text)

    def _rules(self) -> list[tuple[str, Callable[[pd.DataFrame], Column]]]:
        """Lines that are no purchase of a known customer, by reason."""
        try:
            goods = re.compile(self.product_code)
        except re.error as error:
            raise UsageError(f"source.product_code '{self.product_code}' is no regular expression: {error}") from error
        return [
            ("cancelled (invoice C...)", lambda lines: lines["InvoiceNo"].str.upper().str.startswith("C")),
            ("book-keeping (invoice A...)", lambda lines: lines["InvoiceNo"].str.upper().str.startswith("A")),
            ("no goods (postage, fees)", lambda lines: ~lines["StockCode"].fillna("").str.match(goods)),
            ("no customer", lambda lines: ids(lines["CustomerID"]).isna()),
            ("quantity not above zero", lambda lines: ~(lines["Quantity"] > 0)),
            ("price not above zero", lambda lines: ~(lines["UnitPrice"] > 0)),
        ]

    def _read(self, path: Path) -> tuple[pd.DataFrame, int]:
        if path.suffix.lower() in EXCEL_SUFFIXES:
            frame, bad = _read_excel(path), 0
        else:
            reading = read_delimited(path, Layout(encoding=self.encoding))
            frame, bad = reading.frame, reading.bad_rows
        frame = frame.rename(columns=_first_edition_name)
        missing = [name for name in NEEDED if name not in frame.columns]
        if missing:
            raise UsageError(f"{path} has no column {missing[0]}; there are {', '.join(map(str, frame.columns))}")
        return frame[NEEDED].assign(InvoiceDate=_times(frame["InvoiceDate"])), bad


def _first_edition_name(name: str) -> str:
    """A column's name in the first edition, without the byte-order mark that Latin-1 shows as three letters."""
    plain = str(name).strip(BYTE_ORDER_MARKS)
    return NAMES.get(plain, plain)


def _times(values: Column) -> Column:
    """Invoice times: datetimes out of Excel, ISO or month-first text out of CSV."""
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        return times(values)
    month_first = values.astype("str").str.contains("/").fillna(False).astype(bool)
    return times(values.where(month_first), MONTH_FIRST).where(month_first, times(values.where(~month_first), "iso"))


def _canonical(tables: Tables, text: str) -> Tables:
    lines = tables.events
    events = event_table(lines["CustomerID"], lines["StockCode"], lines["InvoiceDate"], "purchase")
    items = with_texts(_items(lines), text)
    countries = lines.assign(**{Columns.USER_ID: events[Columns.USER_ID]}).groupby(Columns.USER_ID, sort=True)
    users = countries["Country"].first().rename("country").reset_index()
    return Tables(items, events, users, dropped=tables.dropped, bad_rows=tables.bad_rows, files=tables.files)


def _items(lines: pd.DataFrame) -> pd.DataFrame:
    """One row a stock code: its most frequent description, in readable case, and its median price."""
    named = lines.assign(title=lines["Description"].astype("str").str.split().str.join(" "))
    counts = named.groupby(["StockCode", "title"], sort=True).size().reset_index(name="lines")
    best = counts.sort_values("lines", ascending=False, kind="stable").drop_duplicates("StockCode")
    titles = best.set_index("StockCode")["title"].map(_readable)
    prices = lines.groupby("StockCode", sort=True)["UnitPrice"].median()
    return pd.DataFrame(
        {
            Columns.ITEM_ID: prices.index,
            Columns.TITLE: titles.reindex(prices.index).astype("str").to_numpy(),
            Columns.PRICE: prices.to_numpy(),
        }
    )


def _readable(description: str) -> str:
    """Capitals as words, "SET OF 3 T-LIGHTS" as "Set of 3 T-Lights"; mixed case is left alone."""
    if description != description.upper():
        return description
    words = re.sub(r"(?<!\d)[A-Z']+", lambda match: match[0].capitalize(), description)
    return re.sub(r"(?<=\s)(Of|And|With|In|On|The|For)\b", lambda match: match[0].lower(), words)


def _read_excel(path: Path) -> pd.DataFrame:
    try:
        sheets = pd.read_excel(path, sheet_name=None, dtype={"StockCode": str, "Invoice": str, "InvoiceNo": str})
    except ImportError as error:
        raise UsageError(f"reading {path} needs openpyxl: pip install 'twotower[excel]', or save it as CSV") from error
    return pd.concat(sheets.values(), ignore_index=True)
