"""The training set: a dataset as a catalogue with texts, sequences, event codes and queries."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_prep.columns import Columns, Split
from data_prep.dataset import Dataset
from data_prep.errors import GateFailed
from towers.events.history import Sequences
from towers.events.reading import LogSettings, read_sequences_of
from towers.events.user_attributes import UserAttributes
from towers.metrics.judgements import Judgements
from towers.modules.tokens import PADDING, EventTypes
from towers.text.synthetic_queries import QueryConfig, synthetic_queries
from towers.training.batches import BatchSettings, QueryPlan, TrainingBatches
from towers.training.query_only_examples import QueryOnlyPlan


@dataclass(frozen=True)
class TrainingSet:
    """A dataset as arrays.

    Attributes:
        items: the items table; an item's row is its position here.
        sequences: every user's events.
        event_types: types that occur in training events, as codes.
        attributes: values of user attributes that occur among users with training events, as codes.
        texts: text of every row: items, then derived queries, then logged ones, then judged ones.
        derived: rows of the texts derived from each item as queries, PADDING for none, [N, V].
        first_logged: row of the first logged query text.
        query_only: queries without a history to learn from.
        judgements: the judged queries that may be learnt from; None where the dataset has none.
    """

    items: pd.DataFrame
    sequences: Sequences
    event_types: EventTypes
    attributes: UserAttributes
    texts: list[str]
    derived: NDArray[np.int64]
    first_logged: int
    query_only: QueryOnlyPlan
    judgements: Judgements | None

    @classmethod
    def of(
        cls,
        dataset: Dataset,
        log: LogSettings,
        queries: QueryConfig,
        judgements: Judgements | None = None,
        judged_rate: float = 0.0,
    ) -> "TrainingSet":
        """Read a dataset.

        Args:
            dataset: the prepared tables.
            log: the part of the log that is seen; its seed draws queries too.
            queries: how queries are derived.
            judgements: judged queries to learn from.
            judged_rate: how often an epoch sees each judged pair.

        Raises:
            UsageError: the dataset was not split by that protocol, or knows no such attribute.
            GateFailed: it holds no training events, and no queries stand in for them.
        """
        sequences = read_sequences_of(dataset, log)
        training = sequences.splits == Split.TRAIN
        num_items = len(dataset.items)
        codes, derived_texts = synthetic_queries(dataset.items, queries, log.seed)
        derived = np.where(codes == PADDING, PADDING, codes + num_items)
        logged = [queries.text(text) for text in sequences.query_texts]
        judged_texts = [queries.text(text) for text in judgements.queries] if judgements else []
        texts = [*dataset.items[Columns.TEXT].astype(str), *derived_texts, *logged, *judged_texts]
        first_judged = len(texts) - len(judged_texts)
        query_only = QueryOnlyPlan.of(judgements, first_judged, judged_rate, derived, queries.alone, texts)
        if not training.any() and query_only.empty:
            raise GateFailed(
                f"{dataset.path}: no training events in split {log.protocol or 'by default'}, and no queries instead: "
                "queries.alone=1 makes a synthetic query of every item, judgements.rate=1 learns from judged ones"
            )
        return cls(
            items=dataset.items,
            sequences=sequences,
            event_types=EventTypes([str(name) for name in np.unique(sequences.events[training])]),
            attributes=UserAttributes.of(sequences.attributes, sequences.ends(Split.VALID) > sequences.offsets[:-1]),
            texts=texts,
            derived=derived,
            first_logged=num_items + len(derived_texts),
            query_only=query_only,
            judgements=judgements,
        )

    @cached_property
    def item_ids(self) -> list[str]:
        """The callers' strings, by row."""
        return [str(i) for i in self.items[Columns.ITEM_ID]]

    def batches(self, until: Split, settings: BatchSettings) -> TrainingBatches:
        """Training batches over the events of the splits before `until`; see `TrainingBatches`."""
        plan = QueryPlan.of(self.sequences, self.derived, settings.query_rate, self.first_logged)
        log, ends = self.sequences, self.sequences.ends(until)
        codes = self.attributes.table(log.attributes, len(log))
        return TrainingBatches(log, ends, self.event_types, plan, settings, codes, self.query_only)
