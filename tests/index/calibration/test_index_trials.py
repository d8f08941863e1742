"""Several indexes are tried, and the cheapest that recalls enough is taken."""

import numpy as np
import pytest

from data_prep.command import GateFailed, load_config
from index.build.config import BuildConfig
from index.calibration.index_trials import choose_index, coarsest_form
from index.calibration.measures import index_recall
from index.search.factory import Plan

PLANS = [Plan("IVF32,PQ32x4fs", "planned", "int8"), Plan("IVF32,SQ8", "planned", "int8")]


@pytest.fixture(scope="module")
def catalogue(clustered):
    return clustered(6000, 32, 0)


@pytest.fixture(scope="module")
def people(catalogue, users):
    return users(catalogue, 120, 1)


@pytest.fixture
def settings():
    def make(*overrides):
        return load_config(
            BuildConfig, "build", ["run=r", "data=d", "recall_k=20", "recall_target=0.9", *overrides]
        ).index_settings

    return make


def test_the_cheapest_that_reaches_the_target_is_taken_and_says_whom_it_beat(catalogue, people, settings):
    chosen = choose_index(PLANS, catalogue, people, settings())
    first, second = chosen.trials
    assert first.reached and second.reached
    assert first.milliseconds <= second.milliseconds
    assert chosen.plan.factory == first.factory
    assert chosen.plan.reason.startswith("planned; cheapest that reaches the target of 2 tried on 6,000")
    assert second.factory in chosen.plan.reason
    assert (chosen.index.ntotal, len(chosen.stored), chosen.tried_on) == (6000, 6000, 6000)
    assert index_recall(chosen.searched, people[1::2], 20, catalogue) == chosen.calibration.recall >= 0.88


def test_where_none_reaches_the_target_the_nearest_is_taken(catalogue, people, settings):
    plans = [Plan("IVF32,PQ2x4fsr", "planned", "int8"), Plan("IVF32,SQ8", "planned", "int8")]
    chosen = choose_index(plans, catalogue, people, settings("recall_target=1.0"))
    assert not chosen.calibration.reached
    assert chosen.plan.factory == "IVF32,SQ8"
    assert "nearest to the target, which none reaches" in chosen.plan.reason


def test_an_index_over_the_budget_is_not_taken(catalogue, people, settings):
    chosen = choose_index(PLANS, catalogue, people, settings("bytes_per_item=70"))
    assert chosen.plan.factory == "IVF32,PQ32x4fs"
    assert [(trial.factory, trial.recall) for trial in chosen.trials[1:]] == [("IVF32,SQ8", None)]
    assert "IVF32,SQ8 over the budget" in chosen.plan.reason


def test_a_budget_asks_for_coarser_vectors(catalogue, people, settings):
    finer = [Plan("IVF32,PQ32x4fs", "planned", "float32"), Plan("IVF32,PQ16x4fsr", "planned", "float32")]
    chosen = choose_index(finer, catalogue, people, settings("bytes_per_item=100"))
    assert {trial.vectors for trial in chosen.trials} == {"float16"}
    assert all(trial.bytes_per_item <= 100 for trial in chosen.trials)
    assert chosen.stored.form == chosen.plan.vectors == "float16"


def test_a_budget_that_nothing_keeps_is_refused_with_the_smallest(catalogue, people, settings):
    with pytest.raises(GateFailed, match=r"within bytes_per_item=20: the smallest, IVF32,PQ32x4fs, takes 5\d; raise"):
        choose_index(PLANS, catalogue, people, settings("bytes_per_item=20"))


def test_a_large_catalogue_is_tried_on_a_part_and_built_whole(catalogue, people, settings):
    chosen = choose_index(PLANS, catalogue, people, settings("trial_rows=3000"))
    assert (chosen.tried_on, chosen.index.ntotal, len(chosen.stored)) == (3000, 6000, 6000)
    assert chosen.calibration.parameters.k == 20
    assert chosen.calibration.recall >= 0.88


def test_one_index_alone_is_not_tried(catalogue, people, settings):
    chosen = choose_index([Plan("Flat", "asked for")], catalogue, people, settings())
    assert (chosen.trials, chosen.tried_on, chosen.plan) == ([], 0, Plan("Flat", "asked for"))
    assert chosen.calibration.recall == 1.0


def test_vectors_are_stored_as_coarsely_as_the_target_can_afford(catalogue, people):
    assert coarsest_form(catalogue, people, 20, 0.5) == "int8"
    crowd = np.tile(catalogue[:1], (2000, 1)) + 1e-3 * catalogue[:2000]  # told apart by less than an int8 step
    assert coarsest_form(crowd, people, 20, 0.9) != "int8"
    assert coarsest_form(crowd, people, 20, 1.0) == "float32"
