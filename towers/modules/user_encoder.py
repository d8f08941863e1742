"""From a history and a query to a user vector, outside training: what evaluation and serving call."""

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor

from data_prep.errors import UsageError
from data_prep.files import read_json, write_json
from data_prep.grown_table import GrownTable
from towers.events.history import History
from towers.modules.item_tower import NO_ID, ItemTower, ItemTowerSettings, text_width
from towers.modules.tokens import PADDING, EventTypes, SequenceTokens, tokenize
from towers.modules.user_tower import UserTower, UserTowerSettings
from towers.modules.user_tower_onnx import GRAPH, OnnxUserTower
from towers.modules.word_embeddings import WordEmbeddings
from towers.text.encoder import TextEncoder, load_text_encoder
from towers.text.query_text import QueryText

FORMAT_VERSION = 4
CACHED_QUERIES = 4096


class UserEncoder:
    """Encodes users over a fixed table of item vectors.

    Args:
        users: the user tower.
        query_tower: the item tower's text side (no id embeddings), which encodes queries.
        text_encoder: the item tower's text encoder.
        event_types: the model's event codes.
        vectors: item vectors the histories' rows point into, [N, dim].
        queries: how search texts are read.

    Attributes:
        last: computes `UserTower.last`: the tower, or its graph where there is one.
    """

    def __init__(
        self,
        users: UserTower,
        query_tower: ItemTower,
        text_encoder: TextEncoder,
        event_types: EventTypes,
        vectors: NDArray[np.float32],
        queries: QueryText,
    ) -> None:
        self.users = users.eval()
        self.last: Callable[[Tensor, SequenceTokens], Tensor] = users.last
        self.query_tower = query_tower.eval()
        self.text_encoder = text_encoder.eval()
        self.event_types = event_types
        self.vectors: NDArray[np.float32] | GrownTable[np.float32] = vectors
        self.queries = queries
        self.max_history = users.max_history
        self._sentence = _remembering(self.text_encoder)

    @property
    def dim(self) -> int:
        """Length of a user vector."""
        return int(self.vectors.shape[1])

    @torch.inference_mode()
    def encode(self, histories: Sequence[History], queries: Sequence[str]) -> NDArray[np.float32]:
        """User vectors of B requests.

        Args:
            histories: B histories whose rows point into the table; the newest `max_history` events are read.
            queries: B search texts, "" for none.

        Returns:
            [B, dim], or [B, interests, dim] of a model with several; neither history nor query gives the vector
            learnt for a user without history.
        """
        queries = [self.queries(query) for query in queries]
        queried = [i for i, query in enumerate(queries) if query]
        query_rows = [PADDING] * len(queries)
        for number, i in enumerate(queried):
            query_rows[i] = len(self.vectors) + number
        attributes = self.users.attributes
        tokens = tokenize(histories, query_rows, self.event_types, self.max_history, attributes)
        vectors = self._token_vectors(tokens.rows.numpy(), [queries[i] for i in queried])
        encoded: NDArray[np.float32] = self.last(vectors, tokens).numpy()
        return encoded

    def _token_vectors(self, rows: NDArray[np.int64], queries: Sequence[str]) -> Tensor:
        """Vectors of token rows [B, L] -> [B, L, dim], items from the table, queries encoded."""
        is_item = rows < len(self.vectors)
        gathered = self.vectors[np.where(is_item, rows, 0).ravel()].reshape(*rows.shape, self.dim)
        vectors = torch.from_numpy(gathered)  # a copy, not the table
        if queries:
            encoded = self._query_vectors(queries)
            vectors[torch.from_numpy(~is_item)] = encoded[rows[~is_item] - len(self.vectors)]
        return vectors

    def grown(self, added: NDArray[np.float32]) -> "UserEncoder":
        """The same encoder, its weights and remembered queries shared, over a table with rows [n, dim] added."""
        grown = copy(self)
        grown.vectors = GrownTable(self.vectors, added)
        return grown

    def sentence(self, query: str) -> NDArray[np.float32] | None:
        """Raw sentence vector of a query, [text_dim]; None for no query."""
        read = self.queries(query)
        return self._sentence(read) if read else None

    def _query_vectors(self, queries: Sequence[str]) -> Tensor:
        """Vectors of queries, n texts -> [n, dim]."""
        raw = torch.from_numpy(np.stack([self._sentence(query) for query in queries]))
        words = self.query_tower.words
        bags = words.read(queries) if words is not None else None
        no_ids = torch.full((len(queries),), NO_ID)
        vectors: Tensor = self.query_tower(self.query_tower.whitening(raw), no_ids, bags=bags)
        return vectors

    def save(self, folder: Path) -> None:
        """Write the encoder, without the table of item vectors, into `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        state = {f"users.{k}": v for k, v in self.users.state_dict().items()}
        state |= {f"items.{k}": v for k, v in self.query_tower.state_dict().items()}
        save_file({k: v.contiguous() for k, v in state.items()}, folder / "model.safetensors")
        self.text_encoder.save(folder / "text_encoder")
        write_json(
            folder / "config.json",
            {
                "format": FORMAT_VERSION,
                "user_tower": asdict(self.users.settings),
                "text_dim": self.query_tower.project.in_features,
                "event_types": self.event_types.names[:-1],
                "words": vocabulary_of(self.query_tower),
                "queries": self.queries.settings,
            },
        )

    @classmethod
    def load(cls, folder: Path, vectors: NDArray[np.float32]) -> "UserEncoder":
        """Read what `save` wrote; where its graph is beside it, that is what runs.

        Args:
            folder: the saved encoder.
            vectors: item vectors made by the same model, [N, dim].

        Raises:
            UsageError: the folder is of another format, or the dimensions differ.
        """
        config = read_json(folder / "config.json")
        if config["format"] != FORMAT_VERSION:
            raise UsageError(
                f"{folder}: format {config['format']}, this version reads {FORMAT_VERSION}; rebuild the bundle"
            )
        users = UserTower(UserTowerSettings(**config["user_tower"]))
        if vectors.shape[1] != users.dim:
            raise UsageError(f"{folder}: expected item vectors of dimension {users.dim}, got {vectors.shape[1]}")
        query_tower = query_side(config["text_dim"], users, config["words"])
        state = load_file(folder / "model.safetensors")
        users.load_state_dict(part(state, "users."))
        query_tower.load_state_dict(part(state, "items."))
        encoder = cls(
            users,
            query_tower,
            load_text_encoder(folder / "text_encoder"),
            EventTypes(config["event_types"]),
            vectors,
            QueryText.load(config["queries"]),
        )
        if (folder / GRAPH).is_file():
            encoder.last = OnnxUserTower.load(folder).last
        return encoder


def _remembering(text_encoder: TextEncoder) -> Callable[[str], NDArray[np.float32]]:
    """Sentence vectors of queries, the last ones remembered.

    Of the text encoder alone: an encoder that held on to itself would outlive its use, and its tables with it.
    """

    def encode(query: str) -> NDArray[np.float32]:
        vector: NDArray[np.float32] = text_encoder.encode([query])[0]
        return vector

    return lru_cache(CACHED_QUERIES)(encode)


def query_side(text_dim: int, users: UserTower, vocabulary: Sequence[str]) -> ItemTower:
    """An item tower for texts alone that goes with a user tower; its weights are still to be loaded."""
    words = WordEmbeddings(vocabulary, text_width(users.dim, users.prior)) if vocabulary else None
    settings = ItemTowerSettings(text_dim, users.dim, num_ids=0, num_priors=0 if users.prior else None)
    return ItemTower(settings, words=words)


def vocabulary_of(items: ItemTower) -> list[str]:
    """The words an item tower has vectors of."""
    return items.words.vocabulary if items.words is not None else []


def part(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The entries of a state dict under a prefix, without it."""
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
