"""Ranking examples: users, or queries, with items of known grades, which a cross-encoder learns to order."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from towers.events.history import NO_QUERY, History
from towers.metrics.cases import Cases
from towers.metrics.judgements import Judgements
from towers.text.synthetic_queries import rows_by_query


@dataclass(frozen=True)
class RankingExample:
    """A user, or a query, at the instant before a choice.

    Attributes:
        history: of the user.
        query: search text, "" for none.
        rows: items of a known grade, [M].
        grades: of each, [M]; 0 for one that does not fit, 1 for one that a user took, more where judges graded higher.
        excluded: items that are not offered.
    """

    history: History
    query: str
    rows: NDArray[np.int64]
    grades: NDArray[np.int64]
    excluded: NDArray[np.int64]


def user_examples(
    cases: Cases, synthetic: Sequence[str], query_rate: float, rng: np.random.Generator
) -> list[RankingExample]:
    """One example a user: the items they went on to are relevant.

    Where the log has a query for the next event, or a synthetic one is drawn, only the items of that query are relevant
    then; the rest of what they went on to is not offered, for it is neither right nor wrong.

    Args:
        cases: users with something held out.
        synthetic: query derived from each item, "" for none, [N].
        query_rate: share of the examples without a logged query that get a synthetic one.
        rng: draws.
    """
    log, examples = cases.sequences, []
    for case in range(len(cases)):
        relevant, history = cases.truth[case], cases.history(case)
        logged = int(log.queries[cases.ends[case]])
        query, of_query = "", relevant
        if logged != NO_QUERY:
            after = slice(int(cases.ends[case]), int(log.offsets[cases.users[case] + 1]))
            same = np.unique(log.rows[after][log.queries[after] == logged])
            query, of_query = log.query_texts[logged], np.intersect1d(same, relevant)
        elif rng.random() < query_rate:
            row = int(rng.choice(relevant))
            query = synthetic[row]
            of_query = np.array([row], np.int64) if query else relevant
        if len(of_query):
            excluded = np.union1d(cases.seen(case), np.setdiff1d(relevant, of_query))
            examples.append(RankingExample(history, query, of_query, np.ones(len(of_query), np.int64), excluded))
    return examples


def item_examples(synthetic: Sequence[str], number: int, rng: np.random.Generator) -> list[RankingExample]:
    """Synthetic queries without a history: the item of each, and all that give the same query, are relevant.

    Args:
        synthetic: query derived from each item, "" for none, [N].
        number: different queries drawn, at most.
        rng: draws.
    """
    rows = rows_by_query(synthetic)
    queries = list(rows)
    nothing = np.zeros(0, np.int64)
    return [
        RankingExample(History.empty(), query, rows[query], np.ones(len(rows[query]), np.int64), nothing)
        for query in (queries[i] for i in rng.permutation(len(queries))[:number])
    ]


def judged_examples(judgements: Judgements) -> list[RankingExample]:
    """Judged queries without a history, with the grades of their judged items."""
    parts = zip(judgements.queries, judgements.rows, judgements.grades, strict=True)
    nothing = np.zeros(0, np.int64)
    return [RankingExample(History.empty(), query, rows, grades, nothing) for query, rows, grades in parts]
