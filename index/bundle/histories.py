"""Histories of users in a bundle, so that a caller need only name one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from towers.events import History, Sequences

ATTRIBUTE = "attribute."
"""Prefix of the columns that hold users' attributes."""


@dataclass(frozen=True)
class Histories:
    """The newest events of every user, oldest first, as flat arrays cut by `offsets`.

    Attributes:
        user_ids: [U] the callers' strings.
        offsets: [U + 1]; the events of user u are at offsets[u]:offsets[u + 1].
        rows: [E] items, as rows of the bundle.
        event_codes: [E] positions in `event_names`.
        event_names: the event types there are.
        timestamps: [E] seconds since the epoch, NaN where unknown.
        attributes: of the users, column -> [U] values, "" where unknown; those the model reads.
    """

    user_ids: NDArray[np.object_]
    offsets: NDArray[np.int64]
    rows: NDArray[np.int64]
    event_codes: NDArray[np.int64]
    event_names: tuple[str, ...]
    timestamps: NDArray[np.float64]
    attributes: Mapping[str, NDArray[np.object_]] = field(default_factory=dict)

    @classmethod
    def collect(cls, sequences: Sequences, kept: int) -> Self:
        """The last `kept` events of each user, of every split: a server knows all there is."""
        ends = sequences.offsets[1:]
        starts = np.maximum(sequences.offsets[:-1], ends - kept)
        keep = np.zeros(len(sequences.rows) + 1, np.int64)
        np.add.at(keep, starts, 1)
        np.add.at(keep, ends, -1)
        inside = np.cumsum(keep[:-1]) > 0
        codes, names = pd.factorize(sequences.events[inside].astype(str), sort=True)
        return cls(
            user_ids=sequences.user_ids,
            offsets=np.concatenate([[0], np.cumsum(ends - starts)]),
            rows=sequences.rows[inside],
            event_codes=codes.astype(np.int64),
            event_names=tuple(names.tolist()),
            timestamps=sequences.timestamps[inside],
            attributes=sequences.attributes,
        )

    def save(self, path: Path) -> None:
        """Write one row a user to a Parquet file."""
        offsets = pa.array(self.offsets, pa.int64())
        codes = pa.array(self.event_codes, pa.int32())
        events = pa.DictionaryArray.from_arrays(codes, pa.array(self.event_names, pa.string()))
        columns = {
            "user_id": pa.array(self.user_ids, pa.string()),
            "row": pa.LargeListArray.from_arrays(offsets, pa.array(self.rows)),
            "event": pa.LargeListArray.from_arrays(offsets, events.cast(pa.string())),
            "timestamp": pa.LargeListArray.from_arrays(offsets, pa.array(self.timestamps)),
        }
        columns |= {f"{ATTRIBUTE}{name}": pa.array(known, pa.string()) for name, known in self.attributes.items()}
        pq.write_table(pa.table(columns), path)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a file that `save` wrote."""
        table = pq.read_table(path).combine_chunks()
        rows, events, timestamps = (_flat(table[name]) for name in ("row", "event", "timestamp"))
        lengths = table["row"].combine_chunks().value_lengths().to_numpy()
        encoded = events.dictionary_encode()
        return cls(
            user_ids=table["user_id"].to_numpy(),
            offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            rows=rows.to_numpy(),
            event_codes=encoded.indices.to_numpy().astype(np.int64),
            event_names=tuple(encoded.dictionary.to_pylist()),
            timestamps=timestamps.to_numpy(zero_copy_only=False),
            attributes={
                name.removeprefix(ATTRIBUTE): table[name].to_numpy()
                for name in table.column_names
                if name.startswith(ATTRIBUTE)
            },
        )

    def __len__(self) -> int:
        """Number of users."""
        return len(self.user_ids)

    def of(self, user_id: str) -> History | None:
        """A user's newest events, or None for somebody the bundle does not know."""
        user = self._numbers.get(user_id)
        return None if user is None else self.at(user)

    def at(self, user: int) -> History:
        """The events of a user, by position in `user_ids`."""
        part = slice(int(self.offsets[user]), int(self.offsets[user + 1]))
        events = [self.event_names[code] for code in self.event_codes[part]]
        known = {name: str(values[user]) for name, values in self.attributes.items()}
        return History(self.rows[part], events, self.timestamps[part], known)

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {user_id: number for number, user_id in enumerate(self.user_ids.tolist())}


def _flat(lists: pa.ChunkedArray) -> pa.Array:
    return pa.concat_arrays([chunk.flatten() for chunk in lists.chunks]) if lists.num_chunks else pa.array([])
