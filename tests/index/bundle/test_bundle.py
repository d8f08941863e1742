"""A bundle, loaded: whole, consistent, and never before every byte was checked."""

import os
import pickle
import shutil
from dataclasses import replace

import faiss
import numpy as np
import pandas as pd
import pytest

from data_prep.dataset import Dataset
from index import Bundle
from index.bundle import parts
from index.bundle.item_file import map_items, save_items
from index.bundle.manifest import BundleError, Manifest, records
from index.search.exact import exact_search
from towers import History, OneVectorModel

FLIPS_IN_A_FILE = 12


@pytest.fixture(scope="module")
def loaded(tiny_bundle):
    return Bundle.load(tiny_bundle)


@pytest.fixture
def copy(tiny_bundle, tmp_path):
    return shutil.copytree(tiny_bundle.resolve(), tmp_path / "bundle")


@pytest.fixture
def never_parsed(monkeypatch):
    """Every parser of a bundle's files fails the test when it is called."""

    def parse(*_, **__):
        pytest.fail("a file was parsed before it was found damaged")

    monkeypatch.setattr(np, "load", parse)
    monkeypatch.setattr(faiss, "read_index", parse)
    monkeypatch.setattr(parts, "map_items", parse)
    for part in (parts.ModelEncoder, parts.CrossEncoder, parts.Histories):
        monkeypatch.setattr(part, "load", parse)


