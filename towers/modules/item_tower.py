"""The item tower: whitened text, words, an id embedding and features of columns, one vector per item."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from towers.modules.item_features import FeatureSettings, ItemFeatures
from towers.modules.word_embeddings import Bags, WordEmbeddings
from towers.text.whitening import Whitening

NO_ID = -1

BY_ID = frozenset({"ids.weight", "history.weight", "priors"})
"""Names of the weights that have a row for each known item."""


@dataclass(frozen=True)
class ItemTowerSettings:
    """Sizes of an item tower.

    Attributes:
        text_dim: length of a sentence vector.
        dim: length of an item vector.
        num_ids: items with an embedding of their own; 0 for a tower on text alone.
        num_priors: items with a prior; None for vectors without that coordinate.
        id_dropout: share of items whose id embedding is left out in a training step.
        history: whether an item in a history may say something else than the item to be found (see `in_history`).
        whitening: strength of the texts' (see `Whitening`).
    """

    text_dim: int
    dim: int
    num_ids: int
    num_priors: int | None
    id_dropout: float = 0.0
    history: bool = False
    whitening: float = 1.0


class ItemTower(nn.Module):
    """item = L2norm(linear(whitened text) + words + id embedding + features).

    In training the id embedding of an item is left out at random, so that an item without one (new since training) or
    a query, which never has one, still gets a sound vector from its text alone.

    With priors the last coordinate says what speaks for the item whoever asks (its popularity, at first); the user
    tower answers it with a 1. So the model starts from the popularity ranking and learns what differs from it.

    Args:
        settings: sizes.
        features: features of the items table's columns; None for none.
        words: vectors of the words of texts; None for none.
    """

    def __init__(
        self,
        settings: ItemTowerSettings,
        features: ItemFeatures | None = None,
        words: WordEmbeddings | None = None,
    ) -> None:
        super().__init__()
        ids, priors = settings.num_ids, settings.num_priors
        self.whitening = Whitening(settings.text_dim, settings.whitening)
        self.priors = None if priors is None else nn.Parameter(torch.zeros(priors))
        self.features = features
        self.words = words
        width = text_width(settings.dim, priors is not None)
        self.project = nn.Linear(settings.text_dim, width)
        self.ids = nn.Embedding(ids, width) if ids else None
        self.history = nn.Embedding(ids, width) if ids and settings.history else None
        if self.history is not None:
            nn.init.zeros_(self.history.weight)
        self.id_dropout = settings.id_dropout

    def forward(
        self, text: Tensor, id_rows: Tensor, features: Sequence[Tensor] | None = None, bags: Bags | None = None
    ) -> Tensor:
        """Item vectors, of unit length but for the prior.

        Args:
            text: whitened sentence vectors, [n, text_dim].
            id_rows: rows of id embedding and prior, [n]; NO_ID for text alone and the average prior, 0.
            features: values of the features (see `ItemFeatures.read`); None adds nothing, as for a query.
            bags: words of the texts (see `WordEmbeddings.read`); None adds nothing.

        Returns:
            [n, dim].
        """
        vectors = self.project(text)  # [n, dim], or one less with priors
        known = id_rows != NO_ID
        present = id_rows.clamp(min=0)
        if self.ids is not None:
            vectors = vectors + self.ids(present) * self._kept(id_rows).unsqueeze(1)
        if self.features is not None and features is not None:
            vectors = vectors + self.features(features)
        if self.words is not None and bags is not None:
            vectors = vectors + self.words(bags)
        vectors = functional.normalize(vectors, dim=1)
        if self.priors is None:
            return vectors
        priors = self.priors[present] * known if len(self.priors) else torch.zeros_like(vectors[:, 0])
        return torch.cat([vectors, priors.unsqueeze(1)], dim=1)

    def in_history(self, vectors: Tensor, id_rows: Tensor) -> Tensor:
        """Items as parts of a history: their vectors, and a learnt step from each to what follows it.

        What an item is like and what it leads to differ: a printer leads to ink, ink to no printer.

        Args:
            vectors: item vectors, [..., dim].
            id_rows: rows of the id embedding, [...]; NO_ID for no step.

        Returns:
            [..., dim].
        """
        if self.history is None:
            return vectors
        steps = self.history(id_rows.clamp(min=0)) * self._kept(id_rows).unsqueeze(-1)  # [..., width]
        return vectors + functional.pad(steps, (0, vectors.shape[-1] - steps.shape[-1]))

    def _kept(self, id_rows: Tensor) -> Tensor:
        """Where there is an id embedding, and training does not leave it out."""
        kept = id_rows != NO_ID
        if self.training and self.id_dropout > 0:
            kept = kept & (torch.rand(id_rows.shape, device=id_rows.device) >= self.id_dropout)
        return kept

    @torch.no_grad()
    def start_from_directions(self) -> None:
        """Have the projection keep the directions in which texts differ most, as they are, most first; drop the rest.

        So the towers find what the text encoder finds before they have learnt anything. The random projection that is
        there otherwise keeps little of a whitened vector in fewer dimensions. Vectors are as long as with that one, or
        longer where whitening leaves the kept directions more than their share of variance.
        """
        width, text_dim = self.project.weight.shape
        kept = min(width, text_dim)
        nn.init.zeros_(self.project.bias)
        nn.init.zeros_(self.project.weight)
        # A fresh nn.Linear has weights of variance 1 / (3 text_dim), which makes `width` entries of variance 1 / 3.
        self.project.weight[:kept, text_dim - kept :] = torch.eye(kept).flip(1) * math.sqrt(width / kept / 3)

    @torch.no_grad()
    def start_ids(self, vectors: Tensor, scale: float) -> None:
        """Set the id embeddings, if there are any.

        Args:
            vectors: their directions and relative lengths, [N, width].
            scale: mean length they are given; what is zero stays so and does not count.
        """
        if self.ids is not None:
            lengths = vectors.norm(dim=1)
            known = lengths > 0
            self.ids.weight.copy_(vectors * (scale / lengths[known].mean()) if known.any() else vectors)

    @torch.no_grad()
    def start_from_popularity(self, counts: Tensor, temperature: float) -> None:
        """Set the priors so that a user without history gets items by popularity.

        Args:
            counts: training events of each item, [N]; items without any keep the average prior.
            temperature: divides scores in the softmax.
        """
        if self.priors is not None and (counts > 0).any():
            logits = torch.log(counts.clamp(min=1))
            mean = logits[counts > 0].mean()
            self.priors.copy_(torch.where(counts > 0, (logits - mean) * temperature, 0.0))


def text_width(dim: int, prior: bool) -> int:
    """Length of an item vector without the coordinate of its prior, if it has one."""
    return dim - 1 if prior else dim


def restore_item_tower(
    text_dim: int, dim: int, features: Sequence[FeatureSettings], vocabulary: Sequence[str], state: Mapping[str, Tensor]
) -> ItemTower:
    """The item tower that a state was taken from; its weights are those very tensors, memory-mapped ones stay so.

    Args:
        text_dim, dim: lengths of sentence and item vectors.
        features: their settings (see `ItemFeatures.settings`).
        vocabulary: the words it has vectors of.
        state: all weights and statistics, by name.
    """
    priors, ids = state.get("priors"), state.get("ids.weight")
    width = text_width(dim, priors is not None)
    with torch.device("meta"):
        tower = ItemTower(
            ItemTowerSettings(
                text_dim,
                dim,
                num_ids=0 if ids is None else len(ids),
                num_priors=None if priors is None else len(priors),
                history="history.weight" in state,
            ),
            features=ItemFeatures.restore(features, width),
            words=WordEmbeddings(vocabulary, width) if vocabulary else None,
        )
    tower.load_state_dict(dict(state), assign=True)
    return tower.eval()
