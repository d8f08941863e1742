"""Schemes of negatives: what they offer is what they say they expect, alone and together."""

import pytest
import torch

from data_prep.command import instantiate, load_config
from data_prep.errors import UsageError
from towers.losses import (
    CountSketch,
    CrossBatch,
    Encoded,
    ExactCounts,
    Full,
    Hard,
    InBatch,
    Negatives,
    Uniform,
)
from towers.modules.tokens import PADDING
from towers.training.config import TrainConfig

COUNTS = torch.tensor([1.0, 2.0, 0.0, 5.0, 12.0])


def together(correction: float = 1.0, counts: torch.Tensor = COUNTS, **sources) -> Negatives:
    return Negatives(sources, correction, ExactCounts, counts, seed=0)


def offered(negatives: Negatives, positives: torch.Tensor):
    sampled = negatives.sample()
    return negatives.candidates(
        Encoded(positives, positives.unsqueeze(1).float()), Encoded(sampled, sampled.unsqueeze(1).float())
    )


@pytest.mark.parametrize(
    "sources",
    [
        {"in_batch": InBatch},
        {"uniform": lambda: Uniform(16)},
        {"in_batch": InBatch, "uniform": lambda: Uniform(7)},
        {"in_batch": InBatch, "cross_batch": lambda: CrossBatch(3)},
        {"in_batch": InBatch, "uniform": lambda: Uniform(7), "cross_batch": lambda: CrossBatch(2)},
    ],
    ids=lambda sources: "+".join(sources),
)
def test_the_corrected_weights_of_any_mixture_sum_to_one_for_every_trained_item(sources):
    """Draw many batches: that is what it means to estimate the sum over the catalogue."""
    torch.manual_seed(2)
    negatives = together(**{name: make() for name, make in sources.items()})
    weight, rounds = torch.zeros(5), 2500
    for _ in range(rounds):
        found = offered(negatives, torch.multinomial(COUNTS, 40, replacement=True))
        weights = torch.exp(-found.log_q)
        if "in_batch" in sources:
            weights[0] = 0  # the row's own positive aside: batches come first
        weight.index_add_(0, found.rows, weights)
    torch.testing.assert_close(weight / rounds, (COUNTS > 0).float(), atol=0.06, rtol=0)


def test_a_mixture_is_corrected_by_the_sum_of_what_its_schemes_expect():
    found = offered(together(in_batch=InBatch(), uniform=Uniform(6)), torch.tensor([4, 4, 3, 0, 1]))
    share = COUNTS / 20
    torch.testing.assert_close(found.log_q.exp(), 4 * share[found.rows] + 6 / 4)
    half = offered(together(0.5, in_batch=InBatch(), uniform=Uniform(6)), torch.tensor([4, 4, 3, 0, 1]))
    torch.testing.assert_close(half.log_q, 0.5 * (4 * share[half.rows] + 6 / 4).log())
    assert offered(together(0.0, in_batch=InBatch()), torch.tensor([4, 0])).log_q.tolist() == [0, 0]


def test_uniform_draws_only_what_training_has_seen_and_the_same_in_the_same_epoch():
    negatives = together(uniform=Uniform(3000))
    negatives.start_epoch(3)
    first = negatives.sample()
    assert set(first.tolist()) == {0, 1, 3, 4}
    torch.rand(10)  # what else is drawn does not matter
    assert not torch.equal(negatives.sample(), first)
    negatives.start_epoch(3)
    assert torch.equal(negatives.sample(), first)


def test_full_offers_every_trained_item_once_and_uncorrected():
    found = offered(together(full=Full()), torch.tensor([2]))
    assert found.rows.tolist() == [0, 1, 3, 4]
    assert found.log_q.tolist() == [0.0] * 4


def test_a_memory_keeps_the_last_batches_vectors_as_they_were_until_the_epoch_ends():
    negatives = together(uniform=Uniform(1), cross_batch=CrossBatch(2))

    def batch(*rows: int) -> list[int]:
        vectors = torch.full((len(rows), 1), float(rows[0]), requires_grad=True)
        sampled = negatives.sample()
        found = negatives.candidates(Encoded(torch.tensor(rows), vectors), Encoded(sampled, torch.zeros(1, 1)))
        assert not found.vectors.requires_grad
        assert found.vectors[1:, 0].tolist() == [{1: 0, 4: 3}.get(row, row) for row in found.rows[1:].tolist()]
        # One uniform draw of four items, and as many by popularity as are remembered.
        remembered = len(found.rows) - 1
        torch.testing.assert_close(found.log_q.exp(), 1 / 4 + remembered * COUNTS[found.rows] / 20)
        return found.rows[1:].tolist()

    assert [batch(0, 1), batch(3, 4), batch(4 - 1), batch(0)] == [[], [0, 1], [0, 1, 3, 4], [3, 4, 3]]
    negatives.start_epoch(1)
    assert batch(0) == []


@pytest.mark.parametrize(
    ("sources", "said"),
    [
        ({"full": Full(), "uniform": Uniform(3)}, "uniform adds nothing"),
        ({"cross_batch": CrossBatch(2)}, r"negatives=\[in_batch,cross_batch\]"),
        ({}, "none given"),
        ({"hard": Hard(1, 0, 0.0, 1), "harder": Hard(2, 0, 0.0, 1)}, "one scheme of hard"),
    ],
)
def test_schemes_that_do_not_go_together_are_refused_with_a_cure(sources, said):
    with pytest.raises(UsageError, match=said):
        together(**sources)


