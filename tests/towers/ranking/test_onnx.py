"""The cross-encoder's transformer as a graph gives what torch gives, and in int8 nearly that."""

from pathlib import Path

import numpy as np
import pytest
import torch

from data_prep.errors import UsageError
from towers import CrossEncoder
from towers.modules.onnx_runtime import FLOAT32, INT8
from towers.ranking.cross_encoder import small_backbone
from towers.ranking.input_template import InputTemplate
from towers.ranking.onnx import export_cross_encoder, graph_path, load_exported, quantise_cross_encoder

TEXTS = [f"fresh milk {'very ' * n}number {n}" for n in range(9)]
"""More texts than fit a line, of all lengths, which pads them differently."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path) -> Path:
    """A cross-encoder with a head that looks at what was read, and its graphs."""
    torch.manual_seed(3)
    backbone, tokenizer = small_backbone(tiny_encoder.parent / "bert", layers=1, width=32)
    model = CrossEncoder(backbone, tokenizer, 24, InputTemplate(None, 3, event_types=False), recall_weight=0.5)
    torch.nn.init.normal_(model.head.weight)
    place = tmp_path_factory.mktemp("cross_encoder")
    model.save(place)
    export_cross_encoder(place)
    quantise_cross_encoder(place)
    return place


@pytest.mark.parametrize("count", [1, 2, 9])
@pytest.mark.parametrize("context", ["", "milk", "bread; cheese; " * 20])
def test_the_graph_scores_as_torch_does(folder: Path, context: str, count: int) -> None:
    recalled = np.linspace(-1, 1, count, dtype=np.float32)
    expected = CrossEncoder.load(folder).score(context, TEXTS[:count], recalled)
    found = load_exported(folder, FLOAT32).score(context, TEXTS[:count], recalled)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_int8_orders_nearly_as_float32_does_in_fewer_bytes(folder: Path) -> None:
    recalled = np.zeros(len(TEXTS), np.float32)
    exact, coarse = (load_exported(folder, precision).score("milk", TEXTS, recalled) for precision in (FLOAT32, INT8))
    assert 0 < np.abs(exact - coarse).max() < 0.1 * np.ptp(exact)
    assert graph_path(folder, INT8).stat().st_size < graph_path(folder, FLOAT32).stat().st_size


def test_a_graph_that_was_not_written_is_named(folder: Path, tmp_path: Path) -> None:
    CrossEncoder.load(folder).save(tmp_path)
    with pytest.raises(UsageError, match=r"holds no transformer\.int8\.onnx"):
        load_exported(tmp_path, INT8)
