"""MovieLens in the layouts GroupLens publishes, recognised by the files in the folder."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from data_prep.columns import Columns
from data_prep.errors import UsageError
from data_prep.parsing import ids, numbers, times
from data_prep.reading import Layout, open_text, read_delimited
from data_prep.tables import Tables, event_table
from data_prep.text import with_texts

GENRES_100K = [
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama"),
    *("Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"),
]
"""The flags at the end of u.item, in their order."""

RATINGS = [Columns.USER_ID, Columns.ITEM_ID, Columns.RATING, Columns.TIMESTAMP]

FILMS = [Columns.ITEM_ID, Columns.TITLE, "genres"]


@dataclass(frozen=True)
class Raw:
    """Tables of a layout: ratings, films with `genres` as `|`-separated names, perhaps users."""

    ratings: pd.DataFrame
    films: pd.DataFrame
    users: pd.DataFrame | None
    files: tuple[Path, ...]
    bad_rows: int


@dataclass(frozen=True)
class MovieLens:
    """Ratings as events, films as items.

    Attributes:
        path: the unpacked folder: 100K (`u.data`), 1M and 10M (`ratings.dat`), 20M and later
            (`ratings.csv`), or the copy inside the package recbole (`ml-100k.inter`).
        text: template of the item text, over `title` and `category`.
    """

    path: str
    text: str

    def load(self) -> Tables:
        raw = self._layout()(Path(self.path))
        ratings = raw.ratings
        events = event_table(
            ratings[Columns.USER_ID],
            ratings[Columns.ITEM_ID],
            times(ratings[Columns.TIMESTAMP], "s"),
            "rating",
            **{Columns.RATING: numbers(ratings[Columns.RATING])},
        )
        genres = raw.films["genres"].astype("str").fillna("").str.replace("(no genres listed)", "", regex=False)
        items = pd.DataFrame(
            {
                Columns.ITEM_ID: ids(raw.films[Columns.ITEM_ID]),
                Columns.TITLE: raw.films[Columns.TITLE].astype("str").map(article_first, na_action="ignore"),
                Columns.CATEGORY: genres.str.replace("|", ", ", regex=False),
            }
        )
        return Tables(
            with_texts(items, self.text), events, raw.users, bad_rows={"not a row": raw.bad_rows}, files=raw.files
        )

    def _layout(self) -> Callable[[Path], Raw]:
        for name, layout in LAYOUTS.items():
            if Path(self.path, name).is_file():
                return layout
        raise UsageError(f"no MovieLens in '{self.path}': none of {', '.join(LAYOUTS)} is there")


def article_first(title: str) -> str:
    """ "Usual Suspects, The (1995)" as "The Usual Suspects (1995)"."""
    return re.sub(r"^(.+), (The|A|An|La|Le|Les|Der|Die|Das|El|Il|L')(?= \(|$)", r"\2 \1", title)


def _read_100k(folder: Path) -> Raw:
    """Tabs in u.data; bars, Latin-1 and nineteen genre flags in u.item."""
    ratings = read_delimited(folder / "u.data", Layout(delimiter="\t", header=RATINGS, quotes=False))
    columns = [Columns.ITEM_ID, Columns.TITLE, "released", "video", "url", *GENRES_100K]
    films = read_delimited(folder / "u.item", Layout(delimiter="|", encoding="latin-1", header=columns, quotes=False))
    flags = films.frame[GENRES_100K].to_numpy() == "1"  # [films, genres]
    named = ["|".join(genre for genre, on in zip(GENRES_100K, row, strict=True) if on) for row in flags]
    users, files = None, [folder / "u.data", folder / "u.item"]
    if (folder / "u.user").is_file():
        header = [Columns.USER_ID, "age", "gender", "occupation", "zip_code"]
        users = read_delimited(folder / "u.user", Layout(delimiter="|", header=header, quotes=False)).frame
        files.append(folder / "u.user")
    return Raw(ratings.frame, films.frame.assign(genres=named), users, tuple(files), ratings.bad_rows)


def _read_1m(folder: Path) -> Raw:
    """Double colons everywhere; movies.dat of 1M is Latin-1, that of 10M UTF-8."""
    ratings, bad = _read_double_colons(folder / "ratings.dat", RATINGS, "utf-8")
    films, _ = _read_double_colons(folder / "movies.dat", FILMS, _encoding(folder / "movies.dat"))
    users, files = None, [folder / "ratings.dat", folder / "movies.dat"]
    if (folder / "users.dat").is_file():
        header = [Columns.USER_ID, "gender", "age", "occupation", "zip_code"]
        users, _ = _read_double_colons(folder / "users.dat", header, "utf-8")
        files.append(folder / "users.dat")
    return Raw(ratings, films, users, tuple(files), bad)


def _read_csv(folder: Path) -> Raw:
    """CSV with headers: 20M, 25M, 32M and "latest"."""
    ratings = read_delimited(folder / "ratings.csv", Layout(delimiter=","))
    films = read_delimited(folder / "movies.csv", Layout(delimiter=","))
    names = {"userId": Columns.USER_ID, "movieId": Columns.ITEM_ID}
    files = (folder / "ratings.csv", folder / "movies.csv")
    return Raw(ratings.frame.rename(columns=names), films.frame.rename(columns=names), None, files, ratings.bad_rows)


def _read_recbole(folder: Path) -> Raw:
    """The copy of 100K inside the package recbole: tabs, and columns such as `user_id:token`."""
    layout = Layout(delimiter="\t", quotes=False)
    files = tuple(folder / f"ml-100k.{kind}" for kind in ("inter", "item", "user"))
    ratings, films, users = (read_delimited(path, layout) for path in files)
    frames = [reading.frame.rename(columns=lambda name: name.partition(":")[0]) for reading in (ratings, films, users)]
    film = frames[1].rename(columns={"class": "genres"})
    years = " (" + film["release_year"] + ")"
    film = film.assign(title=film["movie_title"] + years.fillna(""), genres=film["genres"].str.split().str.join("|"))
    return Raw(frames[0], film, frames[2], files, ratings.bad_rows)


LAYOUTS: dict[str, Callable[[Path], Raw]] = {
    "u.data": _read_100k,
    "ml-100k.inter": _read_recbole,
    "ratings.dat": _read_1m,
    "ratings.csv": _read_csv,
}
"""The file that tells a layout, and its reader."""


def _read_double_colons(path: Path, names: list[str], encoding: str) -> tuple[pd.DataFrame, int]:
    """Lines of fields between `::`, every value as text; lines with other numbers of fields are counted."""
    with open_text(path, encoding) as file:
        lines = [line for line in file.read().splitlines() if line]
    rows = [line.split("::") for line in lines]
    whole = [row for row in rows if len(row) == len(names)]
    return pd.DataFrame(whole, columns=names, dtype="str"), len(rows) - len(whole)


def _encoding(path: Path) -> str:
    try:
        path.read_bytes().decode("utf-8")
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8"
