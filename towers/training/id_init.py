"""First values of id embeddings: noise, the items' texts, or co-occurrence."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor
from torch.nn import functional

from towers.baselines.cooccurrence import PairWeights, directional_cooccurrence, factors
from towers.events.interactions import Interactions
from towers.text.row_features import ItemText

ROWS_AT_ONCE = 8192


class IdStart(ABC):
    """First values of the id embeddings; `ItemTower.start_ids` sets their scale."""

    @abstractmethod
    def vectors(self, text: ItemText, interactions: Interactions, width: int, seed: int) -> Tensor:
        """Draw or compute them.

        Args:
            text: text features of the items.
            interactions: the training events.
            width: length of an id embedding.
            seed: of what is random here.

        Returns:
            [N, width].
        """


class NormalStart(IdStart):
    """Noise, alike in every direction."""

    def vectors(self, text: ItemText, interactions: Interactions, width: int, seed: int) -> Tensor:
        return torch.randn(interactions.num_items, width)


class TextStart(IdStart):
    """The principal components of the items' texts, whitened.

    Text enters every item vector anyway, through a linear layer all items share. Started here, the id embedding of an
    item with few events, which training hardly moves, repeats its text where it would otherwise be noise.
    """

    @torch.no_grad()
    def vectors(self, text: ItemText, interactions: Interactions, width: int, seed: int) -> Tensor:
        text.eval()
        rows = torch.arange(interactions.num_items).split(ROWS_AT_ONCE)
        whitened = torch.cat([text(part) for part in rows])  # [N, text_dim], the direction of most variance last
        return functional.pad(whitened[:, -width:], (0, max(width - whitened.shape[1], 0)))


class CooccurrenceStart(IdStart):
    """Factors of directional co-occurrence.

    An item has one id embedding, whether it leads to others or others lead to it: the sum of its two factors. The
    product of two such sums is the co-occurrence of both directions plus how alike the items' neighbours are.

    Args:
        pairs: how pairs of events are weighed.
    """

    def __init__(self, pairs: PairWeights) -> None:
        self.pairs = pairs

    def vectors(self, text: ItemText, interactions: Interactions, width: int, seed: int) -> Tensor:
        matrix = directional_cooccurrence(interactions, self.pairs)
        source, target = factors(matrix, width, seed)
        summed = torch.from_numpy(source + target)  # [N, width], or less in a catalogue of fewer items
        return functional.pad(summed, (0, width - summed.shape[1]))
