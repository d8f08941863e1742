"""Layers of the user tower: causal blocks, and how their attention knows positions.

Blocks and positions are chosen by name. The name is also all that a saved model says of them, so that no file a server
reads can name code to run.
"""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from data_prep.errors import UsageError

Choice = TypeVar("Choice")

ROTARY_BASE = 10_000.0


def chosen(setting: str, name: str, choices: Mapping[str, Choice]) -> Choice:
    """The choice of that name.

    Raises:
        UsageError: there is none; the message has the setting and all names.
    """
    if name not in choices:
        raise UsageError(f"{setting}: {name!r} is none of {', '.join(choices)}")
    return choices[name]


def picked(x: Tensor, at: Tensor | None) -> Tensor:
    """Some tokens of each sequence, [B, L, dim] and their positions [B, Q] -> [B, Q, dim]; None for all of them."""
    # x.shape[0], not len(x): an export would take the latter for a constant.
    return x if at is None else x[torch.arange(x.shape[0], device=x.device).unsqueeze(1), at]


def steps_back(length: int, at: Tensor | None, device: torch.device) -> Tensor:
    """Tokens back from each querying token to each of `length` tokens, negative to later ones: [B or 1, Q, L]."""
    steps = torch.arange(length, device=device)
    return (steps.unsqueeze(0) if at is None else at).unsqueeze(2) - steps


class RelativeBias(nn.Module):
    """A learnt number for each head and distance, added to the attention logits.

    Source: Shaw et al., "Self-Attention with Relative Position Representations", NAACL 2018; one number each, as in
    Raffel et al., "Exploring the Limits of Transfer Learning", JMLR 2020.

    Args:
        heads: attention heads.
        width: length of a head's queries and keys.
        max_length: longest sequence.
    """

    def __init__(self, heads: int, width: int, max_length: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(heads, max_length))

    def attend(self, query: Tensor, key: Tensor, value: Tensor, dropout: float, at: Tensor | None = None) -> Tensor:
        """Causal attention.

        Args:
            query: of the querying tokens, [B, heads, Q, width].
            key, value: of all, [B, heads, L, width].
            dropout: rate on attention weights.
            at: positions of the querying tokens, [B, Q]; None where all L query.

        Returns:
            [B, heads, Q, width].
        """
        distance = steps_back(key.shape[2], at, key.device)  # [B or 1, Q, L]
        bias = self.bias[:, distance.clamp(min=0)].masked_fill(distance < 0, float("-inf"))  # [heads, B or 1, Q, L]
        mask = bias.transpose(0, 1)
        return functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=dropout)


class Rotary(nn.Module):
    """Queries and keys turned by an angle that grows with their position: their product knows the distance alone.

    Source: Su et al., "RoFormer: Enhanced Transformer with Rotary Position Embedding", 2021, eq. 34.

    Args:
        heads: attention heads.
        width: length of a head's queries and keys; even.
        max_length: longest sequence.

    Raises:
        UsageError: the width is odd.
    """

    cos: Tensor
    sin: Tensor

    def __init__(self, heads: int, width: int, max_length: int) -> None:
        super().__init__()
        if width % 2:
            raise UsageError(
                f"tower.positions: rotary needs an even number of entries a head, not {width}; change tower.dim or "
                "tower.heads, or take tower.positions=relative"
            )
        frequencies = ROTARY_BASE ** (-torch.arange(0, width, 2) / width)  # [width / 2]
        angles = torch.arange(max_length).unsqueeze(1) * frequencies  # [max_length, width / 2]
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)

    def turned(self, x: Tensor, at: Tensor | None = None) -> Tensor:
        """Vectors turned by their positions, [B, heads, Q, width] -> [B, heads, Q, width]; `at` as of `attend`."""
        first, second = x.chunk(2, dim=3)  # each [B, heads, Q, width / 2]
        positions = slice(x.shape[2]) if at is None else at.unsqueeze(1)
        cos, sin = self.cos[positions], self.sin[positions]  # [Q, width / 2] or [B, 1, Q, width / 2]
        return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=3)

    def attend(self, query: Tensor, key: Tensor, value: Tensor, dropout: float, at: Tensor | None = None) -> Tensor:
        """Causal attention; arguments and result as of `RelativeBias.attend`."""
        query, key = self.turned(query, at), self.turned(key)
        mask = steps_back(key.shape[2], at, key.device).unsqueeze(1) >= 0  # [B or 1, 1, Q, L]
        return functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=dropout)


POSITIONS: dict[str, type[RelativeBias] | type[Rotary]] = {"relative": RelativeBias, "rotary": Rotary}
"""`tower.positions`."""


