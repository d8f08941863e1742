"""The funnel's last stage: the best items that are not all alike, as a server chooses them when asked."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_prep.columns import Columns
from data_prep.progress import track
from towers.diversity import POOL, Diversity, Pool, diversify
from towers.evaluation.stage import DIVERSIFIED, Stage

LEAST = 50
"""Candidates that are looked at, at least: as many as Recommend ranks unless asked otherwise (conf/serve.yaml)."""


def looked_at(k: int) -> int:
    """Candidates that cross-encoder and diversity look at for a list of k items."""
    return max(LEAST, POOL * k)


@dataclass(frozen=True)
class ItemLooks:
    """Properties by which items are alike.

    Attributes:
        vectors: of all items, [N, d].
        categories: of the same, "" for one without, [N].
        titles: of the same, [N].
    """

    vectors: NDArray[np.float32]
    categories: Sequence[str]
    titles: Sequence[str]

    @classmethod
    def of(cls, items: pd.DataFrame, vectors: NDArray[np.float32]) -> Self:
        """Of a catalogue and its item vectors."""
        categories = items[Columns.CATEGORY].fillna("").astype(str) if Columns.CATEGORY in items else [""] * len(items)
        return cls(vectors, list(categories), items[Columns.TITLE].astype(str).tolist())


def diversified(stage: Stage, k: int, settings: Diversity, looks: ItemLooks) -> Stage:
    """A stage's order once the first k of each user are chosen to be unlike each other; the others follow.

    Args:
        stage: users' candidates in their order.
        k: items in a list.
        settings: method and strength.
        looks: of the catalogue.
    """
    pools, scores, ranks = stage.labelled.pools, stage.scores, stage.ranks
    new_ranks = ranks.copy()
    for user in track(range(len(pools)), "diversifying"):
        of_user = np.arange(pools.offsets[user], pools.offsets[user + 1])
        order = of_user[np.argsort(ranks[of_user])]
        first = order[: looked_at(k)]
        rows = pools.rows[first]
        categories, titles = ([texts[row] for row in rows] for texts in (looks.categories, looks.titles))
        pool = Pool(scores[first].astype(np.float32), looks.vectors[rows], categories, titles, len(first))
        chosen = diversify(pool, k, settings).places
        new_ranks[np.concatenate([first[chosen], np.delete(order, chosen)])] = np.arange(1, len(order) + 1)
    return Stage(DIVERSIFIED, stage.labelled, scores, new_ranks)
