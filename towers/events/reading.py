"""Reading the log of a dataset as sequences, under a split protocol."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_prep.columns import Columns, Split
from data_prep.dataset import Dataset
from data_prep.errors import UsageError
from towers.events.history import Sequences

PROTOCOLS = {"temporal": Columns.SPLIT_TEMPORAL, "leave_one_out": Columns.SPLIT_LEAVE_ONE_OUT}


@dataclass(frozen=True)
class LogSettings:
    """The part of a dataset's log that a training run sees.

    Attributes:
        protocol: "temporal", "leave_one_out", or "" for the dataset's default.
        attributes: columns of the users table.
        cold_share, seed: which items' training events are left out (see `held_back`).
    """

    protocol: str
    attributes: Sequence[str]
    cold_share: float
    seed: int


def read_sequences(
    dataset: Dataset, protocol: str, attributes: Sequence[str] = (), cold_share: float = 0.0, seed: int = 0
) -> Sequences:
    """Every user's events under a split protocol, and some of the users' attributes.

    Args:
        dataset: the prepared tables.
        protocol: "temporal", "leave_one_out", or "" for the dataset's default.
        attributes: columns of the users table.
        cold_share, seed: which items' training events are left out (see `held_back`); by default none.
    """
    if protocol and protocol not in PROTOCOLS:
        raise UsageError(f"protocol: {protocol!r} is not one of {sorted(PROTOCOLS)}, nor empty for the default")
    column = PROTOCOLS[protocol] if protocol else dataset.split_column
    if column not in dataset.events:
        raise UsageError(f"protocol: {dataset.path} has no {column}; it was prepared without times")
    events, item_ids = dataset.events, pd.Index(dataset.items[Columns.ITEM_ID])
    if cold_share > 0:
        cold = item_ids[held_back([str(i) for i in item_ids], cold_share, seed)]
        events = events[~(events[Columns.ITEM_ID].isin(cold) & (events[column] == Split.TRAIN))]
    sequences = Sequences.from_events(events, item_ids, column, dataset.manifest.has_times)
    return sequences.with_attributes(dataset.users if attributes else None, attributes)


def read_sequences_of(dataset: Dataset, log: LogSettings) -> Sequences:
    """The log as a training run saw it.

    Args:
        dataset: the prepared tables.
        log: the run's (`RunRecord.settings.log`).
    """
    return read_sequences(dataset, log.protocol, log.attributes, log.cold_share, log.seed)


def held_back(item_ids: Sequence[str], share: float, seed: int) -> NDArray[np.bool_]:
    """Which items are made cold for a trial: their training events are left out.

    An item's own id decides with the seed, so the choice is the same whatever else is in the catalogue.

    Args:
        item_ids: the catalogue's strings, N.
        share: of the items, about.
        seed: another one holds back other items.

    Returns:
        [N].
    """
    digests = (hashlib.blake2b(f"{seed}/{item_id}".encode(), digest_size=8).digest() for item_id in item_ids)
    drawn = np.array([int.from_bytes(digest, "big") / 2**64 for digest in digests])  # uniform in 0…1
    return drawn < share
