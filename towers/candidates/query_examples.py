"""Which queries the funnel of those who ask learns from: judged ones, the log's own, or some derived from items."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from data_prep.columns import Split
from data_prep.errors import GateFailed
from towers.candidates.config import DERIVED, JUDGED, LOGGED, QueryFunnelConfig
from towers.candidates.labelled_pools import CUTOFF
from towers.candidates.trained_run import TrainedRun
from towers.events.history import NO_QUERY, Sequences
from towers.metrics.evaluation import Cases, sample
from towers.metrics.judgement_split import judged_to_learn_from
from towers.metrics.judgements import Judgements, judged_cases
from towers.text.synthetic_queries import derive_one, rows_by_query
from towers.text.typos import misspelt


@dataclass(frozen=True)
class QueryMaterial:
    """Queries, and what they were to find.

    Attributes:
        source: where they come from.
        cases: who asks, what, and what was relevant.
    """

    source: str
    cases: Cases


def query_material(shop: TrainedRun, config: QueryFunnelConfig, seed: int) -> QueryMaterial:
    """The queries of the first of `sources` that has `least` of them; at most `most`, at random.

    Args:
        shop: a run and its data.
        config: how many, and how they are derived.
        seed: of what is drawn.

    Raises:
        GateFailed: no source has so many.
    """
    collectors = {JUDGED: _judged, LOGGED: _logged, DERIVED: _derived}
    found = []
    for source in config.sources:
        cases = collectors[source](shop, config, seed)
        if cases is not None and len(cases) >= config.least:
            return QueryMaterial(source, sample(cases, config.most, seed))
        found.append(f"{0 if cases is None else len(cases)} {source}")
    raise GateFailed(
        f"{shop.dataset.path}: queries.least={config.least} queries are relevant to learn from; there are "
        f"{', '.join(found)}"
    )


def _judged(shop: TrainedRun, config: QueryFunnelConfig, seed: int) -> Cases | None:
    judged = judged_to_learn_from(shop.run.settings.judgements, shop.run.settings.seed, shop.dataset)
    return None if judged is None else judged_cases(judged.answerable(), shop.item_ids, [CUTOFF])


def _logged(shop: TrainedRun, config: QueryFunnelConfig, seed: int) -> Cases | None:
    """The first query of each user in the validation split."""
    return logged_cases(shop.sequences, shop.item_ids, Split.VALID, shop.model.exclude_seen)


def logged_cases(sequences: Sequences, item_ids: Sequence[str], split: Split, exclude_seen: bool) -> Cases:
    """Users with a query in some split: the first one, what it led to, and what was known of them before.

    Args:
        sequences: the log.
        item_ids: the catalogue's strings, [N].
        split: whose events are looked at.
        exclude_seen: items of a user's history are neither recommended nor relevant.
    """
    places = np.flatnonzero((sequences.splits == split) & (sequences.queries != NO_QUERY))
    users, first = np.unique(np.searchsorted(sequences.offsets, places, side="right") - 1, return_index=True)
    kept, truth, queries = [], [], []
    for user, place in zip(users.tolist(), places[first].tolist(), strict=True):
        after = slice(place, int(sequences.offsets[user + 1]))
        same = (sequences.queries[after] == sequences.queries[place]) & (sequences.splits[after] == split)
        relevant = np.unique(sequences.rows[after][same])
        if exclude_seen:
            relevant = np.setdiff1d(relevant, sequences.rows[sequences.offsets[user] : place])
        if len(relevant):
            kept.append((user, place))
            truth.append(relevant)
            queries.append(sequences.query_texts[int(sequences.queries[place])])
    who = np.array(kept, np.int64).reshape(-1, 2)
    return Cases(sequences, item_ids, split, who[:, 0], who[:, 1], truth, exclude_seen, [CUTOFF], queries)


def _derived(shop: TrainedRun, config: QueryFunnelConfig, seed: int) -> Cases | None:
    """Queries derived from items, some of them misspelt; relevant is every item that gave the same.

    A query is drawn the rather, the more events its items had: people ask for what people take. Drawn by items alone,
    queries would teach that what nobody takes is relevant as much as the rest.
    """
    plain = replace(shop.run.settings.queries, ways=config.ways, typos=0.0)
    rng = np.random.default_rng((seed, 3))
    texts = derive_one(shop.dataset.items, plain, seed + 1)
    rows = rows_by_query(texts)
    queries = list(rows)
    everything = [queries[i] for i in rng.permutation(len(queries))]
    if not everything:
        return None
    taken = 1.0 + shop.training.interactions.counts()
    share = np.array([taken[rows[query]].sum() for query in everything])
    drawn = rng.choice(len(share), min(config.most, len(share)), replace=False, p=share / share.sum())
    plain_texts = [everything[place] for place in drawn]
    wrong = rng.random(len(plain_texts)) < config.typos
    typed = [misspelt(query, rng) if bad else query for query, bad in zip(plain_texts, wrong, strict=True)]
    relevant = [rows[query] for query in plain_texts]
    judged = Judgements(typed, relevant, [np.ones(len(found), np.int64) for found in relevant])
    return judged_cases(judged, shop.item_ids, [CUTOFF])
