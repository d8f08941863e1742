"""What a dataset becomes before training: a catalogue with texts, sequences, event codes, queries."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_prep.columns import Columns, Split
from data_prep.dataset import Dataset
from data_prep.errors import GateFailed, UsageError
from towers.batches import QueryPlan, TrainingBatches
from towers.cold import held_back
from towers.config import QueryConfig
from towers.history import Sequences
from towers.tokens import PADDING, EventTypes
from towers.user_attributes import UserAttributes

PROTOCOLS = {"temporal": Columns.SPLIT_TEMPORAL, "leave_one_out": Columns.SPLIT_LEAVE_ONE_OUT}


@dataclass(frozen=True)
class Material:
    """A dataset as arrays.

    Attributes:
        items: the items table; an item's row is its position here.
        sequences: every user's events.
        event_types: types that occur in training events, as codes.
        attributes: values of user attributes that occur among users with training events, as codes.
        texts: text of every row: items, then derived queries, then the log's own queries.
        derived: row of the text derived from each item as a query, PADDING for none, [N].
        first_logged: row of the log's first own query text.
    """

    items: pd.DataFrame
    sequences: Sequences
    event_types: EventTypes
    attributes: UserAttributes
    texts: list[str]
    derived: NDArray[np.int64]
    first_logged: int

    @classmethod
    def of(
        cls,
        dataset: Dataset,
        protocol: str,
        queries: QueryConfig,
        attributes: Sequence[str] = (),
        cold_share: float = 0.0,
        seed: int = 0,
    ) -> "Material":
        """Read a dataset.

        Args:
            dataset: the prepared tables.
            protocol: "temporal", "leave_one_out", or "" for the dataset's default.
            queries: how queries are derived.
            attributes: columns of the users table to read.
            cold_share, seed: which items' training events are left out (see `held_back`).

        Raises:
            UsageError: the dataset was not split by that protocol, or knows no such attribute.
            GateFailed: it holds no training events.
        """
        sequences = read_sequences(dataset, protocol, attributes, cold_share, seed)
        training = sequences.splits == Split.TRAIN
        if not training.any():
            raise GateFailed(f"{dataset.path}: no training events in split {protocol or 'by default'}")
        derived, derived_texts = _derive_queries(dataset.items, queries)
        num_items = len(dataset.items)
        return cls(
            items=dataset.items,
            sequences=sequences,
            event_types=EventTypes([str(name) for name in np.unique(sequences.events[training])]),
            attributes=UserAttributes.of(sequences.attributes, sequences.ends(Split.VALID) > sequences.offsets[:-1]),
            texts=[*dataset.items[Columns.TEXT].astype(str), *derived_texts, *sequences.query_texts],
            derived=np.where(derived == PADDING, PADDING, derived + num_items),
            first_logged=num_items + len(derived_texts),
        )

    @cached_property
    def item_ids(self) -> list[str]:
        """The callers' strings, by row."""
        return [str(i) for i in self.items[Columns.ITEM_ID]]

    def batches(
        self,
        until: Split,
        max_history: int,
        tokens_per_batch: int,
        query_rate: float,
        signal_dropout: float,
        seed: int,
    ) -> TrainingBatches:
        """Training batches over the events of the splits before `until`; see `TrainingBatches`."""
        plan = QueryPlan.of(self.sequences, self.derived, query_rate, self.first_logged)
        log, ends = self.sequences, self.sequences.ends(until)
        codes = self.attributes.table(log.attributes, len(log))
        return TrainingBatches(
            log, ends, self.event_types, plan, max_history, tokens_per_batch, signal_dropout, seed, codes
        )


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


def read_sequences_of(dataset: Dataset, settings: Mapping[str, Any]) -> Sequences:
    """The log as a training run saw it.

    Args:
        dataset: the prepared tables.
        settings: the run's `config`, as `run.json` has it.
    """
    attributes = settings["tower"]["attributes"]["columns"]
    return read_sequences(dataset, settings["protocol"], attributes, settings["cold_share"], settings["seed"])


def derived_queries(items: pd.DataFrame, config: QueryConfig) -> list[str]:
    """The search text derived from each item, "" for none, [N]."""
    codes, texts = _derive_queries(items, config)
    return ["" if code == PADDING else texts[code] for code in codes.tolist()]


def _derive_queries(items: pd.DataFrame, config: QueryConfig) -> tuple[NDArray[np.int64], list[str]]:
    """A search text for each item: the last words of its first non-empty column. Returns positions [N] and texts."""
    query = pd.Series([""] * len(items), dtype=str)
    for column in config.columns:
        if column in items:
            words = items[column].fillna("").astype(str).reset_index(drop=True).str.findall(r"\w[\w'’-]*")
            candidate = words.str[-config.max_words :].str.join(" ").str.lower()
            query = query.where(query != "", candidate)
    codes, texts = pd.factorize(query.replace("", None))
    return np.asarray(codes, np.int64), [str(text) for text in texts]
