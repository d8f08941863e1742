"""The build of a catalogue that was built before: changes are merged, counted and encoded, nothing else is."""

import errno
import json
import os
import shutil
import signal
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from data_prep.command import UsageError, load_config
from data_prep.dataset import Dataset
from data_prep.errors import GateFailed
from index import Bundle, current_bundle
from index.build import encoding
from index.build.__main__ import build
from index.build.catalogue import LoggedChanges, compare, same_items
from index.build.config import BuildConfig
from index.bundle.change_log import Change, ChangeLog
from index.bundle.manifest import Manifest
from index.calibration import index_trials
from index.calibration.measures import index_recall
from index.live.live_bundle import LiveBundle
from towers import OneVectorModel

NEW = {"item_id": "new", "text": "iced oolong tea"}


@pytest.fixture
def bundles(tmp_path):
    return tmp_path / "bundles"


@pytest.fixture
def rebuild(tiny_run, tiny_data, bundles):
    def make(*overrides):
        line = [
            f"run={tiny_run}",
            f"data={tiny_data}",
            f"bundles={bundles}",
            "threads=1",
            "export.enabled=false",
            *overrides,
        ]
        return build(load_config(BuildConfig, "build", line))

    return make


@pytest.fixture
def encoded(monkeypatch):
    """Ids of the items whose vectors are computed."""
    whole, ids = OneVectorModel.item_vectors, []
    monkeypatch.setattr(
        OneVectorModel, "item_vectors", lambda self, items: ids.extend(items["item_id"]) or whole(self, items)
    )
    return ids


@pytest.fixture
def catalogue(monkeypatch):
    """`catalogue(change)` has every dataset's item table changed before it is read."""
    whole = Dataset.items.func

    def have(change):
        monkeypatch.setattr(Dataset, "items", property(lambda self: change(whole(self))))

    return have


def with_many_more(table):
    rng = np.random.default_rng(0)
    titles = [" ".join(rng.choice(table["title"].tolist(), 3)) for _ in range(2_000)]
    new = pd.DataFrame({"item_id": [f"more-{row}" for row in range(2_000)], "title": titles, "text": titles})
    return pd.concat([table, new], ignore_index=True)


def users_of(bundle):
    histories = [bundle.histories.at(place) for place in range(len(bundle.histories))]
    return bundle.user_encoder.encode(histories, [""] * len(histories))


def test_nothing_is_encoded_again_where_nothing_has_changed(rebuild, encoded):
    first, second = rebuild(), rebuild()
    assert len(encoded) == 30
    assert (first.origin.computed, first.origin.reused, first.origin.comparison) == (30, 0, None)
    assert (second.origin.computed, second.origin.reused) == (0, 30)
    one, other = Bundle.load(first.path), Bundle.load(second.path)
    np.testing.assert_array_equal(one.vectors, other.vectors)


def test_warm_can_be_left_out(rebuild, encoded):
    rebuild()
    assert rebuild("warm=false").origin.reused == 0
    assert len(encoded) == 60


def test_another_model_takes_nothing_over(rebuild, encoded):
    first = rebuild()
    manifest = Manifest.read(first.path)
    replace(manifest, fingerprints={**manifest.fingerprints, "run": "another"}).write(first.path)
    result = rebuild()
    assert len(encoded) == 60 and result.origin.reused == 0 and not result.origin.warm
    assert str(result.origin.comparison) == f"0 added, 0 changed, 0 removed since {first.version}"


def test_a_changed_item_table_is_compared_and_only_its_changes_are_encoded(rebuild, encoded, catalogue, capsys):
    first = rebuild()
    del encoded[:]

    def change(table):
        table.loc[2, "text"] = "cold brew in cans"
        new = pd.DataFrame([{"item_id": "late", "title": "rye", "text": "rye crisps", "price": 2.0}])
        return pd.concat([table.drop(index=[0, 1]), new], ignore_index=True)

    catalogue(change)
    result = rebuild()
    ids = Bundle.load(first.path).item_ids
    assert encoded == [ids[2], "late"]
    comparison = result.origin.comparison
    assert comparison.first == {"added": ["late"], "changed": [ids[2]], "removed": [ids[0], ids[1]]}
    assert (
        str(comparison) == f"1 added (late), 1 changed ({ids[2]}), 2 removed ({ids[0]}, {ids[1]}) since {first.version}"
    )
    report = json.loads((result.path / "report.json").read_text())
    assert report["catalogue"]["comparison"]["removed"] == 2
    assert report["catalogue"]["computed"] == 2 and report["catalogue"]["reused"] == 27


