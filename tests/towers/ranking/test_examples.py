"""Ranking examples of users, items and judgements."""

from pathlib import Path

import numpy as np

from data_prep.columns import Split
from data_prep.dataset import Dataset
from towers.events.history import NO_QUERY
from towers.events.reading import read_sequences
from towers.metrics.cases import Cases
from towers.ranking.examples import item_examples, user_examples


def test_with_a_query_only_its_items_are_relevant_and_the_rest_is_not_offered(tiny_data: Path):
    dataset = Dataset.open(tiny_data)
    item_ids = [str(i) for i in dataset.items["item_id"]]
    log = read_sequences(dataset, "")
    cases = Cases.held_out(log, item_ids, Split.VALID, True, [10])
    titles = [str(t) for t in dataset.items["title"]]
    examples = user_examples(cases, titles, 1.0, np.random.default_rng(0))
    for case, example in enumerate(examples):
        assert [titles[row] for row in example.rows] == [example.query]
        assert example.rows[0] in cases.truth[case]
        assert set(example.excluded) == set(cases.seen(case)) | (set(cases.truth[case]) - set(example.rows))
    queries = np.full(len(log.rows), NO_QUERY)
    queries[cases.ends] = 0
    logged = Cases(
        type(log)(**{**log.__dict__, "queries": queries, "query_texts": ["brew"]}),
        *(getattr(cases, name) for name in ("item_ids", "split", "users", "ends", "truth", "exclude_seen", "cutoffs")),
    )
    for case, example in zip(
        range(len(cases)), user_examples(logged, titles, 1.0, np.random.default_rng(0)), strict=False
    ):
        if log.rows[cases.ends[case]] in cases.truth[case]:
            assert (example.query, example.rows.tolist()) == ("brew", [log.rows[cases.ends[case]]])


def test_all_items_that_give_a_synthetic_query_are_relevant():
    examples = item_examples(["tea", "", "rye", "tea"], 10, np.random.default_rng(0))
    assert {example.query: example.rows.tolist() for example in examples} == {"tea": [0, 3], "rye": [2]}
    assert len(item_examples(["tea", "", "rye", "tea"], 1, np.random.default_rng(0))) == 1
