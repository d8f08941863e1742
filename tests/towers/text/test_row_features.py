"""A text encoder tuned in chunks: the same gradients as all at once, in the memory of one chunk."""

from pathlib import Path

import pytest
import torch

from data_prep.errors import UsageError
from towers.text.encoder import SentenceTransformerEncoder
from towers.text.row_features import RowTexts, TunedText
from towers.text.tuning import AllLayers
from towers.text.whitening import Whitening

TEXTS = [f"{kind} {thing}" for kind in ("green", "black", "rye") for thing in ("tea", "bread", "coffee", "litter")]


def tuned(folder: Path, cache: Path, chunk_rows: int, dropout: float) -> TunedText:
    encoder = SentenceTransformerEncoder(folder, None, 32)
    for module in encoder.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = dropout
    rows = RowTexts(encoder, TEXTS, len(TEXTS), Whitening(encoder.dim))
    return TunedText(rows, cache, AllLayers(), 1e-3, 4, chunk_rows).train()


def gradients(text: TunedText) -> tuple[float, dict[str, torch.Tensor], int]:
    """An in-batch loss, its gradients, and how many numbers were kept for backward."""
    kept = 0

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        nonlocal kept
        kept += tensor.numel()
        return tensor

    torch.manual_seed(5)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        vectors = torch.nn.functional.normalize(text(torch.arange(len(TEXTS))), dim=1)
        loss = torch.nn.functional.cross_entropy(vectors @ vectors.T / 0.1, torch.arange(len(TEXTS)).roll(1))
    loss.backward()
    return loss.item(), {n: p.grad for n, p in text.named_parameters() if p.grad is not None}, kept


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("chunk", [1, 5])
def test_chunks_give_the_gradients_of_the_whole(
    tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int, dropout: float
):
    found_loss, found, kept = gradients(tuned(tiny_encoder, tmp_path, chunk, dropout))
    monkeypatch.setattr("towers.text.row_features.checkpoint", lambda encode, rows, use_reentrant: encode(rows))
    loss, expected, all_kept = gradients(tuned(tiny_encoder, tmp_path, chunk if dropout else len(TEXTS), dropout))
    assert found_loss == pytest.approx(loss, abs=1e-5)
    assert found.keys() == expected.keys()
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], atol=1e-5, rtol=1e-4)
    assert kept < all_kept / 10  # the whitening matrix is most of what is left


def test_chunks_of_nothing_are_refused(tiny_encoder: Path, tmp_path: Path):
    with pytest.raises(UsageError, match=r"text\.chunk_rows"):
        tuned(tiny_encoder, tmp_path, 0, 0.0)
