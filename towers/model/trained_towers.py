"""A training run on disk: the trained towers, written by `python -m towers.train`, read by evaluation and the index."""

from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor

from data_prep.columns import Columns, Split
from data_prep.dataset import Dataset
from data_prep.errors import UsageError
from data_prep.files import fingerprint, read_json, sha256, write_json
from towers.events import TrainingData
from towers.events.history import Sequences
from towers.events.interactions import Interactions
from towers.model.item_encoder import encode_items, texts_of
from towers.model.run_record import RunRecord
from towers.modules.item_features import FeatureSettings
from towers.modules.item_tower import BY_ID, NO_ID, ItemTower, restore_item_tower
from towers.modules.tokens import EventTypes
from towers.modules.user_encoder import FORMAT_VERSION, UserEncoder, part, query_side, vocabulary_of
from towers.modules.user_tower import UserTower, UserTowerSettings
from towers.text.encoder import TextEncoder, open_text_encoder
from towers.text.query_text import QueryText
from towers.text.vector_cache import VectorCache

TEXT_ENCODER = "text_encoder"
BLOCKS = "blocks"
MODEL, CONFIG, ITEM_IDS = "model.safetensors", "config.json", "item_ids.parquet"
METRIC = "inner_product"

ITEMS_AT_ONCE = 8192
"""Items encoded at a time: bounds what their texts, words and features take in memory."""


