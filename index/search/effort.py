"""How hard FAISS looks, whatever each kind of index calls it, and how a search is narrowed to some rows."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from index.search.gpus import inner_index
from index.search.list_means import lists_of_rows

FAISS: Any = faiss
"""FAISS's own type hints know neither graphs nor the keyword arguments of search parameters."""

EFFORTS_PER_DOUBLING = 4
"""Calibration tries efforts that grow by the fourth root of two."""

LEAST_SHARE = 128
"""It begins at a 128th of all inverted lists."""

NANOSECONDS_A_CANDIDATE = 130.0
"""To keep a candidate in FAISS's heap and to score it again; this and the next were measured at 128 dimensions."""

NANOSECONDS_A_NODE = 4000.0
"""To visit a node of a graph and compare its neighbours."""


@dataclass(frozen=True)
class Selection:
    """Rows a search may return, made ready for FAISS.

    Attributes:
        rows: [m] ascending, each once.
        bits: a bit for each row of the catalogue.
        per_list: [lists] how many of the rows each inverted list holds; empty for an index without.
    """

    rows: NDArray[np.int64]
    bits: NDArray[np.uint8]
    per_list: NDArray[np.int64]


class Effort:
    """The one knob of an index: inverted lists visited (`nprobe`), a graph's queue (`efSearch`), or none.

    Args:
        index: a trained and filled `faiss.Index`.
    """

    def __init__(self, index: Any) -> None:
        self._whole = index  # the next ones are bare pointers into it
        self._transformed = isinstance(index, faiss.IndexPreTransform)
        inner = self._inner = inner_index(index)
        self.lists = int(getattr(inner, "nlist", 0))
        """Inverted lists; 0 for an index that has none."""
        self._graph = hasattr(inner, "hnsw")

    @property
    def most(self) -> int:
        """The greatest effort there is."""
        return self.lists or (int(self._inner.ntotal) if self._graph else 1)

    @property
    def selects(self) -> bool:
        """Whether FAISS can narrow a search to some rows."""
        return self.lists > 0 or self._graph

    def steps(self) -> list[int]:
        """Efforts worth trying, ascending: of a graph up to a 16th of its nodes, else up to the most."""
        if self.most == 1:
            return [1]
        first, last = (max(1, self.lists // LEAST_SHARE), self.lists) if self.lists else (16, max(16, self.most // 16))
        count = 1 + int(EFFORTS_PER_DOUBLING * np.log2(last / first))
        steps = first * 2 ** (np.arange(count) / EFFORTS_PER_DOUBLING)
        return sorted({*np.rint(steps).astype(int).tolist(), last})

    def nanoseconds(self, effort: int, depth: int) -> float:
        """Rough cost of a query: only the ratios between settings of one index are meant.

        Args:
            effort: lists visited, or length of the queue.
            depth: candidates re-scored.
        """
        if self._graph:
            looking = NANOSECONDS_A_NODE * effort
        elif self.lists:
            looking = self._nanoseconds_a_code * self._inner.ntotal * effort / self.lists
        else:
            looking = 0.0
        return looking + NANOSECONDS_A_CANDIDATE * depth

    @property
    def _nanoseconds_a_code(self) -> float:
        in_registers = isinstance(self._inner, faiss.IndexIVFFastScan)
        return float((0.07 if in_registers else 0.15) * self._inner.code_size)

    def parameters(self, effort: int, selection: Selection | None = None) -> Any:
        """FAISS's search parameters; None where the index takes none.

        Args:
            effort: lists to visit, or length of the queue.
            selection: rows to narrow the search to; only lists that hold some of them are visited.
        """
        if not self.selects:
            return None
        chosen = {} if selection is None else {"sel": FAISS.IDSelectorBitmap(selection.bits)}
        if self._graph:
            return self._wrapped(FAISS.SearchParametersHNSW(efSearch=effort, **chosen))
        if selection is not None:
            holding = np.packbits(selection.per_list > 0, bitorder="little")
            chosen["quantizer_params"] = self._coarse(FAISS.IDSelectorBitmap(holding))
        return self._wrapped(FAISS.SearchParametersIVF(nprobe=effort, **chosen))

    def select(self, rows: NDArray[np.int64]) -> Selection:
        """Make rows ready to narrow a search to; rows are ascending, each once."""
        mask = np.zeros(self._whole.ntotal, bool)
        mask[rows] = True
        per_list = np.bincount(self._list_of[rows], minlength=self.lists) if self.lists else np.empty(0, np.int64)
        return Selection(rows, np.packbits(mask, bitorder="little"), per_list)

    @cached_property
    def _list_of(self) -> NDArray[np.int32]:
        """The inverted list of every row, [N]: four bytes an item, made at the first selection."""
        return lists_of_rows(self._inner, self._whole.ntotal)

    def _coarse(self, selector: Any) -> Any:
        if hasattr(faiss.downcast_index(self._inner.quantizer), "hnsw"):
            return FAISS.SearchParametersHNSW(efSearch=self.lists, sel=selector)
        return FAISS.SearchParameters(sel=selector)

    def _wrapped(self, parameters: Any) -> Any:
        if not self._transformed:
            return parameters
        return FAISS.SearchParametersPreTransform(index_params=parameters)


@dataclass(frozen=True)
class SearchParameters:
    """How hard to look, as calibrated.

    Attributes:
        nprobe: inverted lists visited; of a graph the length of its queue; 1 for an index that has neither.
        rescore: candidates scored again from their vectors, for each answer.
        k: the number of answers the two were calibrated for. More answers visit more lists in proportion;
            fewer re-score as many candidates, as the approximate order misleads near the top too.
    """

    nprobe: int
    rescore: float
    k: int
