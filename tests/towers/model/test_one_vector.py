"""The one vector: towers and blocks side by side, saved once and read again."""

from pathlib import Path

import numpy as np
import pytest

from data_prep.command import load_config
from data_prep.dataset import Dataset
from towers.events.history import History
from towers.model.one_vector import OneVectorModel
from towers.model.user_side import HISTORY, ModelEncoder
from towers.train import train
from towers.training.config import TrainConfig


@pytest.fixture(scope="module")
def stepless(tiny_train_overrides: list[str], artifacts: Path) -> OneVectorModel:
    """A model with blocks, whose items say the same in a history as elsewhere."""
    run = artifacts / "runs" / "stepless"
    overrides = ["optimization.history_rate=0", "trainer.epochs=1", "run=stepless"]
    train(load_config(TrainConfig, "train", [*tiny_train_overrides, *overrides]), run)
    return OneVectorModel.open(run)


def test_a_table_of_histories_that_is_the_items_own_is_not_saved_again_beside_blocks(
    stepless: OneVectorModel, tiny_data: Path, tmp_path: Path
) -> None:
    items = Dataset.open(tiny_data).items
    assert stepless.blocks
    vectors = stepless.item_vectors(items)
    encoder = stepless.user_encoder(items, vectors)
    encoder.save(tmp_path)
    assert not (tmp_path / HISTORY).exists()
    loaded = ModelEncoder.load(tmp_path, vectors)
    history = History(np.array([3, 4]), ["view", "view"], np.array([1e9, 1e9 + 60]))
    assert np.array_equal(loaded.encode([history], [""]), encoder.encode([history], [""]))


def test_a_shortened_model_keeps_a_table_of_its_own(stepless: OneVectorModel, tiny_data: Path, tmp_path: Path) -> None:
    items = Dataset.open(tiny_data).items
    short = stepless.cut(8)
    vectors = short.item_vectors(items)
    encoder = short.user_encoder(items, vectors)
    encoder.save(tmp_path)
    assert (tmp_path / HISTORY).exists()
    history = History(np.array([3]), ["view"], np.array([1e9]))
    assert np.array_equal(ModelEncoder.load(tmp_path, vectors).encode([history], [""]), encoder.encode([history], [""]))