@dataclass(frozen=True)
class TrainedTowers:
    """Both towers with their weights, and where they came from.

    Attributes:
        items, users: the towers.
        text_encoder: the encoder behind the item tower.
        event_types: the model's event codes.
        queries: how search texts are read.
        embedded: item_id -> row of the id embedding; items that training never saw are missing.
        temperature: the softmax temperature training ended with; scores divided by it are logits.
        exclude_seen: whether the model was trained and evaluated on items not in the history.
        dataset_fingerprint: of the data it was trained on.
        cache: folder of the text vector cache.
        run: the run folder; None before it is saved.
        fingerprint: of weights and configuration; "" before it is saved.
    """

    items: ItemTower
    users: UserTower
    text_encoder: TextEncoder
    event_types: EventTypes
    queries: QueryText
    embedded: pd.Index
    temperature: float
    exclude_seen: bool
    dataset_fingerprint: str
    cache: Path
    run: Path | None = None
    fingerprint: str = ""

    @property
    def dim(self) -> int:
        """Length of item and user vectors."""
        return self.users.dim

    @property
    def feature_settings(self) -> list[FeatureSettings]:
        """The item tower's features but for their weights."""
        return self.items.features.settings if self.items.features is not None else []

    @cached_property
    def sentences(self) -> VectorCache:
        """Raw sentence vectors of texts."""
        return VectorCache(self.cache, self.text_encoder)

    def item_vectors(self, items: pd.DataFrame) -> NDArray[np.float32]:
        """Vectors of items, known to training or not, in the table's order.

        Args:
            items: canonical items table, N rows.

        Returns:
            [N, dim].

        Raises:
            UsageError: a column that the model reads is not in the table.
        """
        vectors = np.empty((len(items), self.dim), np.float32)
        for start in range(0, len(items), ITEMS_AT_ONCE):
            some = items.iloc[start : start + ITEMS_AT_ONCE]
            vectors[start : start + len(some)] = self.vectors_of(some, self.sentences.encode(texts_of(some)))
        return vectors

    def vectors_of(self, items: pd.DataFrame, sentences: NDArray[np.float32]) -> NDArray[np.float32]:
        """Vectors of items whose sentence vectors are known, all in memory at once.

        Args:
            items: canonical items table, n rows.
            sentences: raw sentence vectors of their texts, [n, text_dim].

        Returns:
            [n, dim].

        Raises:
            UsageError: a column that the model reads is not in the table.
        """
        return encode_items(self.items, items, sentences, self._id_rows(items))

    @torch.inference_mode()
    def history_vectors(self, items: pd.DataFrame, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Vectors of items as parts of a history, [N, dim]; the item vectors where the model makes no difference.

        Args:
            items: canonical items table, N rows.
            vectors: `item_vectors(items)`, [N, dim].
        """
        if self.items.history is None:
            return vectors
        self.items.eval()
        known, steps = self._id_rows(items), np.empty((len(items), self.dim), np.float32)
        for rows in torch.arange(len(items)).split(ITEMS_AT_ONCE):
            steps[rows] = self.items.in_history(torch.from_numpy(vectors[rows.numpy()]), known[rows]).numpy()
        return steps

    def _id_rows(self, items: pd.DataFrame) -> Tensor:
        """Rows of the id embedding, [N]; NO_ID for items that training never saw."""
        return torch.from_numpy(self.embedded.get_indexer(pd.Index(items[Columns.ITEM_ID])).astype(np.int64))

    def item_tower_of(self, items: pd.DataFrame) -> ItemTower:
        """The item tower with the rows of a catalogue for id rows: what was learnt of each, zeros where nothing was.

        Args:
            items: canonical items table, N rows.
        """
        id_rows = self._id_rows(items)
        known = (id_rows != NO_ID).float()
        state = self.items.state_dict()
        for name in state.keys() & BY_ID:
            learnt = state[name]
            if not len(learnt):
                learnt = learnt.new_zeros(1, *learnt.shape[1:])  # nothing was learnt: there are no known rows either
            state[name] = learnt[id_rows.clamp(min=0)] * known.view(-1, *[1] * (learnt.ndim - 1))
        return restore_item_tower(
            self.items.project.in_features, self.dim, self.feature_settings, vocabulary_of(self.items), state
        )

    def user_encoder(self, table: NDArray[np.float32]) -> UserEncoder:
        """Encoder of users over a table of `history_vectors`, [N, dim]."""
        query_tower = query_side(self.items.project.in_features, self.users, vocabulary_of(self.items))
        fresh, trained = query_tower.state_dict(), self.items.state_dict()
        query_tower.load_state_dict({k: trained[k] if k != "priors" else fresh[k] for k in fresh})
        return UserEncoder(self.users, query_tower, self.text_encoder, self.event_types, table, self.queries)

    def seen(self, sequences: Sequences, items: pd.DataFrame, until: Split | None) -> TrainingData:
        """The very events the towers learnt from, for whatever else is fitted to the same.

        Args:
            sequences: the log.
            items: canonical items table.
            until: the first split whose events the towers have not seen; None for all events there are.
        """
        return self.fitted_beside(Interactions.of(sequences, len(items), until), items)

    def fitted_beside(self, interactions: Interactions, items: pd.DataFrame) -> TrainingData:
        """Data for whatever is fitted beside the towers to some interactions with these items."""
        return TrainingData(interactions, items, self.sentences.encode, self.exclude_seen)

    def save(self, run: Path, record: RunRecord) -> "TrainedTowers":
        """Write the run; `run.json` comes last, so that a run without it is not whole.

        A text encoder that lies elsewhere stays there, and the run notes where; a tuned one is in the run already.

        Args:
            run: folder of the run, in which what else belongs to the model lies already.
            record: of the training; it gets the fingerprints of what is written here.
        """
        run.mkdir(parents=True, exist_ok=True)
        state = {f"items.{k}": v for k, v in self.items.state_dict().items()}
        state |= {f"users.{k}": v for k, v in self.users.state_dict().items()}
        save_file({k: v.contiguous() for k, v in state.items()}, run / MODEL)
        pd.DataFrame({Columns.ITEM_ID: self.embedded}).to_parquet(run / ITEM_IDS)
        inside = self.text_encoder.folder.absolute() == (run / TEXT_ENCODER).absolute()
        write_json(
            run / CONFIG,
            {
                "format": FORMAT_VERSION,
                "user_tower": asdict(self.users.settings),
                "text_dim": self.items.project.in_features,
                "words": vocabulary_of(self.items),
                "item_features": [asdict(feature) for feature in self.feature_settings],
                "event_types": self.event_types.names[:-1],
                "queries": self.queries.settings,
                "temperature": self.temperature,
                "exclude_seen": self.exclude_seen,
                "cache": str(self.cache.absolute()),
                "text_encoder": {
                    "kind": self.text_encoder.kind,
                    "folder": TEXT_ENCODER if inside else str(self.text_encoder.folder.absolute()),
                    "max_tokens": self.text_encoder.max_tokens,
                },
            },
        )
        encoder = self.text_encoder.fingerprint()
        files = _fingerprint(run, encoder)
        record.of_files(files, encoder).write(run)
        return replace(self, run=run, fingerprint=files)

    @classmethod
    def open(cls, run: Path) -> "TrainedTowers":
        """Load a run.

        Raises:
            UsageError: the folder is no whole run, was changed since, or its text encoder is gone or another one.
        """
        run = Path(run)
        record, config = RunRecord.read(run), read_json(run / CONFIG)
        if config["format"] != FORMAT_VERSION:
            raise UsageError(
                f"run: {run} has format {config['format']}, this version reads {FORMAT_VERSION}; train anew"
            )
        encoder = open_encoder(run)
        text_encoder = encoder.fingerprint()
        if text_encoder != record.text_encoder_fingerprint:
            raise UsageError(
                f"run: {run} was trained with text encoder {record.text_encoder_fingerprint}, "
                f"{encoder.folder} holds {text_encoder}; restore that encoder or train anew"
            )
        files = _fingerprint(run, text_encoder)
        if files != record.fingerprint:
            raise UsageError(f"run: {run} has changed since training: expected {record.fingerprint}, holds {files}")
        embedded = pd.Index(pd.read_parquet(run / ITEM_IDS)[Columns.ITEM_ID])
        state = load_file(run / MODEL)
        users = UserTower(UserTowerSettings(**config["user_tower"]))
        users.load_state_dict(part(state, "users."))
        features = [FeatureSettings(**feature) for feature in config["item_features"]]
        items = restore_item_tower(config["text_dim"], users.dim, features, config["words"], part(state, "items."))
        return cls(
            items=items,
            users=users.eval(),
            text_encoder=encoder.eval(),
            event_types=EventTypes(config["event_types"]),
            queries=QueryText.load(config["queries"]),
            embedded=embedded,
            temperature=config["temperature"],
            exclude_seen=config["exclude_seen"],
            dataset_fingerprint=record.dataset_fingerprint,
            cache=Path(config["cache"]),
            run=run,
            fingerprint=files,
        )


def dataset_of(run: Path, data: Path | None) -> Dataset:
    """The dataset at `data`, or the one the run was trained on if that is None.

    Raises:
        UsageError: the run is not finished, or the dataset is not there, or not the one the run was trained on.
    """
    return RunRecord.read(run).open_data(data)


def open_encoder(run: Path) -> TextEncoder:
    """The text encoder of a run, the tuned one within it or the one it refers to."""
    config = read_json(run / CONFIG)["text_encoder"]
    return open_text_encoder(config["kind"], run / config["folder"], config["max_tokens"])


def _fingerprint(run: Path, encoder: str) -> str:
    """Of a run's model: its text encoder's fingerprint and every file of towers and blocks."""
    blocks = sorted(path for path in (run / BLOCKS).glob("*") if path.is_file())
    return fingerprint(encoder, *(sha256(path) for path in (run / MODEL, run / CONFIG, run / ITEM_IDS, *blocks)))
