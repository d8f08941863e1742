"""The cross-encoder: a small transformer that reads the text of a user, or a query, beside that of one item."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from data_prep.errors import UsageError
from data_prep.files import read_json, write_json
from towers.ranking.input_template import InputTemplate
from towers.ranking.pair_tokenizer import encode_pairs, remembering

FORMAT_VERSION = 2
CONFIG, HEAD = "cross_encoder.json", "head.safetensors"
HEAD_WIDTH = 32  # dimensions of one attention head, as in MiniLM
PAIRS_AT_ONCE = 64


class CrossEncoder(nn.Module):
    """score = head(transformer(context, item text)) + w * towers' score.

    The head starts at zero and w above it, so that an untrained one keeps the recall order and training moves it
    from there. Source of the architecture: Nogueira & Cho, "Passage Re-ranking with
    BERT", 2019.

    Args:
        backbone: a BERT-like transformer.
        tokenizer: its tokenizer.
        max_tokens: context and item text together; the longer of the two is cut first.
        input_template: how users and items were shown to it.
        recall_weight: initial w.
    """

    def __init__(
        self, backbone: nn.Module, tokenizer: Any, max_tokens: int, input_template: InputTemplate, recall_weight: float
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.tokenizer = tokenizer
        self.max_tokens = max_tokens
        self.input_template = input_template
        self.head = nn.Linear(int(backbone.config.hidden_size), 1)  # type: ignore[union-attr, arg-type]
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.recall_weight = nn.Parameter(torch.tensor(recall_weight))
        self._pairs = remembering(tokenizer, max_tokens)

    def forward(self, contexts: Sequence[str], candidates: Sequence[str], recall_scores: Tensor) -> Tensor:
        """Scores of n pairs, [n].

        Args:
            contexts: n contexts, as `input_template` makes them.
            candidates: n item texts.
            recall_scores: the towers' inner products, [n].
        """
        return self._scores(encode_pairs(self.tokenizer, contexts, candidates, self.max_tokens), recall_scores)

    @torch.inference_mode()
    def score(self, context: str, candidates: Sequence[str], recall_scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scores of candidates for one user, higher is better; the tokens of an item's text are remembered.

        Args:
            context: as `input_template` makes it.
            candidates: n item texts.
            recall_scores: the towers' inner products with the user's vector, [n].

        Returns:
            [n].
        """
        scores = np.zeros(len(candidates), np.float32)
        encode = self._encoder(context)
        order = np.argsort([len(text) for text in candidates], kind="stable")  # like lengths together: less padding
        for start in range(0, len(order), PAIRS_AT_ONCE):
            chosen = order[start : start + PAIRS_AT_ONCE]
            texts = [candidates[i] for i in chosen]
            recalled = torch.from_numpy(np.asarray(recall_scores, np.float32)[chosen]).to(self.head.weight.device)
            scores[chosen] = self._scores(encode(texts), recalled).cpu().numpy()
        return scores

    def _encoder(self, context: str) -> Callable[[Sequence[str]], Mapping[str, Tensor]]:
        """The function from n item texts to the tokens of their pairs with a context."""
        if self._pairs is not None:
            return self._pairs.beside(context)
        return lambda texts: encode_pairs(self.tokenizer, [context] * len(texts), texts, self.max_tokens)

    def _scores(self, encoded: Mapping[str, Tensor], recall_scores: Tensor) -> Tensor:
        """Scores of n pairs of tokens, [n]."""
        inputs = {name: part.to(self.head.weight.device) for name, part in encoded.items()}  # [n, tokens] each
        states = self.backbone(**inputs).last_hidden_state  # [n, tokens, width]
        mask = inputs["attention_mask"].unsqueeze(2)
        pooled = (states * mask).sum(dim=1) / mask.sum(dim=1)  # [n, width]
        return self.head(pooled).squeeze(1) + self.recall_weight * recall_scores  # type: ignore[no-any-return]

    @property
    def adds_to_recall(self) -> bool:
        """Whether its text scores count: at weight 0 its order is recall's."""
        return bool(self.head.weight.any())

    @torch.no_grad()
    def scale_text_scores(self, weight: float) -> None:
        """Weigh the text scores beside the towers' score."""
        self.head.weight.mul_(weight)
        self.head.bias.mul_(weight)

    def save(self, folder: Path) -> None:
        """Write everything `load` needs into `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        self.backbone.save_pretrained(folder)  # type: ignore[operator]
        self.tokenizer.save_pretrained(folder)
        save_file(
            {"weight": self.head.weight, "bias": self.head.bias, "recall_weight": self.recall_weight}, folder / HEAD
        )
        config = {
            "format": FORMAT_VERSION,
            "max_tokens": self.max_tokens,
            "input_template": asdict(self.input_template),
        }
        write_json(folder / CONFIG, config)

    @classmethod
    def load(cls, folder: Path, backbone: nn.Module | None = None) -> "CrossEncoder":
        """Read what `save` wrote.

        Args:
            folder: where.
            backbone: reads pairs in place of the transformer whose weights are there.

        Raises:
            UsageError: the folder holds no cross-encoder, or one of another format.
        """
        if not (folder / CONFIG).is_file():
            raise UsageError(f"no cross-encoder in {folder}: {CONFIG} is missing")
        config = read_json(folder / CONFIG)
        if config["format"] != FORMAT_VERSION:
            raise UsageError(f"{folder}: format {config['format']}, this version reads {FORMAT_VERSION}; train it anew")
        tokenizer = _tokenizer(folder)
        backbone = _transformer(folder) if backbone is None else backbone
        model = cls(
            backbone, tokenizer, config["max_tokens"], InputTemplate(**config["input_template"]), recall_weight=0.0
        )
        head = load_file(folder / HEAD)
        model.head.load_state_dict({"weight": head["weight"], "bias": head["bias"]})
        model.recall_weight.data = head["recall_weight"]
        return model.eval()


def _transformer(folder: Path) -> nn.Module:
    """Transformer from a folder, never from a hub and never from a pickle."""
    from transformers import AutoModel  # seconds to import: only where it is needed

    return AutoModel.from_pretrained(folder, local_files_only=True, use_safetensors=True)  # type: ignore[no-any-return]


def _tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder, local_files_only=True)


def small_backbone(folder: Path, layers: int, width: int) -> tuple[nn.Module, Any]:
    """A small transformer that starts from the weights of a larger one.

    With the larger one's own width its first layers are kept as they are. A narrower one has fresh layers over the
    larger one's word embeddings, projected on their principal directions.

    Args:
        folder: a BERT-like model with its tokenizer, weights in safetensors.
        layers: transformer layers.
        width: hidden width; a multiple of 32, at most the larger one's.

    Raises:
        UsageError: layers or width do not fit.
    """
    large, tokenizer = _transformer(folder), _tokenizer(folder)
    config = large.config
    if not 1 <= layers <= int(config.num_hidden_layers):  # type: ignore[union-attr, arg-type]
        raise UsageError(f"layers: {layers} is not within 1…{config.num_hidden_layers}, the layers of {folder}")  # type: ignore[union-attr]
    if width % HEAD_WIDTH or not 0 < width <= int(config.hidden_size):  # type: ignore[union-attr, arg-type]
        raise UsageError(f"width: {width} is not a multiple of {HEAD_WIDTH} up to {config.hidden_size}")  # type: ignore[union-attr]
    if width == config.hidden_size:  # type: ignore[union-attr]
        large.encoder.layer = large.encoder.layer[:layers]  # type: ignore[union-attr, index]
        large.config.num_hidden_layers = layers  # type: ignore[union-attr]
        return large, tokenizer
    return _narrow(large, layers, width), tokenizer


def _narrow(large: Any, layers: int, width: int) -> nn.Module:
    from transformers import AutoModel

    config = type(large.config).from_dict(
        large.config.to_dict()
        | {
            "num_hidden_layers": layers,
            "hidden_size": width,
            "intermediate_size": 4 * width,
            "num_attention_heads": width // HEAD_WIDTH,
        }
    )
    small = AutoModel.from_config(config)
    words = large.embeddings.word_embeddings.weight.detach()  # [V, large width]
    centred = words - words.mean(dim=0)
    _, directions = torch.linalg.eigh(centred.T @ centred)
    projected = centred @ directions[:, -width:]  # [V, width], largest variance last
    scale = math.sqrt(words.var().item() / max(projected.var().item(), 1e-12))
    small.embeddings.word_embeddings.weight.data.copy_(projected * scale)
    return small  # type: ignore[no-any-return]
