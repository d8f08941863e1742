"""How a catalogue's index is chosen: one index named, or several that are tried."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from data_prep.command import UsageError
from index.search.factory import FLAT, Plan, plan_index
from index.search.stored_vectors import AUTO, FORMATS


class IndexChoice(Protocol):
    """How a catalogue's index is chosen; `conf/index/` holds one file for each."""

    def plans(self, count: int, dim: int) -> list[Plan]:
        """The indexes worth trying for `count` vectors of `dim` numbers, at least one; one alone is not tried.

        Raises:
            UsageError: FAISS cannot make such an index.
        """
        ...


@dataclass(frozen=True)
class Exact:
    """Compare a query with every vector."""

    def plans(self, count: int, dim: int) -> list[Plan]:
        """Always the flat index."""
        return [Plan(FLAT, f"exact search over {count:,} vectors was asked for")]


@dataclass(frozen=True)
class Factory:
    """One index, named.

    Args:
        factory: a FAISS factory string, in which `{lists}`, `{dim}` and `{half}` stand for what
            `index.search.factory.plan_index` says.
        lists_per_root: `{lists}` are at most this times √count.
        vectors: format of the vectors that candidates are scored again with: float32, float16, int8, or auto for the
            coarsest that the recall target can afford.

    Raises:
        UsageError: an argument outside those.
    """

    factory: str
    lists_per_root: float
    vectors: str

    def __post_init__(self) -> None:
        _check(self.lists_per_root, self.vectors)

    def plans(self, count: int, dim: int) -> list[Plan]:
        """That index, or the flat one where there are too few vectors to train it on."""
        return [plan_index(self.factory, count, dim, self.lists_per_root, self.vectors)]


@dataclass(frozen=True)
class Auto:
    """Exact while the catalogue is small enough for it; above, the cheapest of several that are tried.

    Args:
        exact_below: catalogues with fewer vectors than this are searched exactly.
        factories: FAISS factory strings to try, as `Factory`'s.
        lists_per_root: as `Factory`'s.
        vectors: as `Factory`'s.

    Raises:
        UsageError: an argument outside those.
    """

    exact_below: int
    factories: Sequence[str]
    lists_per_root: float
    vectors: str

    def __post_init__(self) -> None:
        _check(self.lists_per_root, self.vectors)
        if not self.factories:
            raise UsageError("index.factories is empty; name at least one FAISS factory string")

    def plans(self, count: int, dim: int) -> list[Plan]:
        """The flat index below the bound, else every factory once."""
        if count < self.exact_below:
            return [Plan(FLAT, f"{count:,} vectors, fewer than exact_below={self.exact_below:,}: exact")]
        plans = [plan_index(each, count, dim, self.lists_per_root, self.vectors) for each in self.factories]
        return list({plan.factory: plan for plan in plans}.values())


def _check(lists_per_root: float, vectors: str) -> None:
    if lists_per_root <= 0:
        raise UsageError(f"index.lists_per_root must be above 0, not {lists_per_root}")
    if vectors not in (AUTO, *FORMATS):
        raise UsageError(f"index.vectors must be one of {', '.join((AUTO, *FORMATS))}, not {vectors}")