def mined(hard: Hard, users: torch.Tensor, catalogue: torch.Tensor, positives: list[int], known: list[list[int]]):
    excluded = torch.zeros(len(known), len(catalogue), dtype=torch.bool)
    for user, rows in enumerate(known):
        excluded[user, rows] = True
    rows = torch.arange(len(users))
    return hard.mine(users, torch.tensor(positives), excluded, rows, lambda: catalogue).tolist()


def test_hard_negatives_are_the_best_that_stay_a_margin_below_the_positive():
    catalogue = torch.tensor([[0.99], [0.95], [1.0], [0.5], [0.8], [-0.3], [0.7]])
    users = torch.ones(2, 1)
    # By score: 2 (positive), 0, 1, 4, 6, 3, 5; within a tenth of the positive's 1.0 lie 0 and 1.
    assert mined(Hard(2, 0, 0.1, None), users, catalogue, [2, 2], [[], [4]]) == [[4, 6], [6, 3]]
    assert mined(Hard(2, 0, 0.0, None), users, catalogue, [2, 2], [[], [4]]) == [[0, 1], [0, 1]]
    assert mined(Hard(2, 1, 0.0, None), users, catalogue, [2, 2], [[], [0]]) == [[1, 4], [4, 6]]
    assert mined(Hard(2, 3, 0.1, None), users, catalogue, [2, 2], [[], [4]]) == [[6, 3], [3, 5]]
    # Of a positive that scores -.3 nothing may lie within .03, which leaves nothing.
    assert mined(Hard(2, 0, 0.1, None), users[:1], catalogue, [5], [[]]) == [[PADDING, PADDING]]


def test_hard_negatives_do_not_depend_on_how_much_is_scored_at_a_time(monkeypatch):
    torch.manual_seed(0)
    users, catalogue = torch.randn(9, 4), torch.randn(30, 4)
    known = [[i] for i in range(9)]
    whole = mined(Hard(5, 1, 0.05, None), users, catalogue, list(range(9)), known)
    monkeypatch.setattr("towers.losses.hard_negatives.SCORES_AT_ONCE", 65)
    assert mined(Hard(5, 1, 0.05, None), users, catalogue, list(range(9)), known) == whole


def test_the_catalogue_is_encoded_anew_every_so_many_steps_and_each_epoch():
    hard, encoded = Hard(1, 0, 0.0, 3), []

    def step() -> int:
        hard.mine(
            torch.ones(1, 1),
            torch.tensor([0]),
            torch.zeros(1, 2, dtype=torch.bool),
            torch.tensor([0]),
            lambda: encoded.append(1) or torch.ones(2, 1),
        )
        return len(encoded)

    assert [step() for _ in range(5)] == [1, 1, 1, 2, 2]
    hard.start_epoch()
    assert [step() for _ in range(4)] == [3, 3, 3, 4]


def test_a_sketch_never_counts_too_little_and_hardly_too_much():
    torch.manual_seed(0)
    sketch = CountSketch(width=512, depth=4, decay=1.0)
    rows = torch.multinomial(1 / torch.arange(1, 2001.0), 20_000, True)
    for part in rows.split(250):
        sketch.observe(part)
    truth = torch.bincount(rows, minlength=2000)
    excess = sketch.count(torch.arange(2000)) - truth
    assert excess.min() >= 0
    assert excess.mean() < 2.72 / 512 * len(rows)
    popular = truth.topk(20).indices
    torch.testing.assert_close(sketch.share(popular), truth[popular] / len(rows), rtol=0.05, atol=0)


def test_a_sketch_with_decay_forgets_and_one_with_room_is_exact():
    sketch = CountSketch(width=4096, depth=3, decay=0.5)
    for rows in ([7, 7, 7, 7], [7, 8], [8, 8]):
        sketch.observe(torch.tensor(rows))
    # 7: 4 → 2 + 1 → 1.5; 8: 1 → .5 + 2; in all 4 → 2 + 2 → 2 + 2.
    assert sketch.count(torch.tensor([7, 8, 9])).tolist() == [1.5, 2.5, 0]
    assert sketch.share(torch.tensor([7, 8])).tolist() == [1.5 / 4, 2.5 / 4]
    restored = CountSketch(width=4096, depth=3, decay=0.5)
    restored.load_state_dict(sketch.state_dict())
    assert restored.share(torch.tensor([7])).tolist() == [1.5 / 4]


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ("negatives=uniform", ["uniform"]),
        ("negatives=mixed", ["in_batch", "uniform"]),
        ("negatives=[in_batch,uniform]", ["in_batch", "uniform"]),
        ("negatives=[in_batch,cross_batch,hard]", ["in_batch", "cross_batch", "hard"]),
        ("negatives=full", ["full"]),
    ],
)
@pytest.mark.parametrize("counts", ["exact", "streaming"])
def test_any_subset_of_the_configured_schemes_can_be_made(choice, names, counts):
    config = load_config(TrainConfig, "train", [choice, f"negatives/counts={counts}", "negatives.correction=0.7"])
    assert list(config.negatives["sources"]) == names
    negatives = instantiate(config.negatives, target_counts=COUNTS, seed=1)
    assert negatives.correction == 0.7
    assert len(negatives.sources) + (negatives.hard is not None) == len(names)
    found = offered(negatives, torch.tensor([0, 4]))
    assert torch.isfinite(found.log_q).all()
