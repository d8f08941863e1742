"""What diversity costs: NDCG against the distance within lists, over the strength of each method."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from data_prep.progress import track
from towers.diversity.distance import intra_list_distance
from towers.diversity.diversify import METHODS, standardised, unit
from towers.diversity.greedy import Tiers, greedy
from towers.metrics import ranking_metrics
from towers.metrics.bootstrap import Bootstrap
from towers.metrics.evaluation import Cases, EvaluationBatches, Scorer


@dataclass(frozen=True)
class Space:
    """The catalogue, as lists are judged in it.

    Attributes:
        items: the vectors that the model searches, which lists are made diverse by, [N, d].
        texts: unit vectors of whitened text, by which nothing is chosen, [N, text_dim].
        categories: a number for each item's category, [N]; -1 for none.
    """

    items: NDArray[np.float32]
    texts: NDArray[np.float32]
    categories: NDArray[np.int64]


@dataclass(frozen=True)
class Setting:
    """One point of a curve."""

    method: str
    strength: float


def lists(
    scorer: Scorer, cases: Cases, space: Space, settings: Sequence[Setting], k: int, pool: int, batch_size: int
) -> dict[Setting, NDArray[np.int64]]:
    """Each user's list under each setting, [U, k], the best item first; -1 where there were fewer items.

    Args:
        scorer: what scores the catalogue.
        cases: the users.
        space: of the same catalogue.
        settings: how lists are chosen.
        k: items in a list.
        pool: items that it is chosen from.
        batch_size: users scored at a time.
    """
    found = {setting: np.full((len(cases), k), -1) for setting in settings}
    for places, rows, scores in _pools(scorer, cases, pool, batch_size):
        for place, own, values in zip(places, rows, scores, strict=True):
            there = np.isfinite(values)  # seen items are not recommended
            own, values = own[there], values[there]
            relevance, directions = standardised(values, len(values)), unit(space.items[own])
            for setting, chosen in found.items():
                free = Tiers(np.zeros(len(own), np.int64), np.full(len(own), -1), 0)
                novelty = METHODS[setting.method](directions)
                order = greedy(relevance, novelty, setting.strength, min(k, len(own)), free)
                chosen[place, : len(order)] = own[np.sort(order)]
    return found


def _pools(
    scorer: Scorer, cases: Cases, pool: int, batch_size: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]]:
    """Places of B users, rows of their best items [B, pool] and the scores of these, -inf for seen ones."""
    batches = EvaluationBatches(cases, batch_size)
    for batch in track(batches, "choosing lists", total=len(batches)):
        scores = scorer.score(batch.histories, batch.queries)
        scores[batch.seen_users, batch.seen_rows] = -torch.inf
        best = scores.topk(min(pool, scores.shape[1]), dim=1)
        yield batch.places.numpy(), best.indices.cpu().numpy(), best.values.cpu().numpy()


def ndcg(found: NDArray[np.int64], truth: Sequence[NDArray[np.int64]]) -> NDArray[np.float64]:
    """NDCG of lists [U, K] at their length (see `towers.metrics.ranking_metrics.ndcg`), [U]."""
    hits = [np.flatnonzero(np.isin(top, relevant)) + 1 for top, relevant in zip(found, truth, strict=True)]
    users = np.repeat(np.arange(len(hits)), [len(ranks) for ranks in hits])
    relevant = torch.tensor([len(rows) for rows in truth])
    figures = ranking_metrics.ndcg(
        torch.from_numpy(np.concatenate(hits)), torch.from_numpy(users), relevant, found.shape[1]
    )
    return np.asarray(figures.numpy(), np.float64)


def categories_of(found: NDArray[np.int64], categories: NDArray[np.int64]) -> NDArray[np.float64]:
    """How many different categories lists [U, K] hold, [U]; items without one count for nothing."""
    return np.array([len(set(categories[own[own >= 0]].tolist()) - {-1}) for own in found], np.float64)


def tradeoff(
    found: Mapping[Setting, NDArray[np.int64]],
    truth: Sequence[NDArray[np.int64]],
    space: Space,
    bootstrap: Bootstrap,
) -> pd.DataFrame:
    """A row for each setting, beside the plain list, user by user.

    Args:
        found: lists of each setting; those of strength 0 are the plain ones.
        truth: what each user wanted, U arrays.
        space: of the catalogue.
        bootstrap: of the intervals.

    Returns:
        method, strength; ndcg, item_distance (by the vectors that lists are chosen by), text_distance, categories (of a
        list, on average); of each also `_change`, the share by which it differs from the plain list's (NaN where that
        is 0); ndcg_low and ndcg_high, the interval of that for NDCG.
    """
    plain = next(lists for setting, lists in found.items() if setting.strength == 0)
    base = _figures(plain, truth, space)
    rows = []
    for setting, chosen in found.items():
        own = _figures(chosen, truth, space)
        row: dict[str, object] = {"method": setting.method, "strength": setting.strength}
        row |= {name: float(np.nanmean(values)) for name, values in own.items()}
        row |= {f"{name}_change": _share(float(np.nanmean(own[name] - base[name])), base[name]) for name in own}
        low, high = bootstrap.intervals((own["ndcg"] - base["ndcg"])[:, np.newaxis])
        row |= {"ndcg_low": _share(float(low[0]), base["ndcg"]), "ndcg_high": _share(float(high[0]), base["ndcg"])}
        rows.append(row)
    return pd.DataFrame(rows)


def _share(difference: float, base: NDArray[np.float64]) -> float:
    """A difference as a share of a mean [U]; NaN where that is nothing."""
    mean = float(np.nanmean(base))
    return difference / mean if mean else float("nan")


def _figures(
    chosen: NDArray[np.int64], truth: Sequence[NDArray[np.int64]], space: Space
) -> dict[str, NDArray[np.float64]]:
    return {
        "ndcg": ndcg(chosen, truth),
        "item_distance": intra_list_distance(chosen, unit(space.items)),
        "text_distance": intra_list_distance(chosen, space.texts),
        "categories": categories_of(chosen, space.categories),
    }
