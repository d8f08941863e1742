"""Progress without a terminal."""

import logging
from collections.abc import Iterator

import pytest

from data_prep import progress


def test_every_element_comes_through_in_order() -> None:
    assert list(progress.track(range(5), "Counting")) == [0, 1, 2, 3, 4]
    assert list(progress.track(iter("ab"), "Spelling")) == ["a", "b"]


def test_without_a_terminal_a_line_comes_about_every_ten_seconds(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    seconds: Iterator[float] = iter(range(0, 1000, 4))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(seconds)))
    with caplog.at_level(logging.INFO):
        list(progress.track(range(10), "Encoding"))
        list(progress.track(iter(range(10)), "Reading"))
    said = [record.message for record in caplog.records]
    assert said[0] == "Encoding: 2 of 10"
    assert any(line.startswith("Reading: ") and "of" not in line for line in said)
    assert 2 <= len(said) <= 8
