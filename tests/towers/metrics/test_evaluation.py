"""Evaluation: the whole catalogue for everybody, in an order of its own, told in the order of the cases."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from torch import Tensor

from data_prep.columns import Split
from data_prep.command import load_config
from data_prep.dataset import Dataset
from towers.events.history import NO_QUERY, History, Sequences
from towers.metrics.cases import Cases, EvaluationBatches
from towers.metrics.evaluation import evaluate, mean_metrics
from towers.metrics.ranking_metrics import metric_names
from towers.training.config import TrainConfig
from towers.training.phases import Phase, prepare

ITEMS = 9
IDS = [f"{(i * 5) % ITEMS}" for i in range(ITEMS)]  # not in the order of the rows


class ByHistory:
    """Scores with many ties that depend on the length of a history and on its first item."""

    name = "by history"

    def score(self, histories: Sequence[History], queries: Sequence[str]) -> Tensor:
        return torch.stack([self.of(history) for history in histories])

    def of(self, history: History) -> Tensor:
        seed = 100 * len(history.rows) + int(history.rows[0])
        return torch.from_numpy(np.random.default_rng(seed).integers(0, 4, ITEMS).astype(np.float32))


def log_of(lengths: Sequence[int]) -> Sequences:
    """Users with that many events known and two more held out."""
    rng = np.random.default_rng(0)
    counts = np.array(lengths) + 2
    return Sequences(
        user_ids=np.array([f"u{u}" for u in range(len(lengths))], object),
        offsets=np.concatenate([[0], np.cumsum(counts)]),
        rows=rng.integers(0, ITEMS, counts.sum()),
        events=np.array(["view"] * int(counts.sum()), object),
        timestamps=np.full(counts.sum(), np.nan),
        queries=np.full(counts.sum(), NO_QUERY),
        query_texts=[],
        splits=np.concatenate([[0] * n + [1, 1] for n in lengths]),
    )


def one_case(cases: Cases, case: int) -> Cases:
    here = slice(case, case + 1)
    return replace(cases, users=cases.users[here], ends=cases.ends[here], truth=cases.truth[here])


lengths_of_users = st.lists(st.integers(1, 7), min_size=1, max_size=12)


@given(lengths_of_users, st.integers(1, 5))
def test_batches_hold_everybody_once_shortest_histories_first(lengths, batch_size):
    cases = Cases.held_out(log_of(lengths), IDS, Split.VALID, False, [3])
    batches = list(EvaluationBatches(cases, batch_size))
    assert len(batches) == len(EvaluationBatches(cases, batch_size))
    assert sorted(case for batch in batches for case in batch.places.tolist()) == list(range(len(lengths)))
    visited = [len(history.rows) for batch in batches for history in batch.histories]
    assert visited == sorted(lengths)
    for batch in batches:
        assert [len(history.rows) for history in batch.histories] == [lengths[case] for case in batch.places]


@given(lengths_of_users, st.integers(1, 5), st.booleans())
def test_each_case_has_the_figures_it_has_alone_in_the_order_of_the_cases(lengths, batch_size, exclude_seen):
    cases = Cases.held_out(log_of(lengths), IDS, Split.VALID, exclude_seen, [1, 3])
    outcome = evaluate(ByHistory(), cases, batch_size)
    for case in range(len(cases)):
        alone = evaluate(ByHistory(), one_case(cases, case), 1)
        np.testing.assert_array_equal(outcome.metrics[case], alone.metrics[0])
        np.testing.assert_array_equal(outcome.top[case], alone.top[0])
        best = ByHistory().of(cases.history(case))
        best[cases.seen(case)] = -torch.inf
        assert best[outcome.top[case, 0]] == best.max()


def test_where_fewer_items_are_left_than_asked_for_the_rest_is_minus_one():
    sequences = replace(log_of([ITEMS - 1]), rows=np.array([*range(ITEMS - 1), ITEMS - 1, ITEMS - 1]))
    cases = Cases.held_out(sequences, IDS, Split.VALID, True, [3])
    assert evaluate(ByHistory(), cases, 4).top.tolist() == [[ITEMS - 1, -1, -1]]


def test_validation_in_training_tells_each_users_figures_in_the_order_of_the_cases(tiny_train_overrides):
    config = load_config(TrainConfig, "train", tiny_train_overrides)
    dataset = Dataset.open(config.data)
    retriever = prepare(config, dataset, Phase(config.artifacts, Split.VALID, None)).retriever.eval()
    everybody = retriever.cases

    def validated(cases: Cases, batch_size: int) -> Tensor:
        retriever.cases = cases
        retriever.on_validation_epoch_start()
        with torch.no_grad():
            for i, batch in enumerate(EvaluationBatches(cases, batch_size)):
                retriever.validation_step(batch, i)
        return retriever.validated

    together = validated(everybody, 7)
    assert together.shape == (len(everybody), len(metric_names(everybody.cutoffs)))
    for case in range(0, len(everybody), 5):
        torch.testing.assert_close(validated(one_case(everybody, case), 1), together[case : case + 1])
    assert mean_metrics(together, everybody)["ndcg@10"] == pytest.approx(
        float(together[:, metric_names(everybody.cutoffs).index("ndcg@10")].mean())
    )