class CausalAttention(nn.Module):
    """Multi-head self-attention that looks at a token and what came before it.

    Args:
        dim: width.
        heads: attention heads; divides `dim`.
        dropout: rate on attention weights.
        positions: name in `POSITIONS`.
        max_length: longest sequence.

    Raises:
        UsageError: there are no such positions, or heads do not divide the width.
    """

    def __init__(self, dim: int, heads: int, dropout: float, positions: str, max_length: int) -> None:
        super().__init__()
        if dim % heads:
            raise UsageError(f"tower.dim: {dim} cannot be divided among tower.heads: {heads}")
        self.heads = heads
        self.dropout = dropout
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)
        self.positions = chosen("tower.positions", positions, POSITIONS)(heads, dim // heads, max_length)

    def forward(self, x: Tensor, at: Tensor | None = None) -> Tensor:
        """Attention of the tokens at positions [B, Q], or all of them, to those before: [B, L, dim] -> [B, Q, dim]."""
        query, key, value = (part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in self._projected(x, at))
        rate = self.dropout if self.training else 0.0
        mixed = self.positions.attend(query, key, value, rate, at)  # [B, heads, Q, dim / heads]
        attended: Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return attended

    def _projected(self, x: Tensor, at: Tensor | None) -> Sequence[Tensor]:
        """Queries [B, Q, dim], keys and values [B, L, dim]: one product where all tokens query, which is quickest."""
        if at is None:
            together: Tensor = self.qkv(x)  # [B, L, 3 * dim]
            return together.chunk(3, dim=2)
        sizes = [x.shape[2], 2 * x.shape[2]]
        (query_weight, other_weight), (query_bias, other_bias) = (
            self.qkv.weight.split(sizes),
            self.qkv.bias.split(sizes),
        )
        query = functional.linear(picked(x, at), query_weight, query_bias)
        return query, *functional.linear(x, other_weight, other_bias).chunk(2, dim=2)


class PreNormBlock(nn.Module):
    """x + attention(LayerNorm x), then x + GELU feed-forward(LayerNorm x).

    Source: Xiong et al., "On Layer Normalization in the Transformer Architecture", ICML 2020.

    Args:
        dim: width.
        heads: attention heads; divides `dim`.
        feed_forward: hidden width of the feed-forward layer as a multiple of `dim`.
        dropout: rate on attention weights and both residual branches.
        positions: name in `POSITIONS`.
        max_length: longest sequence.
    """

    def __init__(
        self, dim: int, heads: int, feed_forward: int, dropout: float, positions: str, max_length: int
    ) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(dim)
        self.attention = CausalAttention(dim, heads, dropout, positions, max_length)
        self.dropout = nn.Dropout(dropout)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(dim),
            nn.Linear(dim, feed_forward * dim),
            nn.GELU(),
            nn.Linear(feed_forward * dim, dim),
            nn.Dropout(dropout),
        )

    def forward(self, x: Tensor, at: Tensor | None = None) -> Tensor:
        """The tokens at positions [B, Q], or all, each knowing itself and those before: [B, L, dim] -> [B, Q, dim]."""
        x = picked(x, at) + self.dropout(self.attention(self.attention_norm(x), at))
        transformed: Tensor = x + self.feed_forward(x)
        return transformed


class SwiGLU(nn.Module):
    """down(SiLU(gate x) * up x).

    Source: Shazeer, "GLU Variants Improve Transformer", 2020, eq. 6; no biases, as there.

    Args:
        dim: width.
        hidden: width between.
    """

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.gate = nn.Linear(dim, hidden, bias=False)
        self.up = nn.Linear(dim, hidden, bias=False)
        self.down = nn.Linear(hidden, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[…, dim] -> […, dim]."""
        transformed: Tensor = self.down(functional.silu(self.gate(x)) * self.up(x))
        return transformed


class GatedResidual(nn.Module):
    """x + sigmoid(linear x) * layer(RMSNorm x): the token decides, entry by entry, how much of the layer it takes.

    Source: Borisyuk et al., "From Features to Transformers: Redefining Ranking for Scalable Impact" (LiGR), 2025.

    Args:
        dim: width.
        layer: the branch, [B, L, dim] -> [B, L, dim].
        dropout: rate on the layer's output.
    """

    def __init__(self, dim: int, layer: nn.Module, dropout: float) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(dim)
        self.layer = layer
        self.gate = nn.Linear(dim, dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """[B, L, dim] -> [B, L, dim]."""
        return self.gated(x, self.layer(self.norm(x)))

    def gated(self, x: Tensor, taken: Tensor) -> Tensor:
        """Tokens and what the layer made for them, both [B, Q, dim] -> [B, Q, dim]."""
        total: Tensor = x + torch.sigmoid(self.gate(x)) * self.dropout(taken)
        return total


class LigrBlock(nn.Module):
    """Attention, then a SwiGLU feed-forward layer, both behind gated residuals.

    Arguments as for `PreNormBlock`; the feed-forward layer has three matrices of that width instead of two.
    """

    def __init__(
        self, dim: int, heads: int, feed_forward: int, dropout: float, positions: str, max_length: int
    ) -> None:
        super().__init__()
        attention = CausalAttention(dim, heads, dropout, positions, max_length)
        self.attention = GatedResidual(dim, attention, dropout)
        self.feed_forward = GatedResidual(dim, SwiGLU(dim, feed_forward * dim), dropout)

    def forward(self, x: Tensor, at: Tensor | None = None) -> Tensor:
        """The tokens at positions [B, Q], or all, each knowing itself and those before: [B, L, dim] -> [B, Q, dim]."""
        mixing = self.attention
        taken = mixing.layer(mixing.norm(x), at)
        transformed: Tensor = self.feed_forward(mixing.gated(picked(x, at), taken))
        return transformed


BLOCKS: dict[str, type[PreNormBlock] | type[LigrBlock]] = {"pre_norm": PreNormBlock, "ligr": LigrBlock}
"""`tower.block`."""


def make_blocks(name: str, layers: int, **sizes: int | float | str) -> nn.ModuleList:
    """A stack of `layers` blocks of one kind; `sizes` are the block's arguments.

    Raises:
        UsageError: there is no such block.
    """
    block: type[nn.Module] = chosen("tower.block", name, BLOCKS)
    return nn.ModuleList(block(**sizes) for _ in range(layers))
