"""The user's side of the one vector: the user tower and the blocks' profiles, side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from torch import from_numpy

from data_prep.errors import UsageError
from data_prep.files import read_json, write_json
from data_prep.grown_table import GrownTable
from data_prep.vector_file import map_vectors, save_vectors
from towers.blocks import BlockProfile, HistoryWeights
from towers.events.history import History
from towers.model.truncation import truncate
from towers.modules.user_encoder import UserEncoder
from towers.text.whitening import Whitening

PARTS = "parts.json"
"""File of the parts of the vector: the length of the towers' part, and the blocks."""

HISTORY = "history.npy"
"""Vectors of items as parts of a history, for the user tower to read; absent where it reads the item vectors."""


@dataclass(frozen=True)
class AddedItems:
    """Items behind those of a catalogue, n of them.

    Attributes:
        vectors: of the items, [n, dim].
        history: vectors of them as parts of a history, for the user tower to read, [n, towers' dim].
        blocks: the same for the blocks' profiles, block name -> [n, d].
    """

    vectors: NDArray[np.float32]
    history: NDArray[np.float32]
    blocks: Mapping[str, NDArray[np.float32]]


class ModelEncoder:
    """Encodes users over a fixed table of item vectors.

    Args:
        towers: encodes the towers' part.
        profiles: encode the blocks' parts, in the order in which they follow it, by block name.
        of_items: whether the towers' table is a slice of the item vectors or one of its own.
        tower_dim: length that the towers' part is cut to (see `truncate`).
    """

    def __init__(self, towers: UserEncoder, profiles: dict[str, BlockProfile], of_items: bool, tower_dim: int) -> None:
        self.tower_dim = tower_dim
        self.of_items = of_items
        self.towers = towers
        self.profiles = profiles
        self.max_history = max([towers.max_history, *(part.reading.max_history for part in profiles.values())])

    @property
    def dim(self) -> int:
        """Length of a user vector."""
        return self.tower_dim + sum(int(profile.table.shape[1]) for profile in self.profiles.values())

    def encode(self, histories: Sequence[History], queries: Sequence[str]) -> NDArray[np.float32]:
        """User vectors of B requests.

        Args:
            histories: B histories whose rows point into the table; the newest `max_history` events are read.
            queries: B search texts, "" for none.

        Returns:
            [B, dim], or [B, interests, dim] of a model with several.
        """
        whole = from_numpy(self.towers.encode(histories, queries))  # [B, (interests,) towers' dim]
        users: NDArray[np.float32] = truncate(whole, self.tower_dim, self.towers.users.prior).numpy()
        if not self.profiles:
            return users
        sentences = [self.towers.sentence(query) for query in queries]
        parts = [profile.encode(histories, sentences) for profile in self.profiles.values()]  # [B, d] each
        blocks = np.concatenate(parts, axis=1)
        if users.ndim == 3:  # every interest has the same blocks
            blocks = np.repeat(blocks[:, np.newaxis], users.shape[1], axis=1)
        return np.concatenate([users, blocks], axis=-1)

    def grown(self, added: AddedItems) -> "ModelEncoder":
        """The same encoder over more items, which take the rows behind the others; this one stays as it is."""
        profiles = {
            name: replace(profile, table=GrownTable(profile.table, added.blocks[name]))
            for name, profile in self.profiles.items()
        }
        return ModelEncoder(self.towers.grown(added.history), profiles, self.of_items, self.tower_dim)

    def save(self, folder: Path) -> None:
        """Write all but the table of item vectors into `folder`."""
        self.towers.save(folder)
        if not self.of_items:
            save_vectors(folder / HISTORY, np.ascontiguousarray(_plain(self.towers.vectors)))
        write_json(
            folder / PARTS,
            {
                "tower_dim": self.tower_dim,
                "blocks": {
                    name: {"dim": profile.table.shape[1], "reading": asdict(profile.reading), "scale": profile.scale}
                    for name, profile in self.profiles.items()
                },
            },
        )
        for name, profile in self.profiles.items():
            state = {"start": profile.start}
            if not profile.of_items:
                state["history"] = np.ascontiguousarray(_plain(profile.table))
            if profile.whitening is not None:
                state |= {key: value.numpy() for key, value in profile.whitening.state_dict().items()}
            save_file(state, folder / f"{name}.safetensors")

    @classmethod
    def load(cls, folder: Path, vectors: NDArray[np.float32]) -> "ModelEncoder":
        """Read what `save` wrote.

        Args:
            folder: the saved encoder.
            vectors: item vectors made by the same model, [N, dim].

        Raises:
            UsageError: the folder is of another format, or the dimensions differ.
        """
        settings = read_json(folder / PARTS)
        dim, blocks = settings["tower_dim"], settings["blocks"]
        expected = dim + sum(block["dim"] for block in blocks.values())
        if vectors.shape[1] != expected:
            raise UsageError(f"{folder}: expected item vectors of dimension {expected}, got {vectors.shape[1]}")
        of_items = not (folder / HISTORY).exists()
        towers = UserEncoder.load(folder, vectors[:, :dim] if of_items else map_vectors(folder / HISTORY))
        profiles, start = {}, dim
        for name, block in blocks.items():
            state = load_file(folder / f"{name}.safetensors")
            history = state.get("history")
            of_vectors = vectors[:, start : start + block["dim"]]
            profiles[name] = BlockProfile(
                table=of_vectors if history is None else history,
                of_items=history is None,
                reading=HistoryWeights(**block["reading"]),
                start=state["start"],
                whitening=_whitening(state) if "mean" in state else None,
                scale=block["scale"],
            )
            start += block["dim"]
        return cls(towers, profiles, of_items, dim)


def _whitening(state: dict[str, NDArray[np.float32]]) -> Whitening:
    whitening = Whitening(len(state["mean"]))
    whitening.load_state_dict({key: from_numpy(state[key]) for key in ("mean", "transform")})
    return whitening


def _plain(table: NDArray[np.float32] | GrownTable[np.float32]) -> NDArray[np.float32]:
    if isinstance(table, GrownTable):
        raise ValueError("an encoder over a grown catalogue is not saved; save the one it grew from")
    return table
