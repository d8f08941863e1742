"""A record of a run that was never trained, for tests of its readers."""

from pathlib import Path
from typing import Any

from data_prep.columns import Split
from towers.model.run_record import BlockWeightsRecord, RunRecord


def record_of(**fields: Any) -> RunRecord:
    """A record that says as little as possible, but for some fields."""
    least: dict[str, Any] = {
        "data": Path("/data/shop"),
        "dataset_fingerprint": "data",
        "until": Split.VALID,
        "config": {},
        "validation": {},
        "intervals": {},
        "block_weights": BlockWeightsRecord(0, {}, {}),
        "epochs": 1,
        "best_epoch": 1,
    }
    return RunRecord(**least | fields)
