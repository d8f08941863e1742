"""A bundle's files are the ones its manifest speaks of, to the byte."""

import json
from dataclasses import replace

import numpy as np
import pytest

from index.bundle.manifest import CHECKSUM, FORMAT, MANIFEST, BundleError, Manifest, records
from tests import processes
from tests.index.bundle.publish_forever import manifest

FILES = {"items.parquet": b"items" * 50, "model/config.json": b"{}", "vectors.npy": bytes(range(256)) * 4}


@pytest.fixture
def folder(tmp_path):
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    manifest("v1", tmp_path).write(tmp_path)
    return tmp_path


def check(folder):
    read = Manifest.read(folder)
    read.verify(folder)
    return read


def test_what_is_written_is_read(folder):
    assert check(folder) == manifest("v1", folder)


def test_the_checksum_file_is_one_that_sha256sum_understands(folder):
    processes.run(["sha256sum", "--check", "--quiet", CHECKSUM], check=True, cwd=folder)


@pytest.mark.parametrize("name", [*FILES, MANIFEST, CHECKSUM])
def test_every_flipped_bit_is_refused(folder, name):
    path = folder / name
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for place in rng.choice(len(whole) * 8, min(len(whole) * 8, 120), replace=False):
        damaged = bytearray(whole)
        damaged[place // 8] ^= 1 << (place % 8)
        path.write_bytes(damaged)
        with pytest.raises(BundleError, match="damaged"):
            check(folder)


@pytest.mark.parametrize("name", [*FILES, MANIFEST, CHECKSUM])
def test_every_truncation_is_refused(folder, name):
    path = folder / name
    whole = path.read_bytes()
    for length in {0, 1, len(whole) // 2, len(whole) - 1}:
        path.write_bytes(whole[:length])
        with pytest.raises(BundleError, match=name):
            check(folder)


def test_a_wrong_size_is_refused_with_both(folder):
    (folder / "items.parquet").write_bytes(b"short")
    with pytest.raises(BundleError, match=r"items\.parquet has 5 bytes, its manifest says 250"):
        check(folder)


def test_a_wrong_hash_is_refused_with_both(folder):
    (folder / "model" / "config.json").write_bytes(b"[]")
    with pytest.raises(BundleError, match=r"config\.json is damaged: its SHA-256 is 4f53\w+, its manifest says 4413"):
        check(folder)


def test_a_missing_file_is_named(folder):
    (folder / "vectors.npy").unlink()
    with pytest.raises(BundleError, match=r"lacks files its manifest lists: \['vectors\.npy'\]"):
        check(folder)


def test_an_unlisted_file_is_refused(folder):
    (folder / "model" / "adapter.safetensors").write_bytes(b"")
    with pytest.raises(BundleError, match=r"does not list.*model/adapter\.safetensors"):
        check(folder)


def test_a_link_is_refused(folder):
    (folder / "vectors.npy").rename(folder.parent / "elsewhere.npy")
    (folder / "vectors.npy").symlink_to(folder.parent / "elsewhere.npy")
    with pytest.raises(BundleError, match=r"vectors\.npy is neither a plain file nor a folder"):
        check(folder)


@pytest.mark.parametrize("name", ["model/pytorch_model.bin", "canary.pkl", "model/custom.py", "cross_encoder.PT"])
def test_no_bundle_holds_a_file_that_can_run_code(tmp_path, name):
    (tmp_path / "model").mkdir()
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(BundleError, match="could run code"):
        records(tmp_path)


def test_an_empty_folder_is_no_bundle(tmp_path):
    with pytest.raises(BundleError, match=r"no bundle in .*No such file or directory"):
        check(tmp_path)


def test_another_format_is_refused_with_both(folder):
    replace(manifest("v1", folder), format=FORMAT + 1).write(folder)
    with pytest.raises(BundleError, match=f"has format {FORMAT + 1}, this version reads format {FORMAT}"):
        check(folder)


@pytest.mark.parametrize("change", [{"index": 3}, {"surplus": 1}, {"files": {"a": {"bytes": 1}}}])
def test_a_manifest_of_another_shape_is_refused(folder, change):
    value = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps(value | change))
    line = processes.run(["sha256sum", MANIFEST], check=True, cwd=folder).stdout
    (folder / CHECKSUM).write_text(line)
    with pytest.raises(BundleError, match="is not a bundle's manifest"):
        check(folder)
