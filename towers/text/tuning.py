"""Which weights of a text encoder move in training: all of them, the top layers, or low-rank adapters."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import nn

from data_prep.errors import UsageError
from towers.text.encoder import TextEncoder

if TYPE_CHECKING:
    from peft import PeftModel


class Tuning(ABC):
    """Chooses the weights of an encoder that are trained."""

    @abstractmethod
    def begin(self, encoder: TextEncoder) -> None:
        """Let some weights move and freeze the rest.

        Raises:
            UsageError: the encoder cannot be tuned in this way.
        """

    def end(self) -> None:  # noqa: B027 - most have nothing to do
        """Bring the trained encoder back into its own layout."""


class AllLayers(Tuning):
    """Every weight moves."""

    def begin(self, encoder: TextEncoder) -> None:
        if not any(True for _ in encoder.parameters()):
            raise UsageError(f"text=full: the {encoder.kind} encoder has no weights to tune; use text=frozen")
        encoder.requires_grad_(True)


class TopLayers(Tuning):
    """The transformer's last layers move.

    What lies below them is run without keeping activations: nothing there asks for a gradient.

    Args:
        layers: how many, counted from the top.
    """

    def __init__(self, layers: int) -> None:
        self.layers = layers

    def begin(self, encoder: TextEncoder) -> None:
        stack = layer_stack(encoder.transformer())
        if not 1 <= self.layers <= len(stack):
            raise UsageError(f"text.tuning.layers must be within 1…{len(stack)}, the encoder's, not {self.layers}")
        encoder.requires_grad_(False)
        for layer in stack[len(stack) - self.layers :]:
            layer.requires_grad_(True)


class LowRank(Tuning):
    """Low-rank adapters on the attention's projections move; they are merged into the weights in the end.

    Source: Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", ICLR 2022.

    Args:
        rank: of an adapter.
        alpha: an adapter's output is scaled by alpha / rank.
        dropout: of an adapter's input.
        projections: names of the linear layers that get one, of which a transformer has its own few.
    """

    def __init__(self, rank: int, alpha: int, dropout: float, projections: Sequence[str]) -> None:
        self.rank = rank
        self.alpha = alpha
        self.dropout = dropout
        self.projections = list(projections)
        self._adapted: PeftModel | None = None

    def begin(self, encoder: TextEncoder) -> None:
        transformer = encoder.transformer()
        there = {name.rpartition(".")[2] for name, m in transformer.named_modules() if isinstance(m, nn.Linear)}
        if not there & set(self.projections):
            raise UsageError(
                f"text.tuning.projections: {self.projections} name no linear layer of the encoder, which has "
                f"{sorted(there)}"
            )
        try:
            from peft import LoraConfig, get_peft_model
        except ModuleNotFoundError as error:
            raise UsageError("text=lora needs: pip install 'twotower[lora]'") from error
        encoder.requires_grad_(False)
        adapters = LoraConfig(
            r=self.rank, lora_alpha=self.alpha, lora_dropout=self.dropout, target_modules=self.projections
        )
        self._adapted = get_peft_model(transformer, adapters)  # puts the adapters into the encoder's own transformer

    def end(self) -> None:
        if self._adapted is not None:
            self._adapted.merge_and_unload()
            self._adapted = None


def layer_stack(transformer: nn.Module) -> nn.ModuleList:
    """The layers of a Hugging Face transformer, lowest first.

    Raises:
        UsageError: they are not where they can be found.
    """
    number = getattr(getattr(transformer, "config", None), "num_hidden_layers", None)
    for module in transformer.modules():
        if isinstance(module, nn.ModuleList) and len(module) == number:
            return module
    raise UsageError(
        f"text=top_layers: {type(transformer).__name__} shows no list of layers; use text=lora or text=full"
    )
