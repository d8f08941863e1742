"""The manifest of a bundle: its description, and size and hash of every file."""

import hashlib
import json
import os
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Self

from data_prep.command import UsageError
from data_prep.files import sha256, write_json
from index.bundle.change_log import Merged
from index.search.effort import SearchParameters

FORMAT = 6
"""Version of the bundle's layout; a loader refuses every other."""

MANIFEST = "manifest.json"
CHECKSUM = "manifest.json.sha256"
"""The manifest's own hash, as `sha256sum` writes and checks it."""

CODE = frozenset({".bin", ".ckpt", ".joblib", ".pickle", ".pkl", ".pt", ".pth", ".py", ".so"})
"""Endings of files that can run code when a library reads them; no bundle holds one."""


class BundleError(UsageError):
    """A bundle is missing, damaged, or does not belong to the things it is used with."""


@dataclass(frozen=True)
class FileRecord:
    """Size in bytes and hex SHA-256 of a bundle's file."""

    size: int
    sha256: str


@dataclass(frozen=True)
class IndexRecord:
    """The index of a bundle: FAISS's factory string, why that one, how it is searched, the recall it reached.

    Attributes:
        vectors: format of the stored vectors, which scores are exact for.
        recall: index recall at `parameters.k` on users' vectors, against exact search.
    """

    factory: str
    reason: str
    vectors: str
    parameters: SearchParameters
    recall: float


@dataclass(frozen=True)
class Manifest:
    """The contents of `manifest.json`.

    Attributes:
        format: version of the layout.
        version: the bundle's name, `20261122T141500-3f2a91bc`.
        created: UTC, ISO 8601.
        metric: the towers' metric, `inner_product`.
        dim: length of a vector.
        items: number of items.
        users: number of users whose history the bundle holds.
        exclude_seen: whether items of a history are left out of its answers unless asked for.
        index: the index.
        fingerprints: of `dataset` and `run`, and of `cross_encoder` and funnels where there are some.
        changes: the part of the log of changes that it holds; None where there was no log.
        libraries: versions of the libraries that wrote the bundle.
        files: every file of the bundle but the manifest and its hash, by path inside the folder.
    """

    format: int
    version: str
    created: str
    metric: str
    dim: int
    items: int
    users: int
    exclude_seen: bool
    index: IndexRecord
    fingerprints: Mapping[str, str]
    changes: Merged | None
    libraries: Mapping[str, str]
    files: Mapping[str, FileRecord]

    def write(self, folder: Path) -> None:
        """Write the manifest and its hash: the last act of filling a bundle's folder."""
        write_json(folder / MANIFEST, asdict(self))
        (folder / CHECKSUM).write_text(_checksum_line((folder / MANIFEST).read_bytes()), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read a bundle's manifest after checking its hash; nothing else is opened.

        Raises:
            BundleError: no bundle, a damaged manifest, or one of another format.
        """
        path = folder / MANIFEST
        try:
            written, expected = path.read_bytes(), (folder / CHECKSUM).read_bytes()
        except OSError as error:
            raise BundleError(f"no bundle in {folder}: {error.strerror}: {error.filename}") from error
        if _checksum_line(written).encode() != expected:
            raise BundleError(
                f"{path} is damaged: its SHA-256 is {hashlib.sha256(written).hexdigest()}, "
                f"{CHECKSUM} says {expected[:64].decode('ascii', 'replace')}; build the bundle again"
            )
        value = json.loads(written)
        if value.get("format") != FORMAT:
            raise BundleError(
                f"{path} has format {value.get('format')}, this version reads format {FORMAT}; build the bundle again"
            )
        return cls._from_json(path, value)

    @classmethod
    def _from_json(cls, path: Path, value: dict[str, Any]) -> Self:
        try:
            index = dict(value.pop("index"))
            parameters = SearchParameters(**index.pop("parameters"))
            changes = value.pop("changes")
            merged = None if changes is None else Merged(**changes)
            files = {name: FileRecord(**record) for name, record in value.pop("files").items()}
            return cls(index=IndexRecord(parameters=parameters, **index), changes=merged, files=files, **value)
        except (KeyError, TypeError, AttributeError) as error:
            raise BundleError(f"{path} is not a bundle's manifest: {error}") from error

    def verify(self, folder: Path) -> None:
        """Check that a folder holds the files of this manifest, byte for byte, and no others.

        Raises:
            BundleError: a file is missing, unlisted, a link, of another size, or of another hash.
        """
        present = listing(folder)
        extra, missing = sorted(present - self.files.keys()), sorted(self.files.keys() - present)
        if extra:
            raise BundleError(f"{folder} holds files its manifest does not list, remove them: {extra[:20]}")
        if missing:
            raise BundleError(f"{folder} lacks files its manifest lists: {missing[:20]}")
        for name, record in self.files.items():  # all sizes first: they cost nothing
            size = (folder / name).stat().st_size
            if size != record.size:
                raise BundleError(f"{folder / name} has {size:,} bytes, its manifest says {record.size:,}")
        for name, digest in _hashes(folder, self.files).items():
            if digest != self.files[name].sha256:
                raise BundleError(
                    f"{folder / name} is damaged: its SHA-256 is {digest}, its manifest says {self.files[name].sha256}"
                )


def records(folder: Path) -> dict[str, FileRecord]:
    """Size and hash of every file in a folder that is about to become a bundle."""
    hashes = _hashes(folder, sorted(listing(folder)))
    return {name: FileRecord((folder / name).stat().st_size, digest) for name, digest in hashes.items()}


def _hashes(folder: Path, names: Collection[str]) -> dict[str, str]:
    """Hash of each file, by name, as given; several at a time, as hashing lets other threads run."""
    largest_first = sorted(names, key=lambda name: -(folder / name).stat().st_size)
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        hashes = dict(zip(largest_first, threads.map(lambda name: sha256(folder / name), largest_first), strict=True))
    return {name: hashes[name] for name in names}


def listing(folder: Path) -> set[str]:
    """Paths of a bundle's files inside its folder, the manifest and its hash left out.

    Raises:
        BundleError: something in it is neither a plain file nor a folder, or is a kind that can run code.
    """
    files = set()
    for parent, folders, names in os.walk(folder):
        for name in [*folders, *names]:
            path = Path(parent, name)
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                raise BundleError(f"{path} is neither a plain file nor a folder; a bundle holds nothing else")
            if path.suffix.lower() in CODE:
                raise BundleError(f"{path} could run code when read; a bundle holds no {path.suffix} files")
        files |= {str(PurePosixPath(Path(parent, name).relative_to(folder))) for name in names}
    return files - {MANIFEST, CHECKSUM}


def _checksum_line(manifest: bytes) -> str:
    return f"{hashlib.sha256(manifest).hexdigest()}  {MANIFEST}\n"
