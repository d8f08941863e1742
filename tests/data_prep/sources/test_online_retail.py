"""The UCI files with their real columns and quirks."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from data_prep.command import UsageError
from data_prep.sources.online_retail import OnlineRetail
from data_prep.tables import Tables

FIRST = """InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country
536365,85123A,WHITE HANGING HEART T-LIGHT HOLDER,6,12/1/2010 8:26,2.55,17850,United Kingdom
536365,71053,WHITE METAL LANTERN,6,12/1/2010 8:26,3.39,17850,United Kingdom
536366,85123a,"CREAM HANGING HEART T-LIGHT HOLDER",6,12/1/2010 8:28,2.65,13047,United Kingdom
536367,85123A,WHITE HANGING HEART T-LIGHT HOLDER,2,12/2/2010 9:00,2.75,13047,United Kingdom
536370,POST,POSTAGE,3,12/1/2010 8:45,18,12583,France
536371,DOT,DOTCOM POSTAGE,1,12/1/2010 9:00,600,12583,France
536372,M,Manual,1,12/1/2010 9:00,1.25,12583,France
536373,BANK CHARGES,Bank Charges,1,12/1/2010 9:00,15,12583,France
536374,gift_0001_20,Dotcomgiftshop Gift Voucher \xa320.00,1,12/1/2010 9:00,20,12583,France
C536379,85123A,WHITE HANGING HEART T-LIGHT HOLDER,-1,12/1/2010 9:41,2.55,17850,United Kingdom
536414,22139,,56,12/1/2010 11:52,0,,United Kingdom
536415,22139,RETROSPOT TEA SET CERAMIC 11 PC,5,12/1/2010 11:53,4.25,,United Kingdom
536416,22139,check?,-5,12/1/2010 11:53,4.25,17850,United Kingdom
536417,22139,RETROSPOT TEA SET CERAMIC 11 PC,5,12/1/2010 11:54,0,17850,United Kingdom
A563185,B,Adjust bad debt,1,8/12/2011 14:50,11062.06,,United Kingdom
"""

SECOND = """Invoice,StockCode,Description,Quantity,InvoiceDate,Price,Customer ID,Country
489434,85048,15CM CHRISTMAS GLASS BALL 20 LIGHTS,12,2009-12-01 07:45:00,6.95,13085.0,United Kingdom
C489449,22087,PAPER BUNTING WHITE LACE,-12,2009-12-01 10:33:00,2.95,16321.0,Australia
489435,22350,Cat Bowl ,12,2009-12-01 07:46:00,2.55,13085.0,United Kingdom
"""


def load(path: Path) -> Tables:
    return OnlineRetail(str(path), encoding="latin-1", product_code=r"^\d{5}", text="{title}").load()


def test_only_purchases_of_goods_by_known_customers_stay(write: Callable[..., Path]) -> None:
    tables = load(write("retail.csv", FIRST.encode("latin-1")))
    assert tables.events[["user_id", "item_id"]].to_numpy().tolist() == [
        ["17850", "85123A"],
        ["17850", "71053"],
        ["13047", "85123A"],
        ["13047", "85123A"],
    ]
    assert tables.dropped == {
        "cancelled (invoice C...)": 1,
        "book-keeping (invoice A...)": 1,
        "no goods (postage, fees)": 5,
        "no customer": 2,
        "quantity not above zero": 1,
        "price not above zero": 1,
    }
    assert tables.rows_read == 15


def test_months_come_first_in_the_first_edition(write: Callable[..., Path]) -> None:
    tables = load(write("retail.csv", FIRST.encode("latin-1")))
    assert tables.events["timestamp"][3] == pd.Timestamp("2010-12-02 09:00", tz="UTC")


def test_an_item_takes_its_commonest_description_in_readable_case_and_its_median_price(
    write: Callable[..., Path],
) -> None:
    items = load(write("retail.csv", FIRST.encode("latin-1"))).items.set_index("item_id")
    assert items.loc["85123A", "title"] == "White Hanging Heart T-Light Holder"
    assert items.loc["85123A", "price"] == 2.65


def test_the_second_edition_reads_alike_with_its_own_names_and_a_byte_order_mark(write: Callable[..., Path]) -> None:
    tables = load(write("retail_ii.csv", ("\ufeff" + SECOND).encode()))
    assert tables.events[["user_id", "item_id"]].to_numpy().tolist() == [["13085", "85048"], ["13085", "22350"]]
    assert tables.events["timestamp"][0] == pd.Timestamp("2009-12-01 07:45", tz="UTC")
    assert tables.items["title"].tolist() == ["Cat Bowl", "15CM Christmas Glass Ball 20 Lights"]
    assert tables.users is not None and tables.users.to_numpy().tolist() == [["13085", "United Kingdom"]]


def test_all_sheets_of_a_workbook_are_read(tmp_path: Path) -> None:
    pytest.importorskip("openpyxl")
    frame = pd.DataFrame(
        {
            "Invoice": [489434, "C489449"],
            "StockCode": [85048, "22087"],
            "Description": ["GLASS BALL", "BUNTING"],
            "Quantity": [12, -12],
            "InvoiceDate": pd.to_datetime(["2009-12-01 07:45", "2009-12-01 10:33"]),
            "Price": [6.95, 2.95],
            "Customer ID": [13085, None],
            "Country": ["United Kingdom", "Australia"],
        }
    )
    with pd.ExcelWriter(tmp_path / "online_retail_II.xlsx") as book:
        frame.to_excel(book, sheet_name="Year 2009-2010", index=False)
        frame.to_excel(book, sheet_name="Year 2010-2011", index=False)
    tables = load(tmp_path / "online_retail_II.xlsx")
    assert tables.events[["user_id", "item_id"]].to_numpy().tolist() == [["13085", "85048"]] * 2
    assert tables.dropped["cancelled (invoice C...)"] == 2


def test_another_file_is_refused_with_the_columns_it_has(write: Callable[..., Path]) -> None:
    with pytest.raises(UsageError, match="has no column InvoiceNo; there are a, b"):
        load(write("other.csv", "a,b\n1,2\n"))
