"""Till labels in plain words."""

import pytest

from data_prep.sources.grocery_wording import readable, readable_size, title


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("POTATO CHIPS", "Potato Chips"),
        ("FLUID MILK WHITE ONLY", "White Milk"),
        ("FRZN FRENCH FRIES", "Frozen French Fries"),
        ("FRZN SS PREMIUM ENTREES/DNRS/N", "Frozen Single Serve Premium Entrees/Dinners"),
        ("CHIX:FRD 8PC/CUT UP (HOT)", "Chicken: Fried 8 Piece/Cut Up, Hot"),
        ("APPLES GALA (BULK&BAG)", "Apples Gala"),
        ("CANDY BARS (SINGLES)(INCLUDING", "Candy Bars, Singles"),
        ("MACARONI & CHEESE DNRS", "Macaroni & Cheese Dinners"),
        ("MAINSTREAM WHEAT/MULTIGRAIN BR", "Mainstream Wheat/Multigrain"),
        ("NON-DAIRY CREAMER", "Non-Dairy Creamer"),
    ],
)
def test_labels_become_words(label: str, expected: str) -> None:
    assert readable(label) == expected


@pytest.mark.parametrize(
    ("size", "expected"),
    [("12 OZ", "12 oz"), ("1 DZ", "1 dozen"), ("2 L", "2 L"), ("750 ML", "750 ml"), ("(600) 4 LB", "4 lb"), ("", "")],
)
def test_sizes_become_words(size: str, expected: str) -> None:
    assert readable_size(size) == expected


def test_a_kind_that_says_too_little_goes_after_its_category() -> None:
    assert title("Ice Cream", "Premium Pints") == "Ice Cream, Premium Pints"
    assert title("Cheese", "Cream Cheese") == "Cream Cheese"
    assert title("Bacon", "Bacon") == "Bacon"
