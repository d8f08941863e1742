"""The judged sets that `benchmarks.search` measures by, made into datasets."""

import gzip
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from data_prep.command import load_config
from data_prep.prepare import PrepareConfig, prepare


def chorus(shared: Path, artifacts: Path) -> Path:
    """Electronics of Icecat with the judgements of Chorus, in `shared / "chorus_icecat"`."""
    source = shared / "chorus_icecat"
    columns = ["source.item_columns={brand: supplier, category: device_type}", "source.judgement_columns.grade=rating"]
    return _prepared("chorus", source / "items.parquet", source / "qrels.parquet", columns, artifacts)


def insurance(shared: Path, artifacts: Path) -> Path:
    """InsuranceQA: questions of the test part, and the answers to test and validation questions as the catalogue.

    Args:
        shared: folder of the unpacked source package insuranceqa_data 1.0; later ones carry no data.
        artifacts: where the tables and the dataset go.
    """
    source = shared / "insuranceqa_data-1.0" / "insuranceqa_data"
    answers, test, valid = (_read(source / f"{name}.json.gz") for name in ("answers", "test", "valid"))
    catalogue = sorted({number for part in (test, valid) for asked in part.values() for number in asked["answers"]})
    judged = [(_english(asked), number, 1) for asked in test.values() for number in asked["answers"]]
    tables = artifacts / "insurance"
    tables.mkdir(parents=True, exist_ok=True)
    items, judgements = tables / "items.parquet", tables / "judgements.parquet"
    titles = [_english(answers[number]) for number in catalogue]
    pd.DataFrame({"item_id": catalogue, "title": titles}).to_parquet(items)
    pd.DataFrame(judged, columns=["query", "item_id", "grade"]).to_parquet(judgements)
    return _prepared("insurance", items, judgements, [], artifacts)


SETS: Mapping[str, Callable[[Path, Path], Path]] = {"chorus": chorus, "insurance": insurance}
"""Takes the folder of the files and that of the artifacts, gives the dataset's folder."""


def _prepared(name: str, items: Path, judgements: Path, columns: list[str], artifacts: Path) -> Path:
    overrides = [
        "source=tabular",
        f"name={name}",
        f"artifacts={artifacts}",
        "source.events=null",
        f"source.items={items}",
        f"source.judgements={judgements}",
        *columns,
    ]
    return prepare(load_config(PrepareConfig, "prepare", overrides)).path


def _read(path: Path) -> dict[str, Any]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        content: dict[str, Any] = json.load(file)
    return content


def _english(entry: Mapping[str, Any]) -> str:
    return " ".join(entry["en"].split())
