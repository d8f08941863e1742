"""What the command that trains funnels says of them."""

from pathlib import Path

import pytest

from towers.candidates.train_queries import QueryFunnelResult
from towers.train_funnel import print_queries


@pytest.mark.parametrize(
    ("source", "kept", "warned"),
    [("derived", ["bm25"], True), ("derived", [], False), ("logged", ["bm25"], False), ("judged", ["bm25"], False)],
)
def test_whoever_has_derived_queries_alone_is_told_what_that_means(
    source: str, kept: list[str], warned: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    print_queries(QueryFunnelResult(Path("run"), source, 500, kept, {}, None, 0.25))
    told = capsys.readouterr().out
    assert f"queries, by 500 {source} ones" in told
    assert ("words of the items themselves" in told) == warned
