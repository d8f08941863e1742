"""The judged sets of the search benchmark, and the page it writes; nothing is trained here."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import search
from benchmarks.judged_sets import insurance
from data_prep.dataset import Dataset


def packed(folder: Path, name: str, content: dict[str, Any]) -> None:
    """A file as the package has it."""
    with gzip.open(folder / f"{name}.json.gz", "wt", encoding="utf-8") as file:
        json.dump(content, file)


def test_insurance_asks_test_questions_over_the_answers_to_test_and_validation_questions(tmp_path: Path) -> None:
    source = tmp_path / "insuranceqa_data-1.0" / "insuranceqa_data"
    source.mkdir(parents=True)
    packed(source, "answers", {n: {"en": f" Answer   {n} covers all.", "zh": "-"} for n in ("1", "2", "3", "4")})
    packed(source, "test", {"0": {"en": "What  Is  Covered?", "answers": ["3", "1"], "negatives": ["4"]}})
    packed(source, "valid", {"0": {"en": "Who  Pays?", "answers": ["2"], "negatives": ["4"]}})

    dataset = Dataset.open(insurance(tmp_path, tmp_path / "artifacts"))

    assert dataset.judgements is not None
    assert sorted(dataset.items["item_id"]) == ["1", "2", "3"]
    assert "Answer 2 covers all." in set(dataset.items["title"])
    pairs = dataset.judgements[["query", "item_id", "grade"]].values.tolist()
    assert sorted(pairs) == [["What Is Covered?", "1", 1], ["What Is Covered?", "3", 1]]


def test_each_set_is_written_between_its_own_marks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "search.md"
    chorus = "a\n<!-- benchmarks.search chorus -->\nold\n<!-- end -->\nb\n"
    page.write_text(chorus + "<!-- benchmarks.search insurance -->\n<!-- end -->\n")
    monkeypatch.setattr(search, "PAGE", page)

    search.write_page("new", "insurance")

    assert page.read_text() == chorus + "<!-- benchmarks.search insurance -->\n\nnew\n\n<!-- end -->\n"
