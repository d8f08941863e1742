"""Whitened text features of catalogue rows: computed once (frozen), or by an encoder that is being tuned."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from data_prep.config import require
from towers.text.encoder import TextEncoder
from towers.text.tuning import Tuning
from towers.text.vector_cache import VectorCache
from towers.text.whitening import Whitening


@dataclass(frozen=True)
class RowTexts:
    """Texts by row, and the parts that make features of them.

    Attributes:
        encoder: of texts to sentence vectors.
        texts: text of each row.
        num_items: how many of the rows, the first ones, are items; the whitening is fitted on them.
        whitening: not fitted yet; the features fit it.
    """

    encoder: TextEncoder
    texts: Sequence[str]
    num_items: int
    whitening: Whitening


class ItemText(nn.Module):
    """Text features by row: items first, then queries.

    Attributes:
        tuned: whether weights of the encoder change in training.
        learning_rate: of those weights; 0 where none change.
    """

    tuned: bool
    learning_rate: float = 0.0

    @abstractmethod
    def forward(self, rows: Tensor) -> Tensor:
        """Whitened features of rows [n] -> [n, text_dim]."""

    def finish(self) -> None:
        """Bring the encoder into the form in which it is saved, after the last step of training."""


class FrozenText(ItemText):
    """Features of a frozen encoder, cached on disk and in memory.

    Args:
        rows: the texts.
        cache: folder of the vector cache.
    """

    tuned = False
    features: Tensor

    def __init__(self, rows: RowTexts, cache: Path | str) -> None:
        super().__init__()
        raw = VectorCache(Path(cache), rows.encoder).encode(rows.texts)
        rows.whitening.fit(raw[: rows.num_items])
        self.register_buffer("features", rows.whitening(torch.from_numpy(raw)), persistent=False)

    def forward(self, rows: Tensor) -> Tensor:
        return self.features[rows]


class TunedText(ItemText):
    """Features of an encoder that is trained along, in whole or in part.

    The whitening is fitted on the encoder as it was before training and kept.

    Args:
        rows, cache: as for `FrozenText`.
        tuning: which of the encoder's weights move.
        learning_rate: of those weights.
        encode_rows: rows encoded at a time without gradient (evaluation), bounding memory.
        chunk_rows: rows whose activations are in memory at a time in training; backward encodes each chunk again. The
            loss and its gradients are those of encoding all at once, at one forward pass more. Source: Gao et al.,
            "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup" (GradCache), RepL4NLP 2021.
    """

    tuned = True

    def __init__(
        self,
        rows: RowTexts,
        cache: Path | str,
        tuning: Tuning,
        learning_rate: float,
        encode_rows: int,
        chunk_rows: int,
    ) -> None:
        super().__init__()
        require("text.encode_rows", encode_rows, 1)
        require("text.chunk_rows", chunk_rows, 1)
        items = rows.texts[: rows.num_items]
        rows.whitening.fit(VectorCache(Path(cache), rows.encoder).encode(items))
        tuning.begin(rows.encoder)
        self.encoder = rows.encoder
        self.whitening = (rows.whitening,)  # in a tuple: it belongs to the item tower, not to this module's state
        self.texts = list(rows.texts)
        self.tuning = tuning
        self.learning_rate = learning_rate
        self.encode_rows = encode_rows
        self.chunk_rows = chunk_rows

    def forward(self, rows: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            chunks = rows.split(self.chunk_rows)
            parts = [checkpoint(self._encode, chunk, use_reentrant=False) for chunk in chunks]
        else:
            parts = [self._encode(part) for part in rows.split(self.encode_rows)]
        whitened: Tensor = self.whitening[0](torch.cat(parts))
        return whitened

    def _encode(self, rows: Tensor) -> Tensor:
        vectors: Tensor = self.encoder([self.texts[row] for row in rows.tolist()])
        return vectors

    def finish(self) -> None:
        self.tuning.end()
