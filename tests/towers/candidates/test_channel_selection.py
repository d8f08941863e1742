"""Selection of channels, and fusions evaluated on users and items that they did not learn from."""

from dataclasses import replace

import numpy as np
import pytest

from tests.towers.candidates.fusion.test_fusion import chosen_by
from tests.towers.candidates.pools import random_pools
from towers.candidates.candidate_pool import CandidatePools
from towers.candidates.channel_selection import choose_channels, cross_validated_ndcg, held_out_scores
from towers.candidates.fusion import (
    FixedWeights,
    Logistic,
    ReciprocalRank,
    Weighted,
)
from towers.candidates.fusion.features import feature_names
from towers.candidates.labelled_pools import LabelledPools

NAMES = ["towers", "second", "third"]


def test_a_channel_is_chosen_for_what_it_adds():
    labelled = chosen_by(feature_names(NAMES).index("second: score"), users=200)
    assert choose_channels(labelled, NAMES, ReciprocalRank(1), certainty=2) == [0, 1]


def test_users_are_ranked_by_a_fusion_fitted_to_others():
    seen = []

    class Watching(ReciprocalRank):
        def fit(self, labelled, channels):
            seen.append(len(labelled))
            return self

    labelled = random_pools(20)
    found = cross_validated_ndcg(labelled, NAMES, Watching(60), folds=4, seed=0)
    assert seen == [15] * 4
    np.testing.assert_allclose(found, labelled.ndcg(ReciprocalRank(60).scores(labelled.pools)))


class ByHeart:
    """Recognises each item by its popularity, and knows nothing but how often it was relevant."""

    reads_item_features = True

    def fit(self, labelled: LabelledPools, channels: list[str]) -> "ByHeart":
        self.known = {}
        for popularity, relevant in zip(
            labelled.pools.item_features[:, 0].tolist(), labelled.relevant.tolist(), strict=True
        ):
            self.known.setdefault(popularity, []).append(relevant)
        return self

    def scores(self, pools: CandidatePools) -> np.ndarray:
        return np.array([np.mean(self.known.get(popularity, [0])) for popularity in pools.item_features[:, 0].tolist()])


def test_a_fusion_that_recognises_items_is_evaluated_on_items_it_did_not_see():
    labelled = random_pools(300)
    rows = labelled.pools.rows
    features = labelled.pools.item_features.copy()
    features[:, 0] = rows + 0.5  # one of its own for every item, which says nothing of the others
    loved = np.isin(rows, [4, 9, 14, 19])
    pools = replace(labelled.pools, item_features=features)
    labelled = LabelledPools(pools, loved, np.zeros(len(pools), np.int64))
    by_heart = cross_validated_ndcg(labelled, NAMES, ByHeart(), folds=3, seed=0)
    unlearnt = cross_validated_ndcg(labelled, NAMES, ByHeart(), folds=3, seed=0, by_item=True)
    assert by_heart.mean() > 0.9
    np.testing.assert_array_equal(unlearnt, labelled.ndcg(np.zeros(len(rows))))  # as if it knew nothing


def test_an_item_is_scored_by_a_fusion_that_saw_the_others():
    everyone = random_pools(20)
    some = np.arange(20) < 10
    learning, held_out = everyone.of(some), everyone.of(~some)

    class SeenBefore(ReciprocalRank):
        reads_item_features = True

        def fit(self, labelled, channels):
            self.seen = set(labelled.pools.rows.tolist())
            assert len(labelled) == 10
            return self

        def scores(self, pools):
            return np.array([row in self.seen for row in pools.rows.tolist()], np.float64)

    assert held_out_scores(learning, held_out, NAMES, SeenBefore(60), by_item=False).any()
    assert not held_out_scores(learning, held_out, NAMES, SeenBefore(60), by_item=True).any()


@pytest.mark.parametrize("fusion", [FixedWeights(3), Weighted([0.5, 2.0], 2, 0), ReciprocalRank(60)])
def test_a_fusion_that_cannot_recognise_items_is_evaluated_as_it_is(fusion):
    everyone = random_pools(60)
    pools = replace(everyone.pools, scores=everyone.pools.scores + 10)  # a scale that halves of a pool do not share
    shifted = LabelledPools(pools, everyone.relevant, everyone.not_retrieved)
    by_users, by_items = (cross_validated_ndcg(shifted, NAMES, fusion, 3, 0, by_item) for by_item in (False, True))
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

    assert cross_validated_ndcg(labelled, NAMES, Shifted(0.1, 100), folds=2, seed=0, by_item=True).mean() > 0.8


def test_where_a_half_of_the_catalogue_teaches_nothing_the_towers_order_the_other():
    everyone = random_pools(40)
    even = everyone.pools.rows % 2 == 0
    labelled = LabelledPools(everyone.pools, everyone.relevant & even, everyone.not_retrieved)
    found = held_out_scores(labelled, labelled, NAMES, Logistic(1.0, 20), by_item=True)
    order = [np.argsort(scores[even & (labelled.pools.users == 0)]) for scores in (found, labelled.pools.scores[:, 0])]
    np.testing.assert_array_equal(*order)
