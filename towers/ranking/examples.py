"""Moments in which somebody was about to choose, and what is known of how: what a reranker learns from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from towers.events.history import NO_QUERY, History, Sequences
from towers.events.interactions import Interactions
from towers.metrics.cases import Cases
from towers.text.synthetic_queries import rows_by_query


@dataclass(frozen=True)
class RankingExample:
    """One of them.

    Attributes:
        history: what is known of the user.
        query: what they asked for, "" for nothing.
        rows: items of which it is known how well they fit, [M].
        grades: of each, [M]; 0 for what does not fit, 1 for what a user took, more where judges said more.
        excluded: items that are not offered.
    """

    history: History
    query: str
    rows: NDArray[np.int64]
    grades: NDArray[np.int64]
    excluded: NDArray[np.int64]


def of_users(cases: Cases, derived: Sequence[str], query_rate: float, rng: np.random.Generator) -> list[RankingExample]:
    """One moment a user: what they went on to is relevant.

    Where the log has a query for what came next, or one is derived, only what it was asked for is relevant then; the
    rest of what they went on to is not offered, for it is neither right nor wrong.

    Args:
        cases: users with something held out.
        derived: query derived from each item, "" for none, [N].
        query_rate: share of the moments without a logged query that get a derived one.
        rng: draws.
    """
    log, found = cases.sequences, []
    for case in range(len(cases)):
        relevant, history = cases.truth[case], cases.history(case)
        logged = int(log.queries[cases.ends[case]])
        query, asked = "", relevant
        if logged != NO_QUERY:
            after = slice(int(cases.ends[case]), int(log.offsets[cases.users[case] + 1]))
            same = np.unique(log.rows[after][log.queries[after] == logged])
            query, asked = log.query_texts[logged], np.intersect1d(same, relevant)
        elif rng.random() < query_rate:
            row = int(rng.choice(relevant))
            query = derived[row]
            asked = np.array([row], np.int64) if query else relevant
        if len(asked):
            excluded = np.union1d(cases.seen(case), np.setdiff1d(relevant, asked))
            found.append(RankingExample(history, query, asked, np.ones(len(asked), np.int64), excluded))
    return found


def of_events(
    interactions: Interactions,
    sequences: Sequences,
    number: int,
    queries: Callable[[int], str],
    length: int,
    rng: np.random.Generator,
) -> list[RankingExample]:
    """Moments of the log itself: what was taken at that instant is relevant, and nothing else the user has is offered.

    Where the event was asked for, only the item it led to is relevant. Moments of which nothing is known are left out.

    Args:
        interactions: the events that may be learnt from.
        sequences: the log they are of.
        number: events drawn, at most.
        queries: what is asked before the event at a position of the log, "" for nothing.
        length: newest events kept of a history.
        rng: draws.
    """
    found = []
    for event in np.sort(rng.permutation(len(interactions.rows))[:number]).tolist():
        user, basket = int(interactions.users[event]), int(interactions.baskets[event])
        own = slice(int(interactions.offsets[user]), int(interactions.offsets[user + 1]))
        before = int(sequences.offsets[user]) - own.start  # from the events learnt from to positions of the log
        query = queries(event + before)
        if not query and basket == own.start:
            continue
        together = interactions.rows[own][interactions.baskets[own] == basket]
        relevant = np.unique(together) if not query else interactions.rows[event : event + 1]
        history = sequences.history(user, basket + before, length)
        excluded = np.setdiff1d(interactions.rows[own], relevant)
        found.append(RankingExample(history, query, relevant, np.ones(len(relevant), np.int64), excluded))
    return found


def of_items(derived: Sequence[str], number: int, rng: np.random.Generator) -> list[RankingExample]:
    """Strangers who ask with a query derived from an item: that item, and all that give the same query, are relevant.

    Args:
        derived: query derived from each item, "" for none, [N].
        number: different queries drawn, at most.
        rng: draws.
    """
    rows = rows_by_query(derived)
    queries = list(rows)
    nothing = np.zeros(0, np.int64)
    return [
        RankingExample(History.empty(), query, rows[query], np.ones(len(rows[query]), np.int64), nothing)
        for query in (queries[i] for i in rng.permutation(len(queries))[:number])
    ]


def of_judgements(
    queries: Sequence[str], rows: Sequence[NDArray[np.int64]], grades: Sequence[NDArray[np.int64]]
) -> list[RankingExample]:
    """Strangers who ask what judges have judged.

    Args:
        queries: Q search texts.
        rows: items judged for each, Q times [M].
        grades: of each, Q times [M].
    """
    return [
        RankingExample(History.empty(), query, judged, marks, np.zeros(0, np.int64))
        for query, judged, marks in zip(queries, rows, grades, strict=True)
    ]