def files_of(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def sign(folder):
    """Make a manifest for what stands in a folder, as somebody who means harm could."""
    replace(Manifest.read(folder), files=records(folder)).write(folder)


def test_rows_ids_and_vectors_belong_together(loaded, tiny_run, tiny_data):
    items = Dataset.open(tiny_data).items
    assert loaded.item_ids.tolist() == items["item_id"].tolist()
    assert [loaded.row_of[item_id] for item_id in loaded.item_ids] == list(range(len(items)))
    expected = OneVectorModel.open(tiny_run).item_vectors(items)
    np.testing.assert_allclose(loaded.vectors, expected, atol=1e-6)


def test_vectors_are_mapped_not_read(loaded):
    assert isinstance(loaded.vectors.base, np.memmap)
    assert not loaded.vectors.flags.writeable


def test_the_mapped_item_table_is_the_one_for_everybody(loaded, tiny_bundle):
    pd.testing.assert_frame_equal(loaded.items, pd.read_parquet(tiny_bundle / "items.parquet"))
    rows = np.array([3, 0, 3])
    assert loaded.titles[rows].tolist() == loaded.items["title"].iloc[rows].tolist()
    assert loaded.texts[rows].tolist() == loaded.items["text"].iloc[rows].tolist()


def test_popularity_counts_training_events(loaded, tiny_data):
    dataset = Dataset.open(tiny_data)
    training = dataset.events[dataset.events[dataset.split_column] == 0]
    expected = training["item_id"].value_counts()
    assert loaded.items["popularity"].tolist() == [int(expected.get(i, 0)) for i in loaded.item_ids]


def test_a_user_has_all_events_of_a_short_log(loaded, tiny_data):
    events = Dataset.open(tiny_data).events
    user_id = events["user_id"].iloc[0]
    theirs = events[events["user_id"] == user_id]
    history = loaded.history(user_id)
    assert loaded.item_ids[history.rows].tolist() == theirs["item_id"].tolist()
    assert list(history.events) == theirs["event"].tolist()
    assert history.timestamps.tolist() == [when.timestamp() for when in theirs["timestamp"]]
    assert loaded.history("nobody") is None


def test_search_gives_what_the_towers_themselves_compute(loaded, tiny_run, tiny_data):
    towers, items = OneVectorModel.open(tiny_run), Dataset.open(tiny_data).items
    vectors = towers.item_vectors(items)
    histories = [loaded.histories.at(place) for place in range(20)] + [History.empty()]
    queries = [""] * 20 + ["green tea"]
    expected = exact_search(vectors, towers.user_encoder(items, vectors).encode(histories, queries), 10)
    found = loaded.index.search(loaded.user_encoder.encode(histories, queries), 10)
    for hits, exact in zip(found, expected, strict=True):
        np.testing.assert_allclose(hits.scores, exact.scores, atol=1e-4)
        assert hits.rows.tolist() == exact.rows.tolist()


def test_the_cross_encoder_is_loaded_where_there_is_one(loaded, copy):
    assert loaded.cross_encoder is not None
    shutil.rmtree(copy / "cross_encoder")
    sign(copy)
    assert Bundle.load(copy).cross_encoder is None


def test_every_flipped_bit_in_every_file_is_refused_before_anything_is_parsed(copy, never_parsed):
    rng = np.random.default_rng(0)
    for path in files_of(copy):
        whole = path.read_bytes()
        for place in rng.choice(len(whole) * 8, FLIPS_IN_A_FILE, replace=False):
            damaged = bytearray(whole)
            damaged[place // 8] ^= 1 << (place % 8)
            path.write_bytes(damaged)
            with pytest.raises(BundleError, match="damaged"):
                Bundle.load(copy)
        path.write_bytes(whole)


def test_every_truncated_file_is_refused_before_anything_is_parsed(copy, never_parsed):
    for path in files_of(copy):
        whole = path.read_bytes()
        for length in {0, len(whole) // 2, len(whole) - 1}:
            path.write_bytes(whole[:length])
            with pytest.raises(BundleError, match=path.name):
                Bundle.load(copy)
        path.write_bytes(whole)


def test_a_pickle_in_the_place_of_vectors_never_runs(copy, tmp_path):
    canary = tmp_path / "ran"

    class Canary:
        def __reduce__(self):
            return os.mkdir, (str(canary),)

    np.save(copy / "vectors.npy", np.array([Canary()], dtype=object), allow_pickle=True)
    sign(copy)
    with pytest.raises(BundleError, match=r"vectors\.npy"):
        Bundle.load(copy)
    (copy / "vectors.npy").write_bytes(pickle.dumps(Canary()))
    sign(copy)
    with pytest.raises(BundleError, match=r"vectors\.npy"):
        Bundle.load(copy)
    assert not canary.exists()


def test_vectors_of_another_type_are_refused(copy, loaded):
    np.save(copy / "vectors.npy", np.array(loaded.vectors, np.float64))
    sign(copy)
    with pytest.raises(BundleError, match="expected float32 in two dimensions, got float64 in 2"):
        Bundle.load(copy)


def test_vectors_of_another_shape_than_the_manifest_says_are_refused(copy, loaded):
    np.save(copy / "vectors.npy", np.array(loaded.vectors[:-1]))
    sign(copy)
    with pytest.raises(BundleError, match="but the manifest says"):
        Bundle.load(copy)


def test_an_index_over_other_vectors_is_refused(copy, loaded):
    flat = faiss.IndexFlatIP(loaded.index.dim)
    flat.add(np.array(loaded.vectors[:-1]))
    faiss.write_index(flat, str(copy / "index.faiss"))
    sign(copy)
    with pytest.raises(BundleError, match=r"index\.faiss cannot be read: the index holds"):
        Bundle.load(copy)


def test_a_file_that_is_no_index_is_refused(copy):
    (copy / "index.faiss").write_bytes(b"not an index")
    sign(copy)
    with pytest.raises(BundleError, match=r"index\.faiss cannot be read: .*not recognized"):
        Bundle.load(copy)


@pytest.mark.parametrize("content", [b"", b"no table", b"ARROW1\0\0 and nothing more"])
def test_a_file_that_is_no_item_table_is_refused(copy, content):
    (copy / "items.arrow").write_bytes(content)
    sign(copy)
    with pytest.raises(BundleError, match=r"items\.arrow cannot be read"):
        Bundle.load(copy)


def test_an_item_table_without_ids_is_refused(copy, loaded):
    save_items(copy / "items.arrow", loaded.items.drop(columns="item_id"))
    sign(copy)
    with pytest.raises(BundleError, match=r"items\.arrow has no column 'item_id'"):
        Bundle.load(copy)


def test_vectors_in_columns_stay_in_the_file(tmp_path):
    items = pd.DataFrame({"item_id": ["a", "b"], "picture": [np.ones(3), None], "price": [1.5, np.nan]})
    save_items(tmp_path / "items.arrow", items)
    mapped = map_items(tmp_path / "items.arrow")
    assert mapped["picture"].tolist()[0] == [1, 1, 1] and mapped["picture"].isna().tolist() == [False, True]
    pd.testing.assert_frame_equal(mapped[["item_id", "price"]], items[["item_id", "price"]])