def test_a_build_merges_the_log_and_answers_as_the_live_bundle_did(rebuild, bundles, encoded):
    live = LiveBundle.load(rebuild().path)
    live.upsert([NEW, {"item_id": "te-0", "text": "white tea", "price": 9.5}])
    live.delete(["pe-1", "br-2"])
    users = users_of(live.bundle)
    answers = [live.view.item_ids[hits.rows].tolist() for hits in live.view.index.search(users, 29)]
    del encoded[:]

    result = rebuild()
    assert sorted(encoded) == ["new", "te-0"]
    assert result.origin.comparison.first == {"added": ["new"], "changed": ["te-0"], "removed": ["br-2", "pe-1"]}
    bundle = Bundle.load(result.path)
    assert bundle.items["text"].iloc[bundle.row_of["te-0"]] == "white tea"
    assert bundle.items["popularity"].iloc[bundle.row_of["new"]] == 0
    for hits, expected in zip(bundle.index.search(users, 29), answers, strict=True):
        assert bundle.item_ids[hits.rows].tolist() == expected

    merged = LiveBundle.load(result.path)  # nothing is left to replay
    assert len(merged.view.added) == 0 and dict(merged.view.row_of) == bundle.row_of
    merged.upsert([{"item_id": "newest", "text": "bagel"}])
    assert set(LiveBundle.load(result.path).view.row_of) == {*bundle.row_of, "newest"}
    assert "newest" in Bundle.load(rebuild().path).row_of


def test_an_older_version_still_takes_in_what_came_after_it(rebuild):
    first = rebuild()
    LiveBundle.load(first.path).upsert([NEW])
    rebuild()
    assert "new" in LiveBundle.load(first.path).view.row_of


def test_histories_leave_out_what_was_taken_out(rebuild):
    first = rebuild()
    live = LiveBundle.load(first.path)
    live.delete(["te-0"])
    before, after = live.bundle, Bundle.load(rebuild().path)
    assert len(after.histories) == len(before.histories)
    for place in range(len(before.histories)):
        had = before.item_ids[before.histories.at(place).rows].tolist()
        has = after.item_ids[after.histories.at(place).rows].tolist()
        assert has == [item_id for item_id in had if item_id != "te-0"]


def test_the_newer_of_log_and_item_table_wins(tiny_data, tmp_path):
    """Changes logged before the data were prepared are in them, or were meant to be undone by them."""
    log = ChangeLog(tmp_path / "changes.log")
    changes = log.append([Change.delete("te-0"), Change("te-1", {"item_id": "te-1", "text": "matcha"})])
    items = Dataset.open(tiny_data).items
    moment = datetime.fromisoformat(changes[0].time)
    older = LoggedChanges.read(ChangeLog(log.path), moment + timedelta(seconds=1))
    assert older.apply(items)[0] is items and older.merged.number == 2
    newer = LoggedChanges.read(ChangeLog(log.path), moment)
    table, places = newer.apply(items)
    assert "te-0" not in set(table["item_id"])
    assert table.set_index("item_id").loc["te-1", "text"] == "matcha"
    for row, item_id in enumerate(items["item_id"]):
        assert places[row] == (-1 if item_id == "te-0" else table["item_id"].tolist().index(item_id))
    assert table.dtypes.to_dict() == items.dtypes.to_dict()


def test_changes_since_another_time_can_be_asked_for(rebuild):
    LiveBundle.load(rebuild().path).upsert([NEW])
    assert rebuild("changes_since=2100-01-01T00:00:00").items == 30
    assert rebuild("changes_since=2020-01-01").items == 31
    with pytest.raises(UsageError, match="changes_since must be a time such as"):
        rebuild("changes_since=yesterday")


def test_an_empty_catalogue_is_refused(rebuild):
    first = rebuild()
    live = LiveBundle.load(first.path)
    live.delete(live.bundle.item_ids.tolist())
    with pytest.raises(GateFailed, match="the catalogue holds no items"):
        rebuild()


def test_a_warm_index_has_the_old_training_and_recalls_as_a_cold_one(rebuild, catalogue, encoded, monkeypatch):
    settings = ("index=factory", "recall_k=20")
    catalogue(with_many_more)
    first = rebuild(*settings)
    LiveBundle.load(first.path).upsert([{"item_id": f"new-{n}", "text": f"oolong tea {n}"} for n in range(40)])
    del encoded[:]
    trained = []
    whole = index_trials.train_index
    monkeypatch.setattr(index_trials, "train_index", lambda *a, **kw: trained.append(1) or whole(*a, **kw))
    warm = rebuild(*settings)
    assert warm.origin.warm and not trained and len(encoded) == 40
    cold = rebuild(*settings, "warm=false")
    assert not cold.origin.warm and trained == [1] and len(encoded) == 40 + 2_070
    assert warm.plan.factory == cold.plan.factory
    assert warm.plan.reason.endswith("chosen and trained for the bundle before")
    one, other = Bundle.load(warm.path), Bundle.load(cold.path)
    assert one.item_ids.tolist() == other.item_ids.tolist()
    np.testing.assert_allclose(one.vectors, other.vectors, atol=1e-5)
    users = users_of(one)
    assert index_recall(one.index, users, 20) >= index_recall(other.index, users, 20) - 0.02 >= 0.93


