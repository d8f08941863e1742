"""The record of a run: read back as it was written, and refused where it is not of the run or the data at hand."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from data_prep.columns import Split
from data_prep.dataset import Dataset
from data_prep.errors import UsageError
from tests.towers.model.run_records import record_of
from towers.model.run_record import RUN, BlockWeightsRecord, RunRecord
from towers.model.selection import SELECTION, selection_of


def test_a_record_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    record = record_of(
        until=Split.TEST,
        config={"seed": 3, "blocks": {"text": {"_target_": "a.B"}}},
        validation={"ndcg@10": 0.1},
        intervals={"ndcg@10": (0.05, 0.15)},
        block_weights=BlockWeightsRecord(7, {"text": 0.25}, {"ndcg@10": 0.12}),
        overrides=["seed=3"],
        cost={"wall_seconds": 1.5},
        libraries={"torch": "2"},
    ).of_files("towers", "encoder")
    record.write(tmp_path)
    assert RunRecord.finished(tmp_path)
    assert RunRecord.read(tmp_path) == record


def test_a_trained_runs_settings_are_typed(tiny_run: Path) -> None:
    settings = RunRecord.read(tiny_run).settings
    assert settings.evaluation.cutoffs == [10, 20]
    assert settings.log.attributes == []
    assert (settings.dim, settings.dims, settings.epochs, settings.seed) == (32, [], 4, 0)
    assert settings.queries.rate == 0.1 and settings.judgements.held_out is None
    assert {"cooccurrence", "trend"} < set(settings.blocks)


def test_a_folder_without_a_record_is_no_finished_run(tmp_path: Path) -> None:
    assert not RunRecord.finished(tmp_path)
    with pytest.raises(UsageError, match=r"no finished training run \(run\.json is missing\)"):
        RunRecord.read(tmp_path)


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"until": "valid"}'])
def test_a_damaged_record_is_refused_with_the_cure(tmp_path: Path, content: str) -> None:
    (tmp_path / RUN).write_text(content)
    with pytest.raises(UsageError, match=r"run\.json is damaged.*python -m towers\.train"):
        RunRecord.read(tmp_path)


def test_settings_of_another_version_are_refused_by_name(tiny_run: Path, tmp_path: Path) -> None:
    fields = json.loads((tiny_run / RUN).read_text())
    del fields["config"]["queries"]["alone"]
    (tmp_path / RUN).write_text(json.dumps(fields))
    with pytest.raises(UsageError, match=r"another version.*alone.*train anew"):
        _ = RunRecord.read(tmp_path).settings


def test_data_of_another_fingerprint_are_refused_with_both() -> None:
    other = cast(Dataset, SimpleNamespace(path=Path("shop"), fingerprint="bbb"))
    with pytest.raises(UsageError, match="was trained on data aaa, shop is bbb"):
        record_of(dataset_fingerprint="aaa").check_data(other)
    record_of(dataset_fingerprint="bbb").check_data(other)


@pytest.mark.parametrize(("until", "found"), [(Split.VALID, ""), (Split.TEST, SELECTION)])
def test_the_run_that_has_not_seen_validation_is_found(tmp_path: Path, until: Split, found: str) -> None:
    fields: dict[str, Any] = {"until": until}
    record_of(**fields).write(tmp_path)
    (tmp_path / SELECTION).mkdir()
    record_of().write(tmp_path / SELECTION)
    assert selection_of(tmp_path) == tmp_path / found


def test_a_refit_run_without_the_one_that_chose_for_it_is_refused(tmp_path: Path) -> None:
    record_of(until=Split.TEST).write(tmp_path)
    with pytest.raises(UsageError, match="does not hold its selection"):
        selection_of(tmp_path)
