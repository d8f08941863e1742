"""Frozen text features: encode each text once, keep the vectors on disk, whiten them.

Raw sentence vectors crowd into a narrow cone; centring and whitening them doubled what a frozen encoder is worth on
Amazon Beauty (docs/models.md). Source of the transform: Su et al., "Whitening Sentence Representations", 2021.
"""

import hashlib
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from torch import Tensor, nn

from data_prep.progress import track
from towers.text_encoder import TextEncoder, length_batches

log = logging.getLogger(__name__)

BATCH = 256
SHARD = 8192  # texts between two writes to disk: what an interrupted encoding loses at most


class VectorCache:
    """Sentence vectors on disk, keyed by encoder and text.

    Vectors live in append-only shards (`{encoder fingerprint}/{hash}.safetensors`), so an interrupted run keeps what it
    had encoded, and a changed catalogue encodes only what is new.

    Args:
        folder: where the shards are kept.
        encoder: the encoder that fills the cache; with another one the cache starts empty.
    """

    def __init__(self, folder: Path, encoder: TextEncoder) -> None:
        self.folder = folder / encoder.fingerprint()
        self.encoder = encoder

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of `texts`, n texts -> [n, dim], encoding only those not seen before."""
        keys = [_key(text) for text in texts]
        known = self._read()
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
        for key, vector in self._encode_new(missing):
            known[key] = vector
        if not keys:
            return np.zeros((0, self.encoder.dim), np.float32)
        return np.stack([known[key] for key in keys]).astype(np.float32)

    def _encode_new(self, missing: dict[bytes, str]) -> list[tuple[bytes, NDArray[np.float32]]]:
        keys, texts = list(missing), list(missing.values())
        done: list[tuple[bytes, NDArray[np.float32]]] = []
        written = 0
        batches = list(length_batches(texts, BATCH))
        for batch in track(batches, "encoding texts") if len(batches) > 4 else batches:
            vectors = self.encoder.encode([texts[i] for i in batch])
            done += [(keys[i], vector) for i, vector in zip(batch, vectors, strict=True)]
            if len(done) - written >= SHARD:
                self._write(done[written:])
                written = len(done)
        self._write(done[written:])
        return done

    def _read(self) -> dict[bytes, NDArray[np.float32]]:
        known: dict[bytes, NDArray[np.float32]] = {}
        for path in sorted(self.folder.glob("*.safetensors")):
            try:
                shard = load_file(path)
            except SafetensorError as error:
                log.warning("%s is damaged (%s): its texts are encoded again", path, error)
                path.unlink()
                continue
            known.update(zip((k.tobytes() for k in shard["keys"]), shard["vectors"], strict=True))
        return known

    def _write(self, rows: list[tuple[bytes, NDArray[np.float32]]]) -> None:
        if not rows:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        keys = np.stack([np.frombuffer(key, np.uint8) for key, _ in rows])
        vectors = np.stack([vector for _, vector in rows])
        name = hashlib.sha256(keys.tobytes()).hexdigest()[:16]
        partial = self.folder / f".{name}.{os.getpid()}"
        save_file({"keys": keys, "vectors": np.ascontiguousarray(vectors)}, partial)
        partial.replace(self.folder / f"{name}.safetensors")


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


class Whitening(nn.Module):
    """Centre and whiten: x -> (x - mean) W, each kept direction of unit variance, the one of most variance last.

    Args:
        dim: length of a vector, before and after.
    """

    # Directions with less than this share of the largest variance are noise or absent (fewer items than dimensions);
    # blowing them up to unit variance would drown an unseen query, so they are dropped.
    RELATIVE_FLOOR = 1e-5

    mean: Tensor
    transform: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("transform", torch.eye(dim))

    def fit(self, vectors: NDArray[np.float32]) -> Self:
        """Learn mean and transform from `vectors` [n, dim]; fewer than two vectors leave the identity."""
        if len(vectors) < 2:
            return self
        x = vectors.astype(np.float64)
        mean = x.mean(axis=0)
        values, directions = np.linalg.eigh(np.cov(x - mean, rowvar=False))
        kept = values > self.RELATIVE_FLOOR * values.max()
        scale = np.where(kept, 1 / np.sqrt(np.where(kept, values, 1.0)), 0.0)
        if kept.any():
            self.mean.copy_(torch.from_numpy(mean))
            self.transform.copy_(torch.from_numpy(directions * scale))
        return self

    def forward(self, vectors: Tensor) -> Tensor:
        return (vectors - self.mean) @ self.transform  # [n, dim]
