"""The user tower: a causal transformer over item vectors, one vector for every moment of a history."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from data_prep.errors import UsageError
from towers.tokens import GAP_BUCKETS, Tokens


class CausalBlock(nn.Module):
    """Pre-norm causal self-attention with a learnt bias per relative distance, then a feed-forward layer.

    Args:
        dim: width.
        heads: attention heads; divides `dim`.
        feed_forward: hidden width of the feed-forward layer as a multiple of `dim`.
        dropout: rate on attention weights and both residual branches.
        max_length: longest sequence.
    """

    def __init__(self, dim: int, heads: int, feed_forward: int, dropout: float, max_length: int) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.attention_norm = nn.LayerNorm(dim)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)
        self.distance_bias = nn.Parameter(torch.zeros(heads, max_length))
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(dim),
            nn.Linear(dim, feed_forward * dim),
            nn.GELU(),
            nn.Linear(feed_forward * dim, dim),
            nn.Dropout(dropout),
        )

    def forward(self, x: Tensor, distance: Tensor) -> Tensor:
        """x: [B, L, dim]; distance: [L, L] tokens back from query to key, negative above the diagonal."""
        batch, length, dim = x.shape
        qkv = self.qkv(self.attention_norm(x)).view(batch, length, 3, self.heads, dim // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)  # each [B, heads, L, dim / heads]
        bias = self.distance_bias[:, distance.clamp(min=0)]  # [heads, L, L]
        bias = bias.masked_fill(distance < 0, float("-inf"))
        mixed = functional.scaled_dot_product_attention(
            query, key, value, attn_mask=bias, dropout_p=self.dropout if self.training else 0.0
        )
        mixed = mixed.transpose(1, 2).reshape(batch, length, dim)
        x = x + functional.dropout(self.out(mixed), self.dropout, self.training)
        transformed: Tensor = x + self.feed_forward(x)
        return transformed


class UserTower(nn.Module):
    """user = L2norm(transformer(history) + learnt sum of the last few items), with priors times a strength.

    Source: self-attention over histories, Kang & McAuley, "Self-Attentive Sequential Recommendation", ICDM 2018; the
    direct path from the newest items keeps what a Markov chain knows. Input vectors are the item tower's own.

    With priors a user vector is [strength * unit vector ; 1]: the strength, learnt from the same history, is how far
    this moment departs from what everybody wants. A query speaks loudly, a long mixed basket softly.

    A learnt start token precedes every sequence, so that an empty history has a vector too.

    Args:
        dim: length of item and user vectors.
        event_types: number of event type codes.
        max_history: newest events read of a history; one query may follow them.
        layers, heads, feed_forward, dropout: of the transformer (see `CausalBlock`).
        input_dropout: rate on the entries of the input vectors.
        window: newest tokens on the direct path; 0 for none.
        prior: user vectors end in a 1, which meets the prior that item vectors end in.

    Attributes:
        config: the arguments, to build the same tower again.
    """

    def __init__(
        self,
        dim: int,
        event_types: int,
        max_history: int,
        layers: int,
        heads: int,
        feed_forward: int,
        dropout: float,
        input_dropout: float,
        window: int,
        prior: bool,
    ) -> None:
        super().__init__()
        if dim % heads:
            raise UsageError(f"tower.dim: {dim} cannot be divided among tower.heads: {heads}")
        self.config = {
            "dim": dim,
            "event_types": event_types,
            "max_history": max_history,
            "layers": layers,
            "heads": heads,
            "feed_forward": feed_forward,
            "dropout": dropout,
            "input_dropout": input_dropout,
            "window": window,
            "prior": prior,
        }
        self.dim = dim
        self.prior = prior
        self.strength = nn.Linear(dim, 1) if prior else None
        if self.strength is not None:  # everybody's is 1 before training
            nn.init.zeros_(self.strength.weight)
            nn.init.constant_(self.strength.bias, math.log(math.e - 1))
        self.max_history = max_history
        # In training every event may carry its own query token.
        self.max_length = 1 + 2 * max_history
        self.input_dropout = nn.Dropout(input_dropout)
        self.start = nn.Parameter(torch.randn(dim) * dim**-0.5)
        self.event_types = nn.Embedding(event_types, dim)
        self.gaps = nn.Embedding(GAP_BUCKETS, dim)
        self.blocks = nn.ModuleList(
            CausalBlock(dim, heads, feed_forward, dropout, self.max_length) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(dim)
        # The newest token counts most at the start: 1, .6, .36, …
        self.window = nn.Parameter(0.6 ** torch.arange(window).unsqueeze(1).repeat(1, dim))
        nn.init.normal_(self.event_types.weight, std=0.1 * dim**-0.5)
        nn.init.normal_(self.gaps.weight, std=0.1 * dim**-0.5)

    def forward(self, vectors: Tensor, events: Tensor, gaps: Tensor) -> Tensor:
        """User vectors after the start token and after each token.

        Args:
            vectors: item or query vectors, [B, L, dim]; anything at padding, which must be on the right.
            events: event type codes, [B, L].
            gaps: time gap buckets, [B, L].

        Returns:
            [B, L + 1, dim]; position t knows the first t tokens.
        """
        batch = vectors.shape[0]
        start = functional.normalize(self.start, dim=0).expand(batch, 1, -1)
        items = self.input_dropout(torch.cat([start, vectors], dim=1))  # [B, L + 1, dim]
        signals = self.event_types(events) + self.gaps(gaps)  # [B, L, dim]
        x = items + functional.pad(signals, (0, 0, 1, 0))
        x = x * math.sqrt(x.shape[2])  # entries near unit variance, as the layers expect
        steps = torch.arange(x.shape[1], device=x.device)
        distance = steps.unsqueeze(1) - steps
        for block in self.blocks:
            x = block(x, distance)
        users = self.norm(x) + self._newest(items)
        if self.strength is None:
            return functional.normalize(users, dim=2)
        strength = functional.softplus(self.strength(self.norm(x)))  # [B, L + 1, 1]
        return functional.pad(strength * functional.normalize(users[..., :-1], dim=2), (0, 1), value=1.0)

    def last(self, vectors: Tensor, tokens: Tokens) -> Tensor:
        """User vectors after each sequence's last token, [B, dim]; `vectors` [B, L, dim] belong to the tokens."""
        moments: Tensor = self(vectors, tokens.events, tokens.gaps)
        last: Tensor = moments[torch.arange(len(moments), device=moments.device), tokens.lengths]
        return last

    def _newest(self, items: Tensor) -> Tensor:
        """Sum of each position's newest tokens, weighted per dimension: [B, L, dim] -> [B, L, dim]."""
        scale = math.sqrt(items.shape[2])
        total = torch.zeros_like(items)
        for back, weight in enumerate(self.window):
            total = total + functional.pad(items, (0, 0, back, 0))[:, : items.shape[1]] * weight
        return total * scale
