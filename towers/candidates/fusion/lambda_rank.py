"""Gradient-boosted trees that optimise NDCG: an extra, for those who have LightGBM."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from data_prep.config import require
from towers.baselines.baseline import DoesNotApply
from towers.candidates.candidate_pool import CandidatePools
from towers.candidates.fusion.features import fusion_features
from towers.candidates.fusion.fusion import FittedFusion
from towers.candidates.labelled_pools import LabelledPools
from towers.metrics.ranking_metrics import CUTOFF


@dataclass(frozen=True)
class Trees(FittedFusion):
    """Boosted trees, kept as the text that LightGBM writes.

    The model is read at once, so that a machine without LightGBM says so when it loads.

    Attributes:
        text: the model.

    Raises:
        DoesNotApply: LightGBM is not there.
    """

    kind: ClassVar[str] = "boosted_trees"

    text: str

    def __post_init__(self) -> None:
        _ = self._booster

    @cached_property
    def _booster(self) -> Any:
        return _lightgbm().Booster(model_str=self.text)

    def scores(self, pools: CandidatePools) -> NDArray[np.float64]:
        """[T]."""
        return np.asarray(self._booster.predict(fusion_features(pools), num_threads=1), np.float64)


class LambdaRank:
    """LambdaRank over boosted trees.

    Source: Burges, "From RankNet to LambdaRank to LambdaMART: an overview", 2010; Ke et al., "LightGBM", NeurIPS 2017.

    Args:
        leaves: of a tree.
        trees: their number.
        learning_rate: of boosting.
        least_in_leaf: candidates.
        seed: of the boosting.
    """

    reads_item_features = True

    def __init__(self, leaves: int, trees: int, learning_rate: float, least_in_leaf: int, seed: int) -> None:
        require("leaves", leaves, 2)
        require("trees", trees, 1)
        require("learning_rate", learning_rate, 1e-6)
        self.leaves, self.trees, self.learning_rate = leaves, trees, learning_rate
        self.least_in_leaf, self.seed = least_in_leaf, seed

    def fit(self, labelled: LabelledPools, channels: Sequence[str]) -> Trees:
        """Grow the trees.

        Raises:
            DoesNotApply: LightGBM is not there.
            GateFailed: no pool holds a relevant item.
        """
        lightgbm, learning = _lightgbm(), labelled.learnable()
        data = lightgbm.Dataset(
            fusion_features(learning.pools), learning.relevant.astype(np.int8), group=np.diff(learning.pools.offsets)
        )
        settings = {
            "objective": "lambdarank",
            "lambdarank_truncation_level": 2 * CUTOFF,
            "num_leaves": self.leaves,
            "learning_rate": self.learning_rate,
            "min_data_in_leaf": self.least_in_leaf,
            "seed": self.seed,
            "deterministic": True,
            "num_threads": 1,
            "verbose": -1,
        }
        return Trees(lightgbm.train(settings, data, self.trees).model_to_string())


def _lightgbm() -> Any:
    try:
        import lightgbm
    except ImportError as error:
        raise DoesNotApply(f"it needs the package lightgbm ({error}): pip install 'twotower[lightgbm]'") from None
    return lightgbm
