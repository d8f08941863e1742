"""Fusions: by hand, by brute force, and whether they learn the feature that made the users choose."""

import json

import numpy as np
import pytest

from data_prep.errors import GateFailed
from tests.towers.candidates.pools import random_pools
from towers.candidates.fusion import (
    FUSIONS,
    FixedWeights,
    Logistic,
    ReciprocalRank,
    Weighted,
    WeightedScores,
    fusion_from_json,
    fusion_to_json,
)
from towers.candidates.fusion.features import feature_names, fusion_features
from towers.candidates.item_statistics import ITEM_FEATURES
from towers.candidates.labelled_pools import LabelledPools

NAMES = ["towers", "second", "third"]


def chosen_by(column: int, users: int = 120) -> LabelledPools:
    """Users to whom the items are relevant that a column of the features is highest for."""
    labelled = random_pools(users)
    values = fusion_features(labelled.pools)[:, column]
    relevant = labelled.pools.ranks(values) <= 2
    return LabelledPools(labelled.pools, relevant, np.zeros(users, np.int64))


def test_reciprocal_rank_adds_one_over_sixty_and_the_rank():
    pools = random_pools(5).pools
    expected = [sum(1 / (60 + rank) for rank in ranks if rank) for ranks in pools.channel_ranks.tolist()]
    np.testing.assert_allclose(ReciprocalRank(60).scores(pools), expected)


def test_weighted_scores_add_up_in_units_of_their_deviations():
    pools = random_pools(5).pools
    found = WeightedScores([1.0, 0.5, 0.0], [2.0, 4.0, 1.0]).scores(pools)
    np.testing.assert_allclose(found, pools.scores[:, 0] / 2 + 0.5 * pools.scores[:, 1] / 4, rtol=1e-6)


def test_weights_are_those_of_the_best_single_moves():
    labelled = chosen_by(feature_names(NAMES).index("second: score"))
    fusion = Weighted([0.5, 2.0], passes=1, certainty=1)
    fitted = fusion.fit(labelled, NAMES)
    standard = labelled.pools.scores / labelled.pools.scores.astype(np.float64).std(axis=0)
    tried = {(c, w): labelled.ndcg(standard[:, 0] + w * standard[:, c]).mean() for c in (1, 2) for w in (0.5, 2.0)}
    channel, weight = max(tried, key=lambda move: tried[move])
    assert fitted.weights[channel] == weight and sum(fitted.weights) == 1 + weight


def test_fixed_weights_learn_the_deviations_and_not_which_items_are_relevant():
    labelled = chosen_by(feature_names(NAMES).index("second: score"))
    fitted = FixedWeights(3).fit(labelled, NAMES)
    assert fitted.weights == [1, 3, 3]
    np.testing.assert_allclose(fitted.deviations, labelled.pools.scores.astype(np.float64).std(axis=0))
    others = LabelledPools(labelled.pools, ~labelled.relevant, labelled.not_retrieved)
    assert FixedWeights(3).fit(others, NAMES) == fitted


@pytest.mark.parametrize("name", ["third: score", "popularity", "second: standing"])
def test_logistic_regression_finds_what_users_chose_by(name: str):
    labelled = chosen_by(feature_names(NAMES).index(name))
    fitted = Logistic(penalty=0.1, iterations=100).fit(labelled, NAMES)
    assert labelled.ndcg(fitted.scores(labelled.pools)).mean() > 0.95
    assert max(zip(fitted.weights, fitted.names, strict=True))[1].split(":")[0] == name.split(":")[0]


def test_logistic_regression_is_at_the_least_of_its_loss():
    labelled = random_pools(30)
    fitted = Logistic(penalty=1.0, iterations=500).fit(labelled, NAMES)
    raw = fusion_features(labelled.pools).astype(np.float64)
    known = np.nan_to_num((raw - fitted.means) / fitted.deviations)

    def loss(weights: np.ndarray) -> float:
        total = 0.5 * float(weights @ weights)
        for user in range(len(labelled)):
            part = slice(labelled.pools.offsets[user], labelled.pools.offsets[user + 1])
            relevant, scores = labelled.relevant[part], known[part] @ weights
            if relevant.any():
                total -= float((scores - np.log(np.exp(scores).sum()))[relevant].mean())
        return total

    weights, rng = np.array(fitted.weights), np.random.default_rng(0)
    least = loss(weights)
    assert all(loss(weights + 0.02 * rng.normal(size=len(weights))) > least for _ in range(50))


def test_an_unknown_feature_counts_as_average():
    labelled = random_pools(30)
    fitted = Logistic(penalty=1.0, iterations=50).fit(labelled, NAMES)
    column = len(NAMES) * 4 + ITEM_FEATURES.index("price fit")
    pools = labelled.pools
    unknown, average = pools.item_features.copy(), pools.item_features.copy()
    unknown[:, ITEM_FEATURES.index("price fit")] = np.nan
    average[:, ITEM_FEATURES.index("price fit")] = fitted.means[column]
    scores = [
        fitted.scores(type(pools)(pools.offsets, pools.rows, pools.scores, pools.channel_ranks, a))
        for a in (unknown, average)
    ]
    np.testing.assert_allclose(*scores, atol=1e-5)


def test_nothing_is_learnt_where_no_pool_holds_a_relevant_item():
    labelled = random_pools(5)
    nothing = LabelledPools(labelled.pools, np.zeros(len(labelled.relevant), bool), labelled.not_retrieved + 1)
    with pytest.raises(GateFailed, match="nothing to learn"):
        Logistic(1.0, 10).fit(nothing, NAMES)


@pytest.mark.parametrize("fusion", [ReciprocalRank(60), FixedWeights(3), Weighted([0.5], 2, 0), Logistic(1.0, 20)])
def test_a_fusion_scores_the_same_after_json(fusion):
    labelled = random_pools(20)
    fitted = fusion.fit(labelled, NAMES)
    again = fusion_from_json(json.loads(json.dumps(fusion_to_json(fitted))))
    np.testing.assert_array_equal(again.scores(labelled.pools), fitted.scores(labelled.pools))


def test_lambda_rank_learns_and_survives_json():
    pytest.importorskip("lightgbm")
    from towers.candidates.fusion import LambdaRank

    labelled = chosen_by(feature_names(NAMES).index("popularity"))
    fitted = LambdaRank(7, 30, 0.1, 5, 0).fit(labelled, NAMES)
    again = fusion_from_json(json.loads(json.dumps(fusion_to_json(fitted))))
    assert labelled.ndcg(again.scores(labelled.pools)).mean() > 0.9


def test_files_name_fusions_by_kinds_that_outlive_their_classes():
    assert {kind: fusion.__name__ for kind, fusion in FUSIONS.items()} == {
        "reciprocal_rank": "ReciprocalRank",
        "weighted_scores": "WeightedScores",
        "logistic": "Weights",
        "boosted_trees": "Trees",
    }
    saved = fusion_to_json(WeightedScores([1.0, 0.5], [2.0, 4.0]))
    assert saved == {"kind": "weighted_scores", "weights": [1.0, 0.5], "deviations": [2.0, 4.0]}
    renamed = type("Renamed", (WeightedScores,), {})([1.0, 0.5], [2.0, 4.0])
    assert fusion_to_json(renamed) == saved
