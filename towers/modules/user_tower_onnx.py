"""The user tower as an ONNX graph, for serving."""

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from towers.modules.onnx_runtime import open_session, run, write_graph
from towers.modules.tokens import SequenceTokens
from towers.modules.user_tower import UserTower

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

GRAPH = "user_tower.onnx"
"""Where a saved encoder's folder has the graph, if it has one."""


class OnnxUserTower:
    """The part of a `UserTower` that serving needs, computed by its graph.

    Args:
        session: the graph.
    """

    def __init__(self, session: "InferenceSession") -> None:
        self._session = session

    @classmethod
    def load(cls, folder: Path) -> "OnnxUserTower":
        """Read what `export_user_tower` wrote."""
        return cls(open_session(folder / GRAPH))

    def last(self, vectors: Tensor, tokens: SequenceTokens) -> Tensor:
        """As `UserTower.last`."""
        return run(self._session, _inputs(vectors, tokens))


class _Last(nn.Module):
    """A user tower's `last` as a function of tensors alone."""

    def __init__(self, tower: UserTower) -> None:
        super().__init__()
        self.tower = tower

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        vectors, events, gaps, lengths = (inputs[name] for name in ("vectors", "events", "gaps", "lengths"))
        return self.tower.last(vectors, SequenceTokens(events, events, gaps, lengths, inputs["attributes"]))


def export_user_tower(tower: UserTower, folder: Path) -> None:
    """Write a tower as a graph into the folder of its saved encoder."""
    length = 3
    example = SequenceTokens(
        rows=torch.zeros(2, length, dtype=torch.int64),
        events=torch.zeros(2, length, dtype=torch.int64),
        gaps=torch.zeros(2, length, dtype=torch.int64),
        lengths=torch.tensor([length, length - 1]),
        attributes=tower.attributes.codes([{}, {}]),
    )
    inputs = _inputs(torch.ones(2, length, tower.dim), example)
    dynamic = dict.fromkeys(("vectors", "events", "gaps"), (0, 1)) | {"lengths": (0,), "attributes": (0,)}
    write_graph(_Last(tower).eval(), inputs, dynamic, folder / GRAPH)


def _inputs(vectors: Tensor, tokens: SequenceTokens) -> dict[str, Tensor]:
    assert tokens.attributes is not None  # as `tokenize` makes them
    return {
        "vectors": vectors,
        "events": tokens.events,
        "gaps": tokens.gaps,
        "lengths": tokens.lengths,
        "attributes": tokens.attributes,
    }
