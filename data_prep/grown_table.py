"""A table with rows added behind it, for catalogues that grow while they are served."""

from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

Scalar = TypeVar("Scalar", bound=np.generic)
Cell = TypeVar("Cell", bound=np.generic, covariant=True)


class Table(Protocol[Cell]):
    """The interface of the first table: of an array, and of a column that is none."""

    @property
    def dtype(self) -> Any: ...

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, rows: NDArray[np.int64], /) -> NDArray[Cell]: ...


class GrownTable(Generic[Scalar]):
    """Two tables read as one, the second behind the first; neither is copied, so the first may be memory-mapped.

    Args:
        base: [N, ...].
        added: [M, ...], rows N…N+M-1.
    """

    def __init__(self, base: "Table[Scalar] | GrownTable[Scalar]", added: NDArray[Scalar]) -> None:
        self.base: Table[Scalar] = base.base if isinstance(base, GrownTable) else base
        self.added: NDArray[Scalar] = np.concatenate([base.added, added]) if isinstance(base, GrownTable) else added

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.base) + len(self.added)

    @property
    def dtype(self) -> Any:
        """As of an array."""
        return self.base.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """As of an array."""
        return (len(self), *self.base.shape[1:])

    def __getitem__(self, rows: NDArray[np.int64]) -> NDArray[Scalar]:
        """A copy of some rows, [n] -> [n, ...]."""
        rows = np.asarray(rows)
        in_base = rows < len(self.base)
        if in_base.all():
            return self.base[rows]
        values: NDArray[Any] = np.empty((len(rows), *self.base.shape[1:]), self.base.dtype)
        values[in_base] = self.base[rows[in_base]]
        values[~in_base] = self.added[rows[~in_base] - len(self.base)]
        return values
