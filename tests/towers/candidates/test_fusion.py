"""Fusions: by hand, by brute force, and whether what is learnt is what made the users choose."""

import json
from dataclasses import replace

import numpy as np
import pytest
from tests.towers.test_pools import pools_of

from data_prep.errors import GateFailed
from towers.candidates.candidate_pool import Pools
from towers.candidates.channel_selection import choose_channels, crossed, scores_by_others
from towers.candidates.fusion import (
    FixedWeights,
    Logistic,
    ReciprocalRank,
    Weighted,
    WeightedScores,
    described,
    restored,
)
from towers.candidates.fusion.features import feature_names, features
from towers.candidates.item_statistics import ABOUT
from towers.candidates.labelled_pools import LabelledPools

NAMES = ["towers", "second", "third"]


def chosen_by(column: int, users: int = 120) -> LabelledPools:
    """Users who want what a column of the features is highest for."""
    labelled = pools_of(users)
    values = features(labelled.pools)[:, column]
    relevant = labelled.pools.ranks(values) <= 2
    return LabelledPools(labelled.pools, relevant, np.zeros(users, np.int64))


def test_reciprocal_rank_adds_one_over_sixty_and_the_place():
    pools = pools_of(5).pools
    expected = [sum(1 / (60 + place) for place in places if place) for places in pools.places.tolist()]
    np.testing.assert_allclose(ReciprocalRank(60).scores(pools), expected)


def test_weighted_scores_add_up_in_units_of_their_deviations():
    pools = pools_of(5).pools
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


def test_fixed_weights_learn_the_deviations_and_not_what_was_wanted():
    labelled = chosen_by(feature_names(NAMES).index("second: score"))
    fitted = FixedWeights(3).fit(labelled, NAMES)
    assert fitted.weights == [1, 3, 3]
    np.testing.assert_allclose(fitted.deviations, labelled.pools.scores.astype(np.float64).std(axis=0))
    others = LabelledPools(labelled.pools, ~labelled.relevant, labelled.missed)
    assert FixedWeights(3).fit(others, NAMES) == fitted


@pytest.mark.parametrize("name", ["third: score", "popularity", "second: standing"])
def test_logistic_regression_finds_what_users_chose_by(name: str):
    labelled = chosen_by(feature_names(NAMES).index(name))
    fitted = Logistic(penalty=0.1, iterations=100).fit(labelled, NAMES)
    assert labelled.ndcg(fitted.scores(labelled.pools)).mean() > 0.95
    assert max(zip(fitted.weights, fitted.names, strict=True))[1].split(":")[0] == name.split(":")[0]


def test_logistic_regression_is_at_the_least_of_its_loss():
    labelled = pools_of(30)
    fitted = Logistic(penalty=1.0, iterations=500).fit(labelled, NAMES)
    raw = features(labelled.pools).astype(np.float64)
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


def test_what_is_not_known_counts_as_average():
    labelled = pools_of(30)
    fitted = Logistic(penalty=1.0, iterations=50).fit(labelled, NAMES)
    column = len(NAMES) * 4 + ABOUT.index("price fit")
    pools = labelled.pools
    unknown, average = pools.about.copy(), pools.about.copy()
    unknown[:, ABOUT.index("price fit")] = np.nan
    average[:, ABOUT.index("price fit")] = fitted.means[column]
    scores = [
        fitted.scores(type(pools)(pools.offsets, pools.rows, pools.scores, pools.places, a)) for a in (unknown, average)
    ]
    np.testing.assert_allclose(*scores, atol=1e-5)


def test_nothing_is_learnt_where_no_pool_holds_what_was_wanted():
    labelled = pools_of(5)
    nothing = LabelledPools(labelled.pools, np.zeros(len(labelled.relevant), bool), labelled.missed + 1)
    with pytest.raises(GateFailed, match="nothing to learn"):
        Logistic(1.0, 10).fit(nothing, NAMES)


@pytest.mark.parametrize("fusion", [ReciprocalRank(60), FixedWeights(3), Weighted([0.5], 2, 0), Logistic(1.0, 20)])
def test_a_fusion_scores_the_same_after_json(fusion):
    labelled = pools_of(20)
    fitted = fusion.fit(labelled, NAMES)
    again = restored(json.loads(json.dumps(described(fitted))))
    np.testing.assert_array_equal(again.scores(labelled.pools), fitted.scores(labelled.pools))


def test_lambda_rank_learns_and_survives_json():
    pytest.importorskip("lightgbm")
    from towers.candidates.fusion import LambdaRank

    labelled = chosen_by(feature_names(NAMES).index("popularity"))
    fitted = LambdaRank(7, 30, 0.1, 5, 0).fit(labelled, NAMES)
    again = restored(json.loads(json.dumps(described(fitted))))
    assert labelled.ndcg(again.scores(labelled.pools)).mean() > 0.9


