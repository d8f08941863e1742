"""Query examples: their source, their queries, and the items that are relevant."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from data_prep.columns import Split
from data_prep.dataset import Dataset
from data_prep.errors import GateFailed, UsageError
from towers.candidates.config import JUDGED, LOGGED, SYNTHETIC, QueryFunnelConfig
from towers.candidates.query_examples import logged_cases, query_examples
from towers.candidates.trained_run import TrainedRun
from towers.events.history import NO_QUERY, Sequences
from towers.metrics.config import JudgementConfig
from towers.metrics.judgement_split import held_out_judgements, judgements_to_learn_from
from towers.text.synthetic_queries import QueryConfig

ITEMS = pd.DataFrame(
    {
        "item_id": list("abcdef"),
        "title": ["green tea", "black tea", "green pot", "black pot", "green cup", "black cup"],
        "category": ["tea", "tea", "pots", "pots", "cups", "cups"],
    }
)
WAYS = {"columns": 0.0, "contiguous": 1.0, "salient": 0.0, "brand": 0.0}
SOURCES = [JUDGED, LOGGED, SYNTHETIC]
CONFIG = QueryFunnelConfig(
    sources=SOURCES, channels={}, fusion={}, synthetic_fusion={}, most=50, least=4, ways=WAYS, typos=0.0
)
RUNS_QUERIES = QueryConfig(
    rate=0.1, alone=0.0, lower=True, columns=["category"], max_words=3, ways={"columns": 1.0}, variants=1, typos=0.5
)


def log(queries: list[int], texts: list[str], splits: list[int], offsets: list[int]) -> Sequences:
    """Users who have item 0, 1, 2, … in turn."""
    rows = np.arange(offsets[-1]) - np.repeat(offsets[:-1], np.diff(offsets))
    return Sequences(
        user_ids=np.array([f"u{i}" for i in range(len(offsets) - 1)], object),
        offsets=np.array(offsets),
        rows=rows,
        events=np.full(len(rows), "view", object),
        timestamps=np.arange(len(rows), dtype=float),
        queries=np.array(queries),
        query_texts=texts,
        splits=np.array(splits),
    )


NO_EVENTS = log([], [], [], [0])


def trained_run(sequences: Sequences, judged: list[tuple[str, str, int]] | None, **judgements: Any) -> TrainedRun:
    """A run of the six items that need not be opened."""
    table = None if judged is None else pd.DataFrame(judged, columns=["query", "item_id", "grade"])
    dataset = cast(Dataset, SimpleNamespace(path=Path("shop"), items=ITEMS, judgements=table))
    learnt: dict[str, Any] = {"rate": 0.0, "folds": 2, "held_out": None} | judgements
    settings = SimpleNamespace(queries=RUNS_QUERIES, judgements=JudgementConfig(**learnt), seed=0)
    run = SimpleNamespace(until=Split.VALID, settings=settings)
    counts = np.bincount(sequences.rows.astype(int), minlength=len(ITEMS))
    training = SimpleNamespace(interactions=SimpleNamespace(counts=lambda: counts))
    model = SimpleNamespace(exclude_seen=True, towers=SimpleNamespace(seen=lambda *_: training))
    return TrainedRun(Path("run"), cast(Any, model), dataset, cast(Any, run), sequences)


JUDGEMENTS = [(f"query {i}", item, 1 + i % 2) for i, item in enumerate("abcdef" * 2)] + [("worthless", "a", 0)]


def test_a_logged_query_has_the_history_before_it_and_the_items_it_led_to() -> None:
    train, valid = int(Split.TRAIN), int(Split.VALID)
    #             user 0: trains on 0, then 1 without a query, then 2 and 4 for "pot", 3 for "tea"
    queries = [NO_QUERY, NO_QUERY, 0, 1, 0, NO_QUERY, 1]
    sequences = log(queries, ["pot", "tea"], [train, valid, valid, valid, valid, train, train], [0, 5, 7])
    cases = logged_cases(sequences, list("abcdef"), Split.VALID, exclude_seen=True)
    assert len(cases) == 1  # the other user asked in the training split
    assert cases.queries == ["pot"]
    assert cases.truth[0].tolist() == [2, 4]
    assert cases.history(0).rows.tolist() == [0, 1]
    assert sorted(cases.seen(0).tolist()) == [0, 1]


def test_items_of_the_history_are_not_relevant_where_they_are_not_offered() -> None:
    valid = int(Split.VALID)
    again = replace(log([NO_QUERY, 0], ["tea"], [valid, valid], [0, 2]), rows=np.array([3, 3]))
    assert len(logged_cases(again, list("abcdef"), Split.VALID, exclude_seen=True)) == 0
    assert logged_cases(again, list("abcdef"), Split.VALID, exclude_seen=False).truth[0].tolist() == [3]


def test_judged_queries_come_first_and_those_held_out_are_left_for_evaluation() -> None:
    everything = query_examples(trained_run(NO_EVENTS, JUDGEMENTS), CONFIG, 0)
    assert everything.source == JUDGED and len(everything.cases) == 12  # but the one that nothing answers
    held = trained_run(NO_EVENTS, JUDGEMENTS, held_out=1)
    learnt = set(query_examples(held, CONFIG, 0).cases.queries)
    kept = judgements_to_learn_from(held.record.settings.judgements, 0, held.dataset)
    assert kept is not None and learnt == set(kept.queries) - {"worthless"}
    fold = trained_run(NO_EVENTS, JUDGEMENTS, held_out=1, rate=1.0)
    judge_by = held_out_judgements(fold.record.settings.judgements, 0, fold.dataset)
    assert judge_by is not None and not learnt & set(judge_by.queries)


def test_judged_queries_that_the_towers_learnt_from_teach_no_funnel() -> None:
    towers_learnt = trained_run(NO_EVENTS, JUDGEMENTS, rate=1.0, held_out=0)
    assert judgements_to_learn_from(towers_learnt.record.settings.judgements, 0, towers_learnt.dataset) is None
    assert query_examples(towers_learnt, CONFIG, 0).source == SYNTHETIC


def test_logged_queries_come_before_synthetic_ones_and_too_few_of_a_source_are_none() -> None:
    valid = int(Split.VALID)
    searches = log([0] * 4, ["tea"], [valid] * 4, [0, 1, 2, 3, 4])
    assert query_examples(trained_run(searches, None), CONFIG, 0).source == LOGGED
    assert query_examples(trained_run(searches, None), replace(CONFIG, least=5), 0).source == SYNTHETIC


def test_who_trusts_another_source_more_says_so() -> None:
    synthetic_first = replace(CONFIG, sources=[SYNTHETIC, JUDGED])
    assert query_examples(trained_run(NO_EVENTS, JUDGEMENTS), synthetic_first, 0).source == SYNTHETIC
    for wrong in ([], ["guessed"]):
        with pytest.raises(UsageError, match=r"queries\.sources: .* there is judged, logged, synthetic"):
            replace(CONFIG, sources=wrong)


def test_every_item_that_gives_a_synthetic_query_is_relevant() -> None:
    columns = replace(CONFIG, ways={"columns": 1.0}, least=4, most=50)
    with pytest.raises(GateFailed, match=r"queries\.least=4 .* 0 judged, 0 logged, 3 synthetic"):
        query_examples(trained_run(NO_EVENTS, None), columns, 0)
    words = query_examples(trained_run(NO_EVENTS, None), CONFIG, 0).cases
    titles = ITEMS["title"].tolist()
    for query, relevant in zip(words.queries, words.truth, strict=True):
        assert all(query in titles[row] for row in relevant)
    assert sorted(np.concatenate(words.truth).tolist()) == list(range(6))


def test_popular_items_are_asked_for_rather() -> None:
    often = log([NO_QUERY] * 9999, [], [int(Split.TRAIN)] * 9999, [0, 9999])
    popular = replace(often, rows=np.full(9999, 3))
    few = replace(CONFIG, most=4)
    drawn = [query_examples(trained_run(popular, None), few, seed).cases for seed in range(9)]
    assert sum(any(3 in rows for rows in cases.truth) for cases in drawn) == 9


def test_items_without_words_give_no_queries() -> None:
    wordless = trained_run(NO_EVENTS, None)
    wordless.dataset.items = ITEMS.assign(title="", category="")  # type: ignore[misc]
    with pytest.raises(GateFailed, match="0 synthetic"):
        query_examples(wordless, CONFIG, 0)


def test_some_synthetic_queries_are_misspelt_and_the_same_items_are_relevant() -> None:
    plain = query_examples(trained_run(NO_EVENTS, None), CONFIG, 0).cases
    wrong = query_examples(trained_run(NO_EVENTS, None), replace(CONFIG, typos=1.0), 0).cases
    assert [rows.tolist() for rows in wrong.truth] == [rows.tolist() for rows in plain.truth]
    assert all(one != other for one, other in zip(plain.queries, wrong.queries, strict=True))
