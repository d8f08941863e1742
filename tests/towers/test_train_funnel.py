"""The report of the command that trains funnels."""

from dataclasses import replace
from pathlib import Path

import pytest

from towers.candidates.funnel_record import FunnelResult
from towers.metrics.paired import PairedComparison
from towers.train_funnel import report

FOR_QUERIES = FunnelResult(Path("run"), "synthetic", 500, ["bm25"], {}, None, None, 0.25, by_item=False)


@pytest.mark.parametrize(
    ("source", "kept", "warned"),
    [("synthetic", ["bm25"], True), ("synthetic", [], False), ("logged", ["bm25"], False), ("judged", ["bm25"], False)],
)
def test_a_funnel_of_synthetic_queries_alone_warns_of_what_they_say(source: str, kept: list[str], warned: bool) -> None:
    verdict, *others = report(replace(FOR_QUERIES, source=source, kept=kept), certainty=1)
    channels = "the towers and bm25" if kept else "the towers alone"
    assert verdict == f"funnel for queries: {channels}; learnt from 500 {source} queries"
    assert "not retrieved: 25.0% of the relevant items; written to run" in others
    assert any("words of the items themselves" in line for line in others) == warned


@pytest.mark.parametrize(
    ("mean", "verdict"),
    [
        (0.02, "the towers and bm25, ranked"),
        (0.005, "the towers and bm25; no ranker: it gains less than 1 standard error"),
    ],
)
def test_the_verdict_on_a_ranker_comes_first(mean: float, verdict: str) -> None:
    ranked = PairedComparison(500, 0.1, 0.1 + mean, mean, mean - 0.02, mean + 0.02, error=0.01)
    lines = report(replace(FOR_QUERIES, source="users", ranked=ranked), certainty=1)
    assert lines[0] == f"funnel for users: {verdict}; learnt from 500 users"
    assert any(line.startswith("ranked beside fused: NDCG@10") for line in lines)
