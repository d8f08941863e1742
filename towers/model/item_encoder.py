"""The items' side of the one vector, for items that came or changed after the catalogue was made."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor

from data_prep.columns import Columns
from data_prep.files import read_json, write_json
from data_prep.grown_table import GrownTable
from towers.blocks.text import unit_text
from towers.model.truncation import truncate
from towers.model.user_side import AddedItems, ModelEncoder
from towers.modules.item_features import FeatureSettings
from towers.modules.item_tower import BY_ID, ItemTower, restore_item_tower

WEIGHTS, CONFIG = "items.safetensors", "items.json"
FEATURES = "features."

NEW = -1
"""Row of an item that the catalogue does not have."""


def texts_of(items: pd.DataFrame) -> list[str]:
    """Text of each item, n texts."""
    return [str(text) for text in items[Columns.TEXT]]


@torch.inference_mode()
def encode_items(
    tower: ItemTower, items: pd.DataFrame, sentences: NDArray[np.float32], id_rows: Tensor
) -> NDArray[np.float32]:
    """Item vectors by an item tower.

    Args:
        tower: the tower.
        items: canonical items table, n rows.
        sentences: raw sentence vectors of their texts, [n, text_dim].
        id_rows: rows of the tower's weights by id, [n]; NO_ID for none.

    Returns:
        [n, dim].

    Raises:
        UsageError: a column that the tower reads is not in the table.
    """
    features = tower.features.read(items) if tower.features is not None else None
    bags = tower.words.read(texts_of(items)) if tower.words is not None else None
    vectors: Tensor = tower.eval()(tower.whitening(torch.from_numpy(sentences)), id_rows, features, bags)
    encoded: NDArray[np.float32] = vectors.numpy()
    return encoded


@dataclass(frozen=True)
class ItemEncoder:
    """Encodes items beside a catalogue, as the model that made its vectors would.

    What an item says by its text and columns is computed. What was learnt of it by its id (embedding, prior, factors,
    trend) is that of its row; an item without a row has none, until a model is trained that knows it.

    Attributes:
        tower: the item tower; its id rows are the catalogue's.
        users: the users' side over that catalogue.
        vectors: item vectors of the catalogue, [N, dim].
    """

    tower: ItemTower
    users: ModelEncoder
    vectors: NDArray[np.float32]

    @property
    def text_dim(self) -> int:
        """Length of a sentence vector."""
        return self.users.towers.text_encoder.dim

    def sentences(self, items: pd.DataFrame) -> NDArray[np.float32]:
        """Raw sentence vectors of items' texts, the costly part, [n, text_dim]."""
        return self.users.towers.text_encoder.encode(texts_of(items))

    def encode(self, items: pd.DataFrame, rows: NDArray[np.int64], sentences: NDArray[np.float32]) -> AddedItems:
        """Encode items that are new or changed.

        Args:
            items: canonical items table, n rows.
            rows: of each, its row in the catalogue, [n]; `NEW` for none.
            sentences: `sentences(items)`, [n, text_dim].

        Raises:
            UsageError: a column that the model reads is not in the table.
        """
        towers = self.users.towers
        whole = encode_items(self.tower, items, sentences, torch.from_numpy(rows))  # [n, towers' dim]
        with torch.inference_mode():
            steps = self.tower.in_history(torch.from_numpy(whole), torch.from_numpy(rows)).numpy()
        prior = towers.users.prior
        parts = [truncate(torch.from_numpy(whole), self.users.tower_dim, prior).numpy()]
        histories = {}
        start = self.users.tower_dim
        for name, profile in self.users.profiles.items():
            end = start + int(profile.table.shape[1])
            if profile.whitening is not None:
                parts.append(profile.scale * unit_text(profile.whitening, sentences))
            else:
                parts.append(_rows_of(self.vectors[:, start:end], rows))
            histories[name] = parts[-1] if profile.of_items else _rows_of(profile.table, rows)
            start = end
        return AddedItems(np.concatenate(parts, axis=1), steps, histories)

    def save(self, folder: Path) -> None:
        """Write into the folder of the users' side the weights and settings that it does not hold."""
        state = {k: v.contiguous() for k, v in self.tower.state_dict().items() if k in BY_ID or k.startswith(FEATURES)}
        save_file(state, folder / WEIGHTS)
        features = self.tower.features.settings if self.tower.features is not None else []
        write_json(folder / CONFIG, {"features": [asdict(feature) for feature in features]})

    @classmethod
    def load(cls, folder: Path, users: ModelEncoder, vectors: NDArray[np.float32]) -> "ItemEncoder":
        """Read what `save` wrote; weights by id stay memory-mapped.

        Args:
            folder: the saved encoders.
            users: the users' side, loaded from there.
            vectors: item vectors made by the same model, [N, dim].
        """
        towers = users.towers
        query_side = towers.query_tower
        state: Mapping[str, Tensor] = query_side.state_dict() | load_file(folder / WEIGHTS)
        vocabulary = query_side.words.vocabulary if query_side.words is not None else []
        settings = [FeatureSettings(**feature) for feature in read_json(folder / CONFIG)["features"]]
        tower = restore_item_tower(query_side.project.in_features, towers.users.dim, settings, vocabulary, state)
        return cls(tower, users, vectors)


def _rows_of(table: NDArray[np.float32] | GrownTable[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Rows of a table, [n, d]; zeros for `NEW` ones."""
    taken = np.zeros((len(rows), table.shape[1]), np.float32)
    known = rows != NEW
    taken[known] = table[rows[known]]
    return taken
