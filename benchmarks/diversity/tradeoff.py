"""The cost of diversity: NDCG against the distance within lists, over the strength of each method."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from data_prep.progress import track
from towers.diversity import METHODS, Tiers, greedy, intra_list_distance, standardised, unit
from towers.metrics import Bootstrap, Cases, EvaluationBatches, Scorer, ranking_metrics


@dataclass(frozen=True)
class ListCatalogue:
    """The catalogue that lists are chosen and evaluated in.

    Attributes:
        items: the vectors that the model searches, which lists are made diverse by, [N, d].
        texts: unit vectors of whitened text, by which nothing is chosen, [N, text_dim].
        categories: a number for each item's category, [N]; -1 for none.
    """

    items: NDArray[np.float32]
    texts: NDArray[np.float32]
    categories: NDArray[np.int64]


@dataclass(frozen=True)
class MethodStrength:
    """A point of a curve: a way to choose a list, and its strength."""

    method: str
    strength: float


def lists(
    scorer: Scorer,
    cases: Cases,
    catalogue: ListCatalogue,
    curves: Sequence[MethodStrength],
    k: int,
    pool: int,
    batch_size: int,
) -> dict[MethodStrength, NDArray[np.int64]]:
    """Each user's list at each point of the curves, [U, k], the best item first; -1 where there were fewer items.

    Args:
        scorer: of the catalogue.
        cases: the users.
        catalogue: of the same catalogue.
        curves: how lists are chosen.
        k: items in a list.
        pool: items that it is chosen from.
        batch_size: users scored at a time.
    """
    chosen = {point: np.full((len(cases), k), -1) for point in curves}
    for places, rows, scores in _pools(scorer, cases, pool, batch_size):
        for user, items, values in zip(places, rows, scores, strict=True):
            offered = np.isfinite(values)  # seen items are not recommended
            items, values = items[offered], values[offered]
            relevance, directions = standardised(values, len(values)), unit(catalogue.items[items])
            for point, users_lists in chosen.items():
                free = Tiers(np.zeros(len(items), np.int64), np.full(len(items), -1), 0)
                novelty = METHODS[point.method](directions)
                order = greedy(relevance, novelty, point.strength, min(k, len(items)), free)
                users_lists[user, : len(order)] = items[np.sort(order)]
    return chosen


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


def ndcg(lists: NDArray[np.int64], truth: Sequence[NDArray[np.int64]]) -> NDArray[np.float64]:
    """NDCG of lists [U, K] at their length (see `towers.metrics.ranking_metrics.ndcg`), [U]."""
    hits = [np.flatnonzero(np.isin(top, relevant)) + 1 for top, relevant in zip(lists, truth, strict=True)]
    users = np.repeat(np.arange(len(hits)), [len(ranks) for ranks in hits])
    relevant = torch.tensor([len(rows) for rows in truth])
    figures = ranking_metrics.ndcg(
        torch.from_numpy(np.concatenate(hits)), torch.from_numpy(users), relevant, lists.shape[1]
    )
    return np.asarray(figures.numpy(), np.float64)


def categories_of(lists: NDArray[np.int64], categories: NDArray[np.int64]) -> NDArray[np.float64]:
    """How many different categories lists [U, K] hold, [U]; items without one count for nothing."""
    return np.array([len(set(categories[items[items >= 0]].tolist()) - {-1}) for items in lists], np.float64)


def tradeoff(
    chosen: Mapping[MethodStrength, NDArray[np.int64]],
    truth: Sequence[NDArray[np.int64]],
    catalogue: ListCatalogue,
    bootstrap: Bootstrap,
) -> pd.DataFrame:
    """A row for each point of the curves, beside the plain list, user by user.

    Args:
        chosen: lists of each point of the curves; those of strength 0 are the plain ones.
        truth: relevant items of each user, U arrays.
        catalogue: of the catalogue.
        bootstrap: of the intervals.

    Returns:
        method, strength; ndcg, item_distance (by the vectors that lists are chosen by), text_distance, categories (of a
        list, on average); of each also `_change`, the share by which it differs from the plain list's (NaN where that
        is 0); ndcg_low and ndcg_high, the interval of that for NDCG.
    """
    plain = next(lists for point, lists in chosen.items() if point.strength == 0)
    base = _figures(plain, truth, catalogue)
    rows = []
    for point, lists in chosen.items():
        figures = _figures(lists, truth, catalogue)
        row: dict[str, object] = {"method": point.method, "strength": point.strength}
        row |= {name: float(np.nanmean(values)) for name, values in figures.items()}
        changes = {name: float(np.nanmean(figures[name] - base[name])) for name in figures}
        row |= {f"{name}_change": _share(change, base[name]) for name, change in changes.items()}
        low, high = bootstrap.intervals((figures["ndcg"] - base["ndcg"])[:, np.newaxis])
        row |= {"ndcg_low": _share(float(low[0]), base["ndcg"]), "ndcg_high": _share(float(high[0]), base["ndcg"])}
        rows.append(row)
    return pd.DataFrame(rows)


def _share(difference: float, base: NDArray[np.float64]) -> float:
    """A difference as a share of a mean [U]; NaN where that is nothing."""
    mean = float(np.nanmean(base))
    return difference / mean if mean else float("nan")


def _figures(
    chosen: NDArray[np.int64], truth: Sequence[NDArray[np.int64]], catalogue: ListCatalogue
) -> dict[str, NDArray[np.float64]]:
    return {
        "ndcg": ndcg(chosen, truth),
        "item_distance": intra_list_distance(chosen, unit(catalogue.items)),
        "text_distance": intra_list_distance(chosen, catalogue.texts),
        "categories": categories_of(chosen, catalogue.categories),
    }
