"""Query examples: the queries that a funnel learns from, judged, logged, or synthetic."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from data_prep.columns import Split
from data_prep.errors import GateFailed
from towers.candidates.config import JUDGED, LOGGED, SYNTHETIC, QueryFunnelConfig
from towers.candidates.trained_run import TrainedRun
from towers.events.history import NO_QUERY, Sequences
from towers.metrics.cases import Cases, sample
from towers.metrics.judgement_split import judgements_to_learn_from
from towers.metrics.judgements import Judgements, judgement_cases
from towers.metrics.ranking_metrics import CUTOFF
from towers.text.synthetic_queries import one_query_per_item, rows_by_query
from towers.text.typos import misspelt


@dataclass(frozen=True)
class QueryExamples:
    """Queries and their relevant items.

    Attributes:
        source: of the queries.
        cases: users, their queries, and the items that were relevant.
    """

    source: str
    cases: Cases


def query_examples(run: TrainedRun, config: QueryFunnelConfig, seed: int) -> QueryExamples:
    """The queries of the first of `sources` that has `least` of them; at most `most`, at random.

    Args:
        run: a run and its data.
        config: how many, and how synthetic ones are made.
        seed: of what is drawn.

    Raises:
        GateFailed: no source has so many.
    """
    collectors = {JUDGED: _judged, LOGGED: _logged, SYNTHETIC: _synthetic}
    numbers = []
    for source in config.sources:
        cases = collectors[source](run, config, seed)
        if cases is not None and len(cases) >= config.least:
            return QueryExamples(source, sample(cases, config.most, seed))
        numbers.append(f"{0 if cases is None else len(cases)} {source}")
    raise GateFailed(
        f"{run.dataset.path}: queries.least={config.least} queries are needed to learn from; there are "
        f"{', '.join(numbers)}"
    )


def _judged(run: TrainedRun, config: QueryFunnelConfig, seed: int) -> Cases | None:
    settings = run.record.settings
    judgements = judgements_to_learn_from(settings.judgements, settings.seed, run.dataset)
    return None if judgements is None else judgement_cases(judgements.answerable(), run.item_ids, [CUTOFF])


def _logged(run: TrainedRun, config: QueryFunnelConfig, seed: int) -> Cases | None:
    """The first query of each user in the validation split."""
    return logged_cases(run.sequences, run.item_ids, Split.VALID, run.model.exclude_seen)


def logged_cases(sequences: Sequences, item_ids: Sequence[str], split: Split, exclude_seen: bool) -> Cases:
    """Users with a query in some split: the first one, the items it led to, and the history before it.

    Args:
        sequences: the log.
        item_ids: the catalogue's strings, [N].
        split: whose events are looked at.
        exclude_seen: items of a user's history are neither recommended nor relevant.
    """
    searches = np.flatnonzero((sequences.splits == split) & (sequences.queries != NO_QUERY))
    users, first = np.unique(np.searchsorted(sequences.offsets, searches, side="right") - 1, return_index=True)
    kept, truth, queries = [], [], []
    for user, search in zip(users.tolist(), searches[first].tolist(), strict=True):
        after = slice(search, int(sequences.offsets[user + 1]))
        same = (sequences.queries[after] == sequences.queries[search]) & (sequences.splits[after] == split)
        relevant = np.unique(sequences.rows[after][same])
        if exclude_seen:
            relevant = np.setdiff1d(relevant, sequences.rows[sequences.offsets[user] : search])
        if len(relevant):
            kept.append((user, search))
            truth.append(relevant)
            queries.append(sequences.query_texts[int(sequences.queries[search])])
    ends = np.array(kept, np.int64).reshape(-1, 2)
    return Cases(sequences, item_ids, split, ends[:, 0], ends[:, 1], truth, exclude_seen, [CUTOFF], queries)


def _synthetic(run: TrainedRun, config: QueryFunnelConfig, seed: int) -> Cases | None:
    """Queries derived from items, some of them misspelt; relevant is every item that gave the same.

    A query is drawn the rather, the more events its items had: people ask for what people take. Drawn by items alone,
    queries would teach that what nobody takes is relevant as much as the rest.
    """
    plain = replace(run.record.settings.queries, ways=config.ways, typos=0.0)
    rng = np.random.default_rng((seed, 3))
    rows = rows_by_query(one_query_per_item(run.dataset.items, plain, seed + 1))
    queries = list(rows)
    shuffled = [queries[i] for i in rng.permutation(len(queries))]
    if not shuffled:
        return None
    popularity = 1.0 + run.training.interactions.counts()
    share = np.array([popularity[rows[query]].sum() for query in shuffled])
    drawn = rng.choice(len(share), min(config.most, len(share)), replace=False, p=share / share.sum())
    chosen = [shuffled[i] for i in drawn]
    wrong = rng.random(len(chosen)) < config.typos
    typed = [misspelt(query, rng) if bad else query for query, bad in zip(chosen, wrong, strict=True)]
    relevant = [rows[query] for query in chosen]
    judgements = Judgements(typed, relevant, [np.ones(len(items), np.int64) for items in relevant])
    return judgement_cases(judgements, run.item_ids, [CUTOFF])
