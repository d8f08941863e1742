"""How the weights of both towers are moved."""

from dataclasses import dataclass
from typing import Any

from torch import nn

from towers.text.row_features import ItemText


@dataclass
class Optimization:
    """How the weights are moved.

    Attributes:
        learning_rate: of AdamW, reached after warm-up.
        history_rate: that of the steps from items to what follows them (see `ItemTower.in_history`), relative to it:
            they learn by heart, so they learn slowly; 0 for no such steps.
        weight_decay: on matrices of the towers; biases, norms and embeddings are left alone.
        warmup_steps: steps of linear warm-up; linear decay to zero follows.
    """

    learning_rate: float
    history_rate: float
    weight_decay: float
    warmup_steps: int


ParameterGroup = dict[str, Any]
"""Weights that an optimizer moves alike, as torch's optimizers take them: `params`, `weight_decay`, perhaps `lr`."""


def parameter_groups(
    towers: nn.Module, steps: nn.Module | None, text: ItemText, o: Optimization
) -> list[ParameterGroup]:
    """Parameter groups of an optimizer: the weights of all parts, each with its rate and decay.

    Args:
        towers: everything that is trained.
        steps: of it, the steps from items to what follows them, where there are any.
        text: of it, the text encoder, where it is tuned.
        o: the rates.
    """
    embeddings = {p for m in towers.modules() if isinstance(m, nn.Embedding) for p in m.parameters()}
    slow = [] if steps is None else list(steps.parameters())
    encoder = list(text.parameters())
    apart = {*encoder, *slow}
    others = [p for p in towers.parameters() if p not in apart]
    groups: list[ParameterGroup] = [
        {"params": [p for p in others if p.ndim >= 2 and p not in embeddings], "weight_decay": o.weight_decay},
        {"params": [p for p in others if p.ndim < 2 or p in embeddings], "weight_decay": 0.0},
        {"params": slow, "weight_decay": 0.0, "lr": o.learning_rate * o.history_rate},
        {
            "params": [p for p in encoder if p.requires_grad],
            "weight_decay": o.weight_decay,
            "lr": text.learning_rate,
        },
    ]
    return [group for group in groups if group["params"]]
