"""GroupLens's layouts, byte for byte as they are published."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from data_prep.command import UsageError
from data_prep.sources.movielens import MovieLens, article_first
from data_prep.tables import Tables

Write = Callable[[str, str | bytes], Path]

FLAGS = "|".join("1" if number in (3, 4) else "0" for number in range(19))


def load(folder: Path) -> Tables:
    return MovieLens(str(folder), text="{title}. {category}").load()


def test_100k(write: Write, tmp_path: Path) -> None:
    write("ml-100k/u.data", "196\t242\t3\t881250949\n186\t302\t4\t891717742\n")
    write(
        "ml-100k/u.item",
        f"242|Misérables, Les (1995)|01-Jan-1995||http://us.imdb.com/M/title-exact?x|{FLAGS}\n"
        f'302|L.A. "Confidential" (1997)|01-Jan-1997||http://x|{FLAGS}\n'.encode("latin-1"),
    )
    write("ml-100k/u.user", "196|49|M|writer|55105\n")
    tables = load(tmp_path / "ml-100k")
    assert tables.events[["user_id", "item_id", "rating"]].to_numpy().tolist() == [
        ["196", "242", 3.0],
        ["186", "302", 4.0],
    ]
    assert tables.events["timestamp"][0] == pd.Timestamp("1997-12-04 15:55:49", tz="UTC")
    assert tables.items["text"].tolist() == [
        "Les Misérables (1995). Animation, Children's",
        'L.A. "Confidential" (1997). Animation, Children\'s',
    ]
    assert tables.users is not None and tables.users["occupation"].tolist() == ["writer"]


def test_1m(write: Write, tmp_path: Path) -> None:
    write("ml-1m/ratings.dat", "1::1193::5::978300760\n1::661::3::978302109\n1::661::3\n")
    write(
        "ml-1m/movies.dat",
        "1193::One Flew Over the Cuckoo's Nest (1975)::Drama\n661::Café, The (1996)::Drama|Comedy\n".encode("latin-1"),
    )
    write("ml-1m/users.dat", "1::F::1::10::48067\n")
    tables = load(tmp_path / "ml-1m")
    assert tables.events["item_id"].tolist() == ["1193", "661"]
    assert tables.items["title"].tolist() == ["One Flew Over the Cuckoo's Nest (1975)", "The Café (1996)"]
    assert tables.items["category"].tolist() == ["Drama", "Drama, Comedy"]
    assert tables.users is not None and tables.users["gender"].tolist() == ["F"]
    assert tables.bad_rows == {"not a row": 1}


def test_10m_has_the_same_layout_in_utf_8_and_half_stars(write: Write, tmp_path: Path) -> None:
    write("ml-10m/ratings.dat", "1::122::3.5::838985046\n")
    write("ml-10m/movies.dat", "122::Amélie (2001)::Romance\n")
    tables = load(tmp_path / "ml-10m")
    assert tables.items["title"].tolist() == ["Amélie (2001)"]
    assert tables.events["rating"].tolist() == [3.5]
    assert tables.users is None


def test_25m(write: Write, tmp_path: Path) -> None:
    write("ml-25m/ratings.csv", "userId,movieId,rating,timestamp\r\n1,296,5.0,1147880044\r\n")
    write(
        "ml-25m/movies.csv",
        'movieId,title,genres\r\n296,"American President, The (1995)",Comedy|Drama\r\n'
        "7,Nobody (2000),(no genres listed)\r\n",
    )
    tables = load(tmp_path / "ml-25m")
    assert tables.events["user_id"].tolist() == ["1"]
    assert tables.items["text"].tolist() == ["The American President (1995). Comedy, Drama", "Nobody (2000)"]


def test_the_copy_inside_recbole(write: Write, tmp_path: Path) -> None:
    write("ml/ml-100k.inter", "user_id:token\titem_id:token\trating:float\ttimestamp:float\n196\t242\t3\t881250949\n")
    write(
        "ml/ml-100k.item",
        "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n242\tKolya\t1996\tComedy War\n",
    )
    write("ml/ml-100k.user", "user_id:token\tage:token\n196\t49\n")
    tables = load(tmp_path / "ml")
    assert tables.items["text"].tolist() == ["Kolya (1996). Comedy, War"]
    assert tables.events["timestamp"].dt.year.tolist() == [1997]


def test_a_folder_that_is_none_names_what_is_looked_for(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none of u\.data, ml-100k\.inter, ratings\.dat, ratings\.csv is there"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("Usual Suspects, The (1995)", "The Usual Suspects (1995)"),
        ("Crossing Guard, The", "The Crossing Guard"),
        ("Good, the Bad and the Ugly, The (1966)", "The Good, the Bad and the Ugly (1966)"),
        ("Theatre (1990)", "Theatre (1990)"),
        ("Bonheur, Le (1965)", "Le Bonheur (1965)"),
    ],
)
def test_articles_come_first(title: str, expected: str) -> None:
    assert article_first(title) == expected
