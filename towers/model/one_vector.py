"""What a run holds and an index is built from: one vector for an item, one for a user, made of named blocks.

item = [tower ; √w·block ; …], user = [tower ; √w·block ; …]: the inner product is the towers' score plus w times each
block's. The towers weigh 1; the blocks' weights were chosen on validation and stand in the run.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from data_prep.columns import Columns
from data_prep.files import read_json, write_json
from towers.blocks import KINDS, BlockProfile, FittedBlock, HistoryWeights
from towers.model.item_encoder import ItemEncoder, texts_of
from towers.model.run_record import RunRecord
from towers.model.trained_towers import BLOCKS, ITEMS_AT_ONCE, METRIC, TrainedTowers
from towers.model.truncation import truncate
from towers.model.user_side import ModelEncoder


@dataclass(frozen=True)
class WeightedBlock:
    """A block and what it weighs beside the towers.

    Attributes:
        block: the block.
        weight: factor of its inner product; the towers' is 1.
    """

    block: FittedBlock
    weight: float

    @property
    def scale(self) -> float:
        """Factor of its vectors on either side."""
        return float(self.weight**0.5)


@dataclass(frozen=True)
class OneVectorModel:
    """Towers and blocks as one vector.

    Attributes:
        towers: the trained towers.
        blocks: what stands beside them, in this order.
        shortened: length that the towers' part is cut to (see `truncate`); None for all of it.
    """

    towers: TrainedTowers
    blocks: Sequence[WeightedBlock]
    shortened: int | None = None

    metric = METRIC

    @property
    def dim(self) -> int:
        """Length of item and user vectors."""
        return self.tower_dim + sum(self._block_dims())

    @property
    def tower_dim(self) -> int:
        """Length of the towers' part."""
        return self.shortened or self.towers.dim

    @property
    def exclude_seen(self) -> bool:
        """Whether the model was trained and judged on items not in the history."""
        return self.towers.exclude_seen

    @property
    def fingerprint(self) -> str:
        """Of the run it was saved to; "" before that."""
        return self.towers.fingerprint

    def only(self, names: Sequence[str]) -> "OneVectorModel":
        """The same towers with some of the blocks: what an ablation looks at."""
        return replace(self, blocks=[part for part in self.blocks if part.block.name in names])

    def cut(self, dim: int) -> "OneVectorModel":
        """The same model with a shorter towers' part, for a model that was trained to be cut (`loss.dims`)."""
        return replace(self, shortened=dim)

    def item_vectors(self, items: pd.DataFrame) -> NDArray[np.float32]:
        """Vectors of items, known to training or not, in the table's order.

        Args:
            items: canonical items table, N rows.

        Returns:
            [N, dim].
        """
        vectors = np.empty((len(items), self.dim), np.float32)
        for start in range(0, len(items), ITEMS_AT_ONCE):
            some = items.iloc[start : start + ITEMS_AT_ONCE]
            vectors[start : start + len(some)] = self._vectors_of(some)
        return vectors

    def _vectors_of(self, items: pd.DataFrame) -> NDArray[np.float32]:
        sentences = self.towers.sentences.encode(texts_of(items))
        towers = torch.from_numpy(self.towers.vectors_of(items, sentences))
        parts = [truncate(towers, self.tower_dim, self.towers.users.prior).numpy()]
        parts += [part.scale * part.block.item_vectors(items, sentences) for part in self.blocks]
        return np.concatenate(parts, axis=1)

    def user_encoder(self, items: pd.DataFrame, vectors: NDArray[np.float32]) -> ModelEncoder:
        """Encoder of users over a catalogue.

        Args:
            items: canonical items table, N rows.
            vectors: `item_vectors(items)`, [N, dim].
        """
        start = self.tower_dim
        # Histories are read at full length, whatever is searched.
        own = vectors[:, :start] if start == self.towers.dim else self.towers.item_vectors(items)
        table = self.towers.history_vectors(items, own)
        encoder = self.towers.user_encoder(table)
        profiles = {}
        for part, dim in zip(self.blocks, self._block_dims(), strict=True):
            history = part.block.history_vectors(items)
            profiles[part.block.name] = BlockProfile(
                table=vectors[:, start : start + dim] if history is None else part.scale * history,
                of_items=history is None,
                reading=part.block.reading,
                start=part.scale * part.block.start,
                whitening=part.block.whitening,
                scale=part.scale,
            )
            start += dim
        of_items = table is own and start == self.towers.dim
        return ModelEncoder(encoder, profiles, of_items, self.tower_dim)

    def item_encoder(self, items: pd.DataFrame, vectors: NDArray[np.float32], users: ModelEncoder) -> ItemEncoder:
        """Encoder of items beside a catalogue.

        Args:
            items: canonical items table, N rows.
            vectors: `item_vectors(items)`, [N, dim].
            users: `user_encoder(items, vectors)`.
        """
        return ItemEncoder(self.towers.item_tower_of(items), users, vectors)

    def _block_dims(self) -> list[int]:
        return [part.block.dim for part in self.blocks]

    def save(self, run: Path, record: RunRecord) -> "OneVectorModel":
        """Write the run; see `TrainedTowers.save`, which comes last."""
        folder = run / BLOCKS
        folder.mkdir(parents=True, exist_ok=True)
        settings = {}
        for part in self.blocks:
            block = part.block
            settings[block.name] = {"weight": part.weight, "reading": asdict(block.reading)}
            save_file({k: v.contiguous() for k, v in block.state().items()}, folder / f"{block.name}.safetensors")
            if block.item_ids is not None:
                frame = pd.DataFrame({Columns.ITEM_ID: block.item_ids})
                frame.to_parquet(folder / f"{block.name}.parquet")
        write_json(folder / "blocks.json", settings)
        towers = self.towers.save(run, record)
        return replace(self, towers=towers)

    @classmethod
    def open(cls, run: Path) -> "OneVectorModel":
        """Load a run.

        Raises:
            UsageError: as `TrainedTowers.open`, which checks the blocks' files too.
        """
        towers = TrainedTowers.open(run)
        folder = Path(run) / BLOCKS
        blocks = []
        for name, settings in read_json(folder / "blocks.json").items():
            ids = folder / f"{name}.parquet"
            item_ids = pd.Index(pd.read_parquet(ids)[Columns.ITEM_ID]) if ids.exists() else None
            reading = HistoryWeights(**settings["reading"])
            block = KINDS[name].restore(name, reading, item_ids, load_file(folder / f"{name}.safetensors"))
            blocks.append(WeightedBlock(block, settings["weight"]))
        return cls(towers, blocks)
