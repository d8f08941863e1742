"""A cross-encoder's transformer as an ONNX graph: the same scores for less time, nearly the same in int8 for half.

>>> export_cross_encoder(folder)          # doctest: +SKIP
>>> quantise_cross_encoder(folder)        # doctest: +SKIP
>>> load_exported(folder, INT8).score(context, candidates, recall_scores)  # doctest: +SKIP
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import Tensor, nn

from data_prep.errors import UsageError
from towers.modules.onnx_runtime import FLOAT32, INT8, open_session, run, write_graph, write_int8
from towers.ranking.cross_encoder import CrossEncoder

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

EXAMPLE = (["fresh milk; bread", "rye"], ["whole milk of the alps", "cheese of the alps"])
"""Pairs that the graph is traced with; any would do."""


class Read(NamedTuple):
    """The output of a transformer, under the name that transformers gives it.

    Attributes:
        last_hidden_state: [n, tokens, width].
    """

    last_hidden_state: Tensor


class OnnxBackbone(nn.Module):
    """Stands in a `CrossEncoder` where its transformer would.

    Args:
        session: the graph.
        config: of the transformer that it was made from.
    """

    def __init__(self, session: "InferenceSession", config: Any) -> None:
        super().__init__()
        self.config = config
        self._session = session

    def forward(self, **encoded: Tensor) -> Read:
        """Read n pairs of tokens, as the tokenizer gives them."""
        return Read(run(self._session, encoded))


class _States(nn.Module):
    """The transformer as a function of tensors alone."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        states: Tensor = self.backbone(**inputs).last_hidden_state
        return states


def graph_path(folder: Path, precision: str) -> Path:
    """Where a cross-encoder's folder has its graph of that precision, if it has one."""
    return folder / f"transformer.{precision}.onnx"


def export_cross_encoder(folder: Path) -> None:
    """Write the transformer of a trained cross-encoder as a graph beside its weights, in float32.

    Args:
        folder: of a cross-encoder.

    Raises:
        UsageError: it holds no cross-encoder.
    """
    model = CrossEncoder.load(folder)
    example = dict(model.tokenizer(*EXAMPLE, padding=True, return_tensors="pt"))
    dynamic = dict.fromkeys(example, (0, 1))
    write_graph(_States(model.backbone).eval(), example, dynamic, graph_path(folder, FLOAT32))


def quantise_cross_encoder(folder: Path) -> None:
    """Write the graph that `export_cross_encoder` wrote again, in int8."""
    write_int8(graph_path(folder, FLOAT32), graph_path(folder, INT8))


def load_served(folder: Path) -> CrossEncoder:
    """A trained cross-encoder, run by the coarsest graph of its folder, or by torch where there is none.

    Raises:
        UsageError: the folder holds no cross-encoder.
    """
    for precision in (INT8, FLOAT32):
        if graph_path(folder, precision).is_file():
            return load_exported(folder, precision)
    return CrossEncoder.load(folder)


def load_exported(folder: Path, precision: str) -> CrossEncoder:
    """A trained cross-encoder that reads pairs with a graph of its folder.

    Args:
        folder: of a cross-encoder, with the graph.
        precision: of the graph, `FLOAT32` or `INT8`.

    Raises:
        UsageError: the folder holds no cross-encoder, or no such graph.
    """
    path = graph_path(folder, precision)
    if not path.is_file():
        raise UsageError(f"{folder} holds no {path.name}; `towers.ranking.onnx` writes it")
    from transformers import AutoConfig

    return CrossEncoder.load(folder, OnnxBackbone(open_session(path), AutoConfig.from_pretrained(folder)))
