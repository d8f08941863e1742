"""Ways to train the text encoder along: what moves, what does not, and what a run keeps of it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer

from data_prep.command import instantiate, load_config
from data_prep.dataset import Dataset
from data_prep.errors import UsageError
from tests.tiny import CATEGORIES
from towers.model.trained_towers import TrainedTowers
from towers.text.encoder import SentenceTransformerEncoder, UniversalSentenceEncoder
from towers.text.row_features import RowTexts, TunedText
from towers.text.tuning import LowRank, TopLayers, layer_stack
from towers.text.whitening import Whitening
from towers.train import train
from towers.training.config import TrainConfig

TEXTS = [name for names in CATEGORIES.values() for name in names]
UPPER = "encoder.layer.1."


def tuned_text(folder: Path, cache: Path, *overrides: str) -> TunedText:
    """A tuned encoder as its config file describes it."""
    config = load_config(TrainConfig, "train", [*overrides]).text
    encoder = SentenceTransformerEncoder(folder, None, 32)
    rows = RowTexts(encoder, TEXTS, len(TEXTS), Whitening(encoder.dim))
    return instantiate({**config, "cache": str(cache)}, rows)


def moved(text: TunedText) -> set[str]:
    """Names of the encoder's weights that one step of training changes."""
    torch.manual_seed(0)
    before = {name: p.detach().clone() for name, p in text.encoder.named_parameters()}
    optimizer = torch.optim.SGD([p for p in text.parameters() if p.requires_grad], lr=0.1)
    text.train()
    for _ in range(2):  # an adapter's second half is zero at first, and its first half has no gradient until it is not
        text(torch.arange(8)).pow(2)[:, -5:].sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    return {name.partition("0.model.")[2] for name, p in text.encoder.named_parameters() if not p.equal(before[name])}


def test_full_tuning_moves_every_layer(tiny_encoder: Path, tmp_path: Path):
    names = moved(tuned_text(tiny_encoder, tmp_path, "text=full"))
    assert any(name.startswith("embeddings.") for name in names)
    assert {name.split(".")[2] for name in names if name.startswith("encoder.layer.")} == {"0", "1"}


def test_top_layers_move_and_nothing_below_them(tiny_encoder: Path, tmp_path: Path):
    names = moved(tuned_text(tiny_encoder, tmp_path, "text=top_layers", "text.tuning.layers=1"))
    assert names
    assert all(name.startswith(UPPER) for name in names)


def test_the_frozen_layers_below_keep_nothing_for_a_gradient(tiny_encoder: Path, tmp_path: Path):
    text = tuned_text(tiny_encoder, tmp_path, "text=top_layers", "text.tuning.layers=1")
    lower, upper = layer_stack(text.encoder.transformer())
    seen = []
    lower.register_forward_hook(lambda _, inputs, output: seen.append(output))
    upper.register_forward_hook(lambda _, inputs, output: seen.append(output))
    text(torch.arange(3))
    assert [output.requires_grad for output in seen] == [False, True]


def test_low_rank_tuning_moves_adapters_alone(tiny_encoder: Path, tmp_path: Path):
    names = moved(tuned_text(tiny_encoder, tmp_path, "text=lora"))
    assert {name.split(".")[-3] for name in names} == {"lora_A", "lora_B"}
    assert {name.split(".lora")[0].split(".")[-1] for name in names} == {"query", "key", "value"}


@pytest.mark.parametrize("mode", ["text=full", "text=top_layers", "text=lora"])
def test_a_tuned_encoder_is_saved_as_a_plain_folder_that_encodes_the_same(
    mode: str, tiny_encoder: Path, tmp_path: Path
):
    text = tuned_text(tiny_encoder, tmp_path / "cache", mode)
    moved(text)
    text.eval()
    with torch.no_grad():
        expected = text.encoder(TEXTS).numpy()
    before = SentenceTransformerEncoder(tiny_encoder, None, 32).encode(TEXTS)
    assert not np.allclose(expected, before, atol=1e-4)
    text.finish()
    text.encoder.save(tmp_path / "saved")
    reopened = SentenceTransformer(str(tmp_path / "saved"), device="cpu")
    np.testing.assert_allclose(reopened.encode(TEXTS), expected, atol=1e-5)
    plain = {name for name, _ in SentenceTransformer(str(tiny_encoder), device="cpu").named_parameters()}
    assert {name for name, _ in reopened.named_parameters()} == plain


@pytest.mark.parametrize("mode", ["text=top_layers", "text=lora"])
def test_training_publishes_the_encoder_it_tuned(mode: str, tiny_train_overrides, tiny_data: Path, tmp_path: Path):
    more = ["trainer.epochs=1", "tokens_per_batch=128", "text.learning_rate=0.01"]
    train(load_config(TrainConfig, "train", [*tiny_train_overrides, mode, *more]), tmp_path / "run")
    towers = TrainedTowers.open(tmp_path / "run")
    frozen = instantiate(load_config(TrainConfig, "train", tiny_train_overrides).encoder)
    assert not np.allclose(towers.text_encoder.encode(TEXTS), frozen.encode(TEXTS), atol=1e-4)
    assert not any("lora" in name for name, _ in towers.text_encoder.named_parameters())
    assert towers.item_vectors(Dataset.open(tiny_data).items).shape == (30, 32)
    begun = json.loads((tmp_path / "run" / "begun.json").read_text())
    assert begun["text"]["tuning"]["_target_"] in ("towers.text.tuning.TopLayers", "towers.text.tuning.LowRank")


def test_what_cannot_be_tuned_is_refused_with_the_way_out(tiny_encoder: Path, tmp_path: Path):
    frozen_only = UniversalSentenceEncoder(None, 16)
    with pytest.raises(UsageError, match="no weights to tune; use text=frozen"):
        instantiate({"_target_": "towers.text.tuning.AllLayers"}).begin(frozen_only)
    for tuning in (TopLayers(1), LowRank(2, 4, 0, ["query"])):
        with pytest.raises(UsageError, match="encoder=multilingual can only be used with text=frozen"):
            tuning.begin(frozen_only)
    encoder = SentenceTransformerEncoder(tiny_encoder, None, 32)
    with pytest.raises(UsageError, match=r"text\.tuning\.layers must be within 1…2"):
        TopLayers(3).begin(encoder)
    with pytest.raises(UsageError, match=r"text\.tuning\.projections: \['nope'\] .*'query'"):
        LowRank(2, 4, 0, ["nope"]).begin(encoder)
