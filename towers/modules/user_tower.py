"""The user tower: a causal transformer over item vectors, one vector (or a few) for every position of a history."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn
from torch.nn import functional

from towers.events.user_attributes import UNKNOWN_CODE, UserAttributes
from towers.modules.layers import make_blocks, picked
from towers.modules.tokens import GAP_BUCKETS, SequenceTokens

RECENCY = 0.6
"""Weight of a token on the direct path relative to the next newer one, before training."""

AVERAGE = 0.3
"""Weight of everything read, taken together, before training."""


@dataclass
class UserTowerSizes:
    """Shape and regularisation of a user tower, as configured under `tower`.

    Attributes:
        dim: length of item and user vectors.
        max_history: newest events read of a history; one query may follow them.
        layers: number of blocks.
        heads, feed_forward, dropout: of the blocks (see `PreNormBlock`).
        input_dropout: rate on the entries of the input vectors.
        window: newest tokens on the direct path; 0 for none.
        prior: user vectors end in a 1, which meets the prior that item vectors end in.
        average: whether the average of all tokens has a direct path too.
        block: kind of the blocks, a name in `layers.BLOCKS`.
        positions: how attention knows positions, a name in `layers.POSITIONS`.
        interests: vectors of a user.
    """

    dim: int
    max_history: int
    layers: int
    heads: int
    feed_forward: int
    dropout: float
    input_dropout: float
    window: int
    prior: bool
    average: bool
    block: str
    positions: str
    interests: int


@dataclass
class UserTowerSettings(UserTowerSizes):
    """A user tower's sizes, and what it knows of the log it is trained on.

    Attributes:
        event_types: number of event type codes.
        attributes: known values of each user attribute that is read; empty for none.
        attribute_dropout: share of training sequences whose user's attributes are withheld.
    """

    event_types: int
    attributes: Mapping[str, Sequence[str]]
    attribute_dropout: float

    @classmethod
    def of(
        cls,
        sizes: UserTowerSizes,
        event_types: int,
        attributes: Mapping[str, Sequence[str]],
        attribute_dropout: float,
    ) -> "UserTowerSettings":
        """The settings of configured sizes; other arguments as the attributes."""
        chosen = {field.name: getattr(sizes, field.name) for field in fields(UserTowerSizes)}
        return cls(**chosen, event_types=event_types, attributes=attributes, attribute_dropout=attribute_dropout)


class UserTower(nn.Module):
    """user = L2norm(transformer(history) + learnt sum of the last few items + average), with priors times a strength.

    Source: self-attention over histories, Kang & McAuley, "Self-Attentive Sequential Recommendation", ICDM 2018; the
    direct path from the newest items keeps what a Markov chain knows, that from the average of all items what a
    neighbourhood model knows of a long history. Input vectors are the item tower's own.

    With priors a user vector is [strength * unit vector ; 1]: the strength, learnt from the same history, is how far
    this position departs from popularity. A query speaks loudly, a long mixed basket softly.

    A learnt start token precedes every sequence, so that an empty history has a vector too. What is known of the user
    themself (`attributes`) is added to it.

    With several interests each has a projection of the transformer's output, a direct path and a strength of its own.
    At first interest k looks at the k-th newest token most, so that they part ways (see `multi_interest`).

    Args:
        settings: sizes and vocabularies, kept to build the same tower again.

    Attributes:
        attributes: codes of the users' attributes.

    Raises:
        UsageError: an unknown block or position, or heads that do not divide the width.
    """

    def __init__(self, settings: UserTowerSettings) -> None:
        super().__init__()
        self.settings = settings
        dim, interests, max_history = settings.dim, settings.interests, settings.max_history
        self.dim = dim
        self.prior = settings.prior
        self.interests = interests
        self.strength = nn.Linear(dim, interests) if settings.prior else None
        if self.strength is not None:  # everybody's is 1 before training
            nn.init.zeros_(self.strength.weight)
            nn.init.constant_(self.strength.bias, math.log(math.e - 1))
        self.max_history = max_history
        # In training every event may carry its own query token.
        self.max_length = 1 + 2 * max_history
        self.input_dropout = nn.Dropout(settings.input_dropout)
        self.start = nn.Parameter(torch.randn(dim) * dim**-0.5)
        self.event_types = nn.Embedding(settings.event_types, dim)
        self.gaps = nn.Embedding(GAP_BUCKETS, dim)
        self.blocks = make_blocks(
            settings.block,
            settings.layers,
            dim=dim,
            heads=settings.heads,
            feed_forward=settings.feed_forward,
            dropout=settings.dropout,
            positions=settings.positions,
            max_length=self.max_length,
        )
        self.norm = nn.LayerNorm(dim)
        self.projections = nn.Linear(dim, interests * dim) if interests > 1 else None
        self.window = nn.Parameter(
            _recency(settings.window, interests).unsqueeze(2).repeat(1, 1, dim)
        )  # [window, K, dim]
        self.average = nn.Parameter(torch.full((interests, dim), AVERAGE)) if settings.average else None
        nn.init.normal_(self.event_types.weight, std=0.1 * dim**-0.5)
        nn.init.normal_(self.gaps.weight, std=0.1 * dim**-0.5)
        self.attributes = UserAttributes(settings.attributes)
        self.attribute_vectors = nn.ModuleList(
            nn.Embedding(size, dim, padding_idx=UNKNOWN_CODE) for size in self.attributes.sizes
        )
        for embedding in self.attribute_vectors:
            _start_small(embedding, dim)

    def forward(
        self,
        vectors: Tensor,
        events: Tensor,
        gaps: Tensor,
        attributes: Tensor | None = None,
        at: Tensor | None = None,
    ) -> Tensor:
        """User vectors after the start token and after each token, or at some of these positions.

        Args:
            vectors: item or query vectors, [B, L, dim]; anything at padding, which must be on the right.
            events: event type codes, [B, L].
            gaps: time gap buckets, [B, L].
            attributes: codes of the users' attributes, [B, A]; None where nothing is known of them.
            at: positions, [B, Q] of 0…L; None for all of them, where Q is L + 1.

        Returns:
            [B, Q, dim], or [B, Q, interests, dim]; position t knows the first t tokens.
        """
        batch = vectors.shape[0]
        start = functional.normalize(self.start, dim=0).expand(batch, 1, -1)
        items = self.input_dropout(torch.cat([start, vectors], dim=1))  # [B, L + 1, dim]
        signals = self.event_types(events) + self.gaps(gaps)  # [B, L, dim]
        x = items + torch.cat([self._known(attributes, start), signals], dim=1)
        x = x * math.sqrt(x.shape[2])  # entries near unit variance, as the layers expect
        for block in self.blocks[:-1]:
            x = block(x)
        x = self.norm(self.blocks[-1](x, at) if len(self.blocks) else picked(x, at))  # [B, Q, dim]
        users = self._projected(x) + self._newest(items, at) + self._averaged(items, at)  # [B, Q, K, dim]
        if self.strength is None:
            users = functional.normalize(users, dim=3)
        else:
            strength = functional.softplus(self.strength(x)).unsqueeze(3)  # [B, Q, K, 1]
            users = functional.pad(strength * functional.normalize(users[..., :-1], dim=3), (0, 1), value=1.0)
        return users if self.interests > 1 else users.squeeze(2)

    def last(self, vectors: Tensor, tokens: SequenceTokens) -> Tensor:
        """User vectors after each sequence's last token, [B, dim] or [B, interests, dim].

        Args:
            vectors: of the tokens, [B, L, dim].
            tokens: the sequences.
        """
        last: Tensor = self(vectors, tokens.events, tokens.gaps, tokens.attributes, tokens.lengths.unsqueeze(1))
        return last.squeeze(1)

    def _known(self, codes: Tensor | None, start: Tensor) -> Tensor:
        """Sum of the attributes' vectors, [B, A] -> [B, 1, dim]; zero for an unknown user."""
        total = torch.zeros_like(start)
        if codes is None:
            return total
        if self.training and len(self.attribute_vectors):
            kept = torch.rand(len(codes), 1, device=codes.device) >= self.settings.attribute_dropout
            codes = torch.where(kept, codes, UNKNOWN_CODE)
        for column, embedding in enumerate(self.attribute_vectors):
            total = total + embedding(codes[:, column]).unsqueeze(1)
        return total

    def _projected(self, x: Tensor) -> Tensor:
        """The transformer's output for each interest, [B, L, dim] -> [B, L, K, dim]."""
        if self.projections is None:
            return x.unsqueeze(2)
        projected: Tensor = self.projections(x).view(*x.shape[:2], self.interests, self.dim)
        return projected

    def _newest(self, items: Tensor, at: Tensor | None) -> Tensor:
        """Sum of the newest tokens at each position, weighted per dimension: [B, L, dim] -> [B, Q, K, dim]."""
        scale, length, window = math.sqrt(items.shape[2]), items.shape[1], len(self.window)
        padded = functional.pad(items, (0, 0, window, 0))  # [B, window + L, dim]
        total = torch.zeros_like(picked(items, at)).unsqueeze(2)
        for back, weight in enumerate(self.window):
            earlier = picked(padded[:, window - back :][:, :length], at)  # [B, Q, dim]
            total = total + earlier.unsqueeze(2) * weight
        return total * scale

    def _averaged(self, items: Tensor, at: Tensor | None) -> Tensor | float:
        """Sum of all tokens up to each position over the root of their number, weighted: [B, L, dim] -> [B, Q, K, dim].

        Over the root, since vectors that have little in common add up to a length that grows so.
        """
        if self.average is None:
            return 0.0
        numbers = torch.arange(1, items.shape[1] + 1, device=items.device, dtype=items.dtype)
        averages = items.cumsum(dim=1) / numbers.sqrt().unsqueeze(1)  # [B, L, dim]
        return picked(averages, at).unsqueeze(2) * self.average * math.sqrt(items.shape[2])


def _recency(window: int, interests: int) -> Tensor:
    """Weights of the newest tokens before training, 1, .6, .36, … away from the one each interest begins at: [W, K]."""
    return RECENCY ** (torch.arange(window).unsqueeze(1) - torch.arange(interests)).abs()


@torch.no_grad()
def _start_small(embedding: nn.Module, dim: int) -> None:
    """Fresh weights of a signal beside unit vectors; what stands for unknown stays zero."""
    assert isinstance(embedding, nn.Embedding)
    nn.init.normal_(embedding.weight, std=0.1 * dim**-0.5)
    embedding.weight[UNKNOWN_CODE].zero_()
