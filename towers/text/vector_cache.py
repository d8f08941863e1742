"""Frozen text features: encode each text once, keep the vectors on disk, whiten them.

Raw sentence vectors crowd into a narrow cone; centring and whitening them doubled what a frozen encoder is worth on
Amazon Beauty (docs/models.md). Source of the transform: Su et al., "Whitening Sentence Representations", 2021.
"""

import hashlib
import logging
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from data_prep.progress import track
from towers.text.encoder import TextEncoder, length_batches

log = logging.getLogger(__name__)

BATCH = 256
SHARD = 8192  # texts between two writes to disk: an interrupted encoding loses as many at most
KEY = np.dtype("S16")


class VectorCache:
    """Sentence vectors on disk, keyed by encoder and text.

    Vectors live in append-only shards (`{encoder fingerprint}/{hash}.safetensors`), so an interrupted run keeps what it
    had encoded, and a changed catalogue encodes only what is new. The shards are memory-mapped: a cache holds its keys
    in memory, 32 bytes a text.

    Args:
        folder: where the shards are kept.
        encoder: the encoder that fills the cache; with another one the cache starts empty.
    """

    def __init__(self, folder: Path, encoder: TextEncoder) -> None:
        self.folder = folder / encoder.fingerprint()
        self.encoder = encoder
        self._shards: dict[Path, Tensor] = {}  # their vectors, [n, dim] each, mapped
        self._keys = np.empty(0, KEY)  # of all shards, sorted
        self._homes = np.empty((0, 2), np.int64)  # shard and row of each key

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of `texts`, n texts -> [n, dim], encoding only those not seen before."""
        keys = _keys_of(texts)
        if (self._find(keys) < 0).any():  # not known yet; another process may have encoded it since
            self._map_new_shards()
        missing = np.flatnonzero(self._find(keys) < 0)
        if len(missing):
            _, first = np.unique(keys[missing], return_index=True)
            self._encode_new([texts[i] for i in missing[np.sort(first)]])
            self._map_new_shards()
        return self._gather(self._find(keys))

    def _find(self, keys: NDArray[np.bytes_]) -> NDArray[np.int64]:
        """Positions of keys among the cache's, [n]; -1 for a key it does not have."""
        if not len(self._keys):
            return np.full(len(keys), -1)
        positions = np.searchsorted(self._keys, keys).clip(max=len(self._keys) - 1)
        return np.where(self._keys[positions] == keys, positions, -1)

    def _gather(self, positions: NDArray[np.int64]) -> NDArray[np.float32]:
        vectors = np.empty((len(positions), self.encoder.dim), np.float32)
        homes = self._homes[positions]  # [n, 2]
        for number, shard in enumerate(self._shards.values()):
            here = np.flatnonzero(homes[:, 0] == number)
            if len(here):
                vectors[here] = shard[torch.from_numpy(homes[here, 1])].numpy()
        return vectors

    def _encode_new(self, texts: Sequence[str]) -> None:
        done: list[tuple[str, NDArray[np.float32]]] = []
        batches = list(length_batches(texts, BATCH))
        for batch in track(batches, "encoding texts") if len(batches) > 4 else batches:
            chosen = [texts[i] for i in batch]
            done += zip(chosen, self.encoder.encode(chosen), strict=True)
            if len(done) >= SHARD:
                self._write(done)
                done = []
        self._write(done)

    def _map_new_shards(self) -> None:
        keys, homes = [self._keys], [self._homes]
        for path in sorted(set(self.folder.glob("*.safetensors")) - self._shards.keys()):
            try:
                shard = load_file(path)
            except SafetensorError as error:
                log.warning("%s is damaged (%s): its texts are encoded again", path, error)
                path.unlink()
                continue
            keys.append(shard["keys"].numpy().view(KEY).ravel())
            rows = np.arange(len(shard["keys"]))
            homes.append(np.stack([np.full_like(rows, len(self._shards)), rows], axis=1))
            self._shards[path] = shard["vectors"]
        if len(keys) > 1:
            self._keys, first = np.unique(np.concatenate(keys), return_index=True)
            self._homes = np.concatenate(homes)[first]

    def _write(self, rows: Sequence[tuple[str, NDArray[np.float32]]]) -> None:
        if not rows:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        keys = _keys_of([text for text, _ in rows]).view(np.uint8).reshape(len(rows), -1).copy()
        vectors = np.stack([vector for _, vector in rows]).astype(np.float32)
        name = hashlib.sha256(keys.tobytes()).hexdigest()[:16]
        partial = self.folder / f".{name}.{os.getpid()}"
        save_file({"keys": torch.from_numpy(keys), "vectors": torch.from_numpy(vectors)}, partial)
        partial.replace(self.folder / f"{name}.safetensors")


def _keys_of(texts: Sequence[str]) -> NDArray[np.bytes_]:
    """A hash for each text, [n]."""
    digests = [hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest() for text in texts]
    return np.frombuffer(b"".join(digests), KEY)