def test_a_warm_index_that_misses_the_target_is_trained_anew(rebuild, catalogue, monkeypatch):
    settings = ("index=factory", "recall_k=20")
    catalogue(with_many_more)
    rebuild(*settings)
    calibrate, missed = index_trials.calibrate, iter([True])

    def missing(*arguments):
        found = calibrate(*arguments)
        return replace(found, reached=not next(missed, False))

    monkeypatch.setattr(index_trials, "calibrate", missing)
    result = rebuild(*settings)
    assert not result.origin.warm and result.calibration.reached and result.origin.reused == 2_030


def test_a_damaged_bundle_before_is_left_alone(rebuild, encoded, caplog):
    first = rebuild()
    with (first.path / "vectors.npy").open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\xff")
    result = rebuild()
    assert len(encoded) == 60 and result.origin.comparison is None
    assert "nothing is taken from the current bundle" in caplog.text
    assert Bundle.load(result.path).version == result.version


def test_an_interrupted_encoding_goes_on_where_it_was(rebuild, bundles, monkeypatch):
    monkeypatch.setattr(encoding, "ITEMS_AT_ONCE", 8)
    monkeypatch.setattr(encoding, "SYNC_SECONDS", 0)
    expected = np.array(Bundle.load(rebuild().path).vectors)
    shutil.rmtree(bundles)
    whole, asked = OneVectorModel.item_vectors, []

    def dying(self, items):
        asked.append(len(items))
        if len(asked) == 3:
            raise KeyboardInterrupt
        return whole(self, items)

    monkeypatch.setattr(OneVectorModel, "item_vectors", dying)
    with pytest.raises(KeyboardInterrupt):
        rebuild()
    assert not list(bundles.glob("2*"))
    result = rebuild()
    assert asked == [8, 8, 8, 8, 6] and result.origin.resumed == 16
    np.testing.assert_array_equal(Bundle.load(result.path).vectors, expected)
    assert not list(bundles.glob(".encoding-*"))


def test_a_process_killed_while_encoding_leaves_a_file_that_is_gone_on_with(tmp_path, monkeypatch):
    monkeypatch.setattr(encoding, "ITEMS_AT_ONCE", 4)
    monkeypatch.setattr(encoding, "SYNC_SECONDS", 0)
    items = pd.DataFrame({"item_id": [str(row) for row in range(30)]})
    vectors = np.random.default_rng(0).normal(size=(30, 5)).astype(np.float32)

    def encode(some):
        return vectors[some.index]

    def killed(some):
        if some.index[0] >= 12:
            os.kill(os.getpid(), signal.SIGKILL)
        return encode(some)

    child = os.fork()
    if child == 0:
        encoding.encode_catalogue(killed, items, 5, tmp_path, "key", None)
        os._exit(0)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
    with (tmp_path / ".encoding-key" / "vectors.npy").open("ab") as file:
        file.write(b"half a vector")  # written, and not yet known to be on disk
    done = encoding.encode_catalogue(encode, items, 5, tmp_path, "key", None)
    assert (done.resumed, done.computed, done.reused) == (12, 18, 0)
    np.testing.assert_array_equal(done.vectors, vectors)
    other = encoding.encode_catalogue(encode, items, 5, tmp_path, "other items", None)
    assert other.resumed == 0 and [path.name for path in tmp_path.iterdir()] == [".encoding-other items"]


def test_a_full_disk_while_encoding_leaves_the_bundle_before_and_nothing_else(rebuild, bundles, monkeypatch):
    first = rebuild()

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(encoding, "append_vectors", full)
    with pytest.raises(GateFailed, match="the disk ran full while writing"):
        rebuild("warm=false")
    assert current_bundle(bundles) == first.path
    assert sorted(path.name for path in bundles.iterdir()) == [".lock", first.version, "current"]


def test_items_are_the_same_when_all_columns_are():
    before = pd.DataFrame(
        {
            "item_id": ["a", "b", "c", "d"],
            "text": ["x", None, "z", "w"],
            "price": [1.0, np.nan, 3.0, 4.0],
            "picture": [np.ones(2), None, np.zeros(2), np.ones(2)],
            "popularity": [5, 6, 7, 8],
        }
    )
    now = before.iloc[[3, 1, 2]].reset_index(drop=True)
    now.loc[0, "price"] = 4.5
    now["popularity"] = 0
    now = pd.concat([now, pd.DataFrame([{"item_id": "e", "text": "new"}])], ignore_index=True)
    assert same_items(before, now).tolist() == [-1, 1, 2, -1]
    found = compare("v1", before, now, same_items(before, now))
    assert found.first == {"added": ["e"], "changed": ["d"], "removed": ["a"]}
    now.at[2, "picture"] = np.array([0.0, 0.5])
    assert same_items(before, now).tolist() == [-1, 1, -1, -1]
    assert same_items(before, now.drop(columns="price")).tolist() == [-1] * 4
