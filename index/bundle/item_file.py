"""The item table as a server reads it: laid out so that it is mapped, not parsed, and shared between processes.

`items.parquet` holds the same for everybody else: a third of the size, and decoded anew by each reader.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from data_prep.columns import Column


class TextColumn:
    """A column of strings, read where it lies; a string becomes an object only when it is asked for.

    Args:
        column: the column, N strings.
    """

    dtype = np.dtype(object)

    def __init__(self, column: Column) -> None:
        strings = pa.chunked_array(pa.array(column, pa.large_string()))
        self._strings = strings.chunk(0) if strings.num_chunks == 1 else strings.combine_chunks()

    def __len__(self) -> int:
        return len(self._strings)

    @property
    def shape(self) -> tuple[int]:
        """As of an array."""
        return (len(self),)

    def __getitem__(self, rows: NDArray[np.int64]) -> NDArray[np.object_]:
        """The strings of some rows, [n]; None where there is none."""
        strings: NDArray[np.object_] = self._strings.take(pa.array(rows)).to_numpy(zero_copy_only=False)
        return strings


def save_items(path: Path, items: pd.DataFrame) -> None:
    """Write an item table as one Arrow file, uncompressed, in one piece."""
    table = pa.Table.from_pandas(items, preserve_index=False).combine_chunks()
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=max(len(table), 1))


def map_items(path: Path) -> pd.DataFrame:
    """The item table of a file, its strings and vectors read when they are touched.

    Raises:
        ValueError: the file holds something else.
    """
    table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    items: pd.DataFrame = table.to_pandas(types_mapper=_kept_in_place)
    return items


def _kept_in_place(kind: pa.DataType) -> Any:
    """Vectors stay in the file; whatever pandas maps anyhow, or must convert, is left to it."""
    nested = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    return pd.ArrowDtype(kind) if nested else None
