"""What the comparison of training speed rests on: every step has the same number of sequences, and reads as asked."""

import numpy as np
import pytest

from benchmarks.training_speed import FixedRows
from towers.events.history import Sequences
from towers.modules.tokens import PADDING, EventTypes
from towers.training.batches import BatchSettings, QueryPlan, TrainingBatches

LENGTH = 5


@pytest.fixture
def batches() -> TrainingBatches:
    """Eleven users with 2…12 events each, in windows of five."""
    lengths = np.arange(2, 13)
    rows = np.arange(lengths.sum())
    sequences = Sequences(
        user_ids=np.array([str(u) for u in range(len(lengths))], dtype=object),
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        rows=rows,
        events=np.full(len(rows), "view", dtype=object),
        timestamps=np.full(len(rows), np.nan),
        queries=np.full(len(rows), -1),
        query_texts=[],
        splits=np.zeros(len(rows), int),
    )
    queries = QueryPlan.of(sequences, np.full((len(rows), 1), PADDING), 0.0, len(rows))
    settings = BatchSettings(LENGTH, tokens_per_batch=16, query_rate=0.0, signal_dropout=0.0, seed=0)
    return TrainingBatches(sequences, sequences.offsets[1:], EventTypes(["view"]), queries, settings)


def test_every_batch_has_the_same_number_of_sequences(batches: TrainingBatches) -> None:
    fixed = FixedRows(batches, rows=4, width=None)
    found = list(fixed)
    assert len(found) == len(fixed) > 3
    assert {len(batch.tokens.rows) for batch in found} == {4}
    targets = np.concatenate([batch.positives.numpy() for batch in found])
    assert len(np.unique(targets)) == len(targets)  # windows are those of training, none twice


def test_another_epoch_is_another_draw_and_the_same_one_the_same(batches: TrainingBatches) -> None:
    def draw(epoch: int) -> list[list[int]]:
        fixed = FixedRows(batches, rows=4, width=None)
        fixed.epoch = epoch
        return [batch.positives.tolist() for batch in fixed]

    assert draw(0) == draw(0) != draw(1)


def test_padding_adds_nothing_but_positions(batches: TrainingBatches) -> None:
    plain, wide = (list(FixedRows(batches, rows=4, width=width)) for width in (None, LENGTH - 1))
    for narrow, padded in zip(plain, wide, strict=True):
        width = narrow.tokens.rows.shape[1]
        assert padded.tokens.rows.shape == padded.tokens.events.shape == padded.tokens.gaps.shape == (4, LENGTH - 1)
        assert padded.tokens.rows[:, :width].equal(narrow.tokens.rows)
        assert bool((padded.tokens.rows[:, width:] == PADDING).all())
        assert padded.tokens.lengths.equal(narrow.tokens.lengths) and padded.positives.equal(narrow.positives)