def test_a_channel_is_chosen_for_what_it_adds():
    labelled = chosen_by(feature_names(NAMES).index("second: score"), users=200)
    assert choose_channels(labelled, NAMES, ReciprocalRank(1), certainty=2) == [0, 1]


def test_users_are_judged_by_what_was_fitted_to_others():
    seen = []

    class Watching(ReciprocalRank):
        def fit(self, labelled, channels):
            seen.append(len(labelled))
            return self

    labelled = pools_of(20)
    found = crossed(labelled, NAMES, Watching(60), folds=4, seed=0)
    assert seen == [15] * 4
    np.testing.assert_allclose(found, labelled.ndcg(ReciprocalRank(60).scores(labelled.pools)))


class ByHeart:
    """Knows each item again by its popularity, and nothing else: how often was it relevant?"""

    reads_facts = True

    def fit(self, labelled: LabelledPools, channels: list[str]) -> "ByHeart":
        self.known = {}
        for popularity, relevant in zip(labelled.pools.about[:, 0].tolist(), labelled.relevant.tolist(), strict=True):
            self.known.setdefault(popularity, []).append(relevant)
        return self

    def scores(self, pools: Pools) -> np.ndarray:
        return np.array([np.mean(self.known.get(popularity, [0])) for popularity in pools.about[:, 0].tolist()])


def test_what_knows_items_again_is_judged_by_items_it_did_not_see():
    labelled = pools_of(300)
    rows = labelled.pools.rows
    about = labelled.pools.about.copy()
    about[:, 0] = rows + 0.5  # its own of every item, and says nothing of what is relevant of others
    loved = np.isin(rows, [4, 9, 14, 19])
    pools = replace(labelled.pools, about=about)
    labelled = LabelledPools(pools, loved, np.zeros(len(pools), np.int64))
    by_heart = crossed(labelled, NAMES, ByHeart(), folds=3, seed=0)
    unlearnt = crossed(labelled, NAMES, ByHeart(), folds=3, seed=0, by_item=True)
    assert by_heart.mean() > 0.9
    np.testing.assert_array_equal(unlearnt, labelled.ndcg(np.zeros(len(rows))))  # as if it knew nothing


def test_an_item_is_scored_by_a_fusion_that_saw_the_others():
    everyone = pools_of(20)
    some = np.arange(20) < 10
    learning, judged = everyone.of(some), everyone.of(~some)

    class SeenBefore(ReciprocalRank):
        reads_facts = True

        def fit(self, labelled, channels):
            self.seen = set(labelled.pools.rows.tolist())
            assert len(labelled) == 10
            return self

        def scores(self, pools):
            return np.array([row in self.seen for row in pools.rows.tolist()], np.float64)

    assert scores_by_others(learning, judged, NAMES, SeenBefore(60), by_item=False).any()
    assert not scores_by_others(learning, judged, NAMES, SeenBefore(60), by_item=True).any()


@pytest.mark.parametrize("fusion", [FixedWeights(3), Weighted([0.5, 2.0], 2, 0), ReciprocalRank(60)])
def test_what_cannot_know_an_item_again_is_judged_as_it_is(fusion):
    everyone = pools_of(60)
    pools = replace(everyone.pools, scores=everyone.pools.scores + 10)  # a scale that halves of a pool do not share
    shifted = LabelledPools(pools, everyone.relevant, everyone.missed)
    by_users, by_items = (crossed(shifted, NAMES, fusion, 3, 0, by_item) for by_item in (False, True))
    np.testing.assert_array_equal(by_users, by_items)


def test_halves_of_a_pool_are_ranked_on_one_scale():
    labelled = chosen_by(feature_names(NAMES).index("second: score"), users=200)

    class Shifted(Logistic):
        """Every fit has a scale of its own for every user."""

        shift = 0.0

        def fit(self, labelled, channels):
            fitted, self.shift = super().fit(labelled, channels), self.shift + 100
            factor, shifts = 1 + self.shift, np.random.default_rng(int(self.shift)).normal(0, 100, 1000)

            class Own:
                def scores(self, pools):
                    return factor * fitted.scores(pools) + shifts[pools.users]

            return Own()

    assert crossed(labelled, NAMES, Shifted(0.1, 100), folds=2, seed=0, by_item=True).mean() > 0.8


def test_where_a_half_of_the_catalogue_teaches_nothing_the_towers_order_the_other():
    everyone = pools_of(40)
    even = everyone.pools.rows % 2 == 0
    labelled = LabelledPools(everyone.pools, everyone.relevant & even, everyone.missed)
    found = scores_by_others(labelled, labelled, NAMES, Logistic(1.0, 20), by_item=True)
    order = [np.argsort(scores[even & (labelled.pools.users == 0)]) for scores in (found, labelled.pools.scores[:, 0])]
    np.testing.assert_array_equal(*order)
