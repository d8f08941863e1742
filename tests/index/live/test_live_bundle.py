"""A live bundle: items put in, changed and taken out are found, or not, at once, and after a crash."""

import shutil
import threading

import numpy as np
import pandas as pd
import pytest

from data_prep.dataset import Dataset
from index.bundle.change_log import Change, ChangeLog, Merged
from index.live.live_bundle import LiveBundle
from index.live.live_view import LiveView
from index.search.exact import exact_search
from index.search.filters import Filter
from towers import History, OneVectorModel


@pytest.fixture
def folder(tiny_bundle, tmp_path):
    """A bundle in a folder of its own, where its log may lie beside it."""
    return shutil.copytree(tiny_bundle.resolve(), tmp_path / "bundles" / tiny_bundle.resolve().name)


@pytest.fixture
def live(folder):
    return LiveBundle.load(folder)


@pytest.fixture(scope="module")
def model(tiny_run):
    return OneVectorModel.open(tiny_run)


@pytest.fixture(scope="module")
def items(tiny_data):
    return Dataset.open(tiny_data).items


def recalled(view, query, k=10, history=None, exclude=None):
    vector = view.user_encoder.encode([history or History.empty()], [query])
    (hits,) = view.index.search(vector, k, exclude)
    return view.item_ids[hits.rows].tolist()


def twin(model, items, query, k):
    """What a bundle of exactly these items would recall."""
    vectors = model.item_vectors(items)
    user = model.user_encoder(items, vectors).encode([History.empty()], [query])
    (hits,) = exact_search(vectors, user, k)
    return items["item_id"].iloc[hits.rows].tolist()


def test_without_changes_it_answers_as_its_bundle(live):
    bundle = live.bundle
    users = bundle.user_encoder.encode([bundle.histories.at(place) for place in range(20)], [""] * 20)
    for a, b in zip(live.view.index.search(users, 7), bundle.index.search(users, 7), strict=True):
        np.testing.assert_array_equal(a.rows, b.rows)
        np.testing.assert_array_equal(a.scores, b.scores)
    assert dict(live.view.row_of) == dict(bundle.row_of) and len(live.view.index) == 30


def test_changes_give_what_a_bundle_of_the_changed_items_would(live, model, items):
    new = {"item_id": "new", "title": "iced oolong tea", "text": "iced oolong tea"}
    changed = {**items.iloc[3].to_dict(), "text": "oolong tea leaves", "price": 2.5}
    live.upsert([new, changed])
    view = live.delete([items["item_id"].iloc[9], "nobody has this"])

    table = items.drop(index=[3, 9])
    table = pd.concat([table, pd.DataFrame([changed, new]).reindex(columns=items.columns)], ignore_index=True)
    for query in ("oolong tea", "dog food", ""):
        assert recalled(view, query, 30) == twin(model, table, query, 30)
    assert set(view.row_of) == set(table["item_id"]) and len(view.row_of) == len(view.index) == 30
    assert view.titles[np.array([view.row_of["new"]])].tolist() == ["iced oolong tea"]
    assert items["item_id"].iloc[9] not in view.row_of


def test_the_last_change_of_an_item_counts(live):
    def text(item_id):
        return live.view.texts[np.array([live.view.row_of[item_id]])][0]

    for change in ("cold brew", "dog leash", "rye bread"):
        live.upsert([{"item_id": "new", "text": change}])
        assert text("new") == change
    live.upsert([{"item_id": "new", "text": "one"}, {"item_id": "new", "text": "other"}])
    assert text("new") == "other" and recalled(live.view, "x", 40).count("new") == 1
    live.delete(["new"])
    assert "new" not in live.view.row_of and "new" not in recalled(live.view, "x", 40)
    live.upsert([{"item_id": "new", "text": "tea"}])
    assert recalled(live.view, "x", 40).count("new") == 1


def test_k_answers_come_whenever_there_are_k(live, items):
    ids = items["item_id"].tolist()
    live.delete(ids[:25])
    assert sorted(recalled(live.view, "tea", 5)) == sorted(ids[25:])
    assert sorted(recalled(live.view, "tea", 500)) == sorted(ids[25:])
    live.upsert([{"item_id": "new", "text": "tea"}])
    assert sorted(recalled(live.view, "tea", 6)) == sorted([*ids[25:], "new"])
    live.delete([*ids, "new"])
    assert recalled(live.view, "tea", 5) == [] and len(live.view.row_of) == 0


def test_an_excluded_item_stays_out_when_it_changes(live, items):
    item_id = items["item_id"].iloc[4]
    live.upsert([{"item_id": item_id, "text": "something else"}, {"item_id": "new", "text": "tea"}])
    view = live.view
    stored, current = np.array([4]), np.array([view.row_of[item_id], view.row_of["new"]])
    assert view.row_of[item_id] != 4
    assert item_id not in recalled(view, "tea", 40, exclude=[stored])
    found = recalled(view, "tea", 40, exclude=[current])
    assert item_id not in found and "new" not in found and len(found) == 29


def test_a_history_may_have_new_items(live, items):
    live.upsert([{"item_id": "new", "text": "green tea"}])
    row = live.view.row_of["new"]
    history = History(np.array([0, row]), ["view", "view"], np.array([1.0, 2.0]))
    others = History(np.array([0]), ["view"], np.array([1.0]))
    encode = live.view.user_encoder.encode
    assert not np.allclose(encode([history], [""]), encode([others], [""]))


def test_a_view_in_use_does_not_change(live, items):
    before = live.view
    found = recalled(before, "tea", 30)
    live.delete([found[0]])
    live.upsert([{"item_id": "new", "text": "tea"}])
    assert recalled(before, "tea", 30) == found and "new" not in before.row_of
    assert recalled(live.view, "tea", 30) != found


def test_changes_outlive_the_process_and_come_to_others(live, folder):
    other = LiveBundle.load(folder)
    live.upsert([{"item_id": "new", "text": "green tea"}])
    live.delete(["co-0"])
    assert "new" not in other.view.row_of
    other.catch_up()
    again = LiveBundle.load(folder)
    for one in (other, again):
        assert dict(one.view.row_of) == dict(live.view.row_of)
        assert recalled(one.view, "tea", 30) == recalled(live.view, "tea", 30)
    other.upsert([{"item_id": "newer", "text": "black tea"}])
    assert {"new", "newer"} <= set(live.catch_up().row_of)


def test_texts_are_not_encoded_again_by_the_encoder_that_read_them(live, folder, monkeypatch):
    live.upsert([{"item_id": "new", "text": "green tea"}])
    encoder = type(live.bundle.user_encoder.towers.text_encoder)
    whole, read = encoder.encode, []
    monkeypatch.setattr(encoder, "encode", lambda self, texts: read.extend(texts) or whole(self, texts))
    again = LiveBundle.load(folder)
    assert read == []
    log = ChangeLog(folder.parent / "changes.log")
    log.append([Change.upsert({"item_id": "other", "text": "rye"}, np.ones(3, np.float32), "another encoder")])
    again.catch_up()
    assert read == ["rye"] and "other" in again.view.row_of


def test_a_change_that_the_model_cannot_encode_is_passed_over_and_counted(live, folder, monkeypatch):
    encode = type(live.bundle.item_encoder).encode

    def fussy(self, items, rows, sentences):
        if (items["item_id"] == "odd").any():
            raise ValueError("no vector for odd")
        return encode(self, items, rows, sentences)

    live.upsert([{"item_id": item_id, "text": "tea"} for item_id in ("new", "odd", "newer")])
    monkeypatch.setattr(type(live.bundle.item_encoder), "encode", fussy)
    again = LiveBundle.load(folder)
    assert again.refused == 1 and {"new", "newer"} <= set(again.view.row_of) and "odd" not in again.view.row_of
    with pytest.raises(ValueError, match="no vector for odd"):
        again.upsert([{"item_id": "odd", "text": "tea"}])
    assert len(ChangeLog(folder.parent / "changes.log").read_on()) == 3


def test_a_torn_log_costs_its_last_change(live, folder):
    live.upsert([{"item_id": "new", "text": "green tea"}])
    live.upsert([{"item_id": "newer", "text": "green tea"}])
    path = folder.parent / "changes.log"
    path.write_bytes(path.read_bytes()[:-9])
    again = LiveBundle.load(folder)
    assert again.damaged == 1 and "new" in again.view.row_of and "newer" not in again.view.row_of


def test_changes_that_the_bundle_holds_are_not_made_again(live, folder, monkeypatch):
    live.upsert([{"item_id": "new", "text": "green tea"}])
    (first,) = ChangeLog(folder.parent / "changes.log").read_on()
    live.upsert([{"item_id": "newer", "text": "green tea"}])
    object.__setattr__(live.bundle.manifest, "changes", Merged(first.log, first.number))
    again = LiveBundle(live.bundle, ChangeLog(folder.parent / "changes.log"))
    assert "new" not in again.view.row_of and "newer" in again.view.row_of


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({"text": "tea"}, "item_id must be a text that is not empty, got None"),
        ({"item_id": 7, "text": "tea"}, "item_id must be a text that is not empty, got 7"),
        ({"item_id": "new", "text": " "}, "item 'new': text must be a text that is not empty"),
        (
            {"item_id": "new", "text": "tea", "colour": "red"},
            r"item 'new': unknown columns \['colour'\]; the catalogue",
        ),
        ({"item_id": "new", "text": "tea", "popularity": 3}, "unknown columns"),
        ({"item_id": "new", "text": "tea", "price": "cheap"}, "price must be a finite number, got 'cheap'"),
        ({"item_id": "new", "text": "tea", "price": float("inf")}, "price must be a finite number, got inf"),
        ({"item_id": "new", "text": "tea", "category": 4}, "category must be a text, got 4"),
    ],
)
def test_an_item_that_cannot_be_served_is_refused_and_nothing_changes(live, folder, item, message):
    with pytest.raises(ValueError, match=message):
        live.upsert([{"item_id": "good", "text": "tea"}, item])
    assert "good" not in live.view.row_of and not (folder.parent / "changes.log").exists()


def test_a_wrong_search_is_refused_as_by_the_index(live):
    live.upsert([{"item_id": "new", "text": "tea"}])
    dim = live.view.index.dim
    for queries, k, exclude, message in (
        (np.zeros((1, dim), np.float32), 0, None, "k must be at least 1"),
        (np.zeros((1, dim + 1), np.float32), 5, None, f"expected {dim}, got {dim + 1}"),
        (np.full((1, dim), np.nan, np.float32), 5, None, "NaN"),
        (np.zeros((1, dim), np.float32), 5, [], "exclude has 0 entries for 1 queries"),
        (np.zeros((1, dim), np.float32), 5, [np.array([31])], "there are rows 0…30"),
    ):
        with pytest.raises(ValueError, match=message):
            live.view.index.search(queries, k, exclude)


def test_a_filter_holds_for_items_of_both_kinds(live, items):
    live.upsert(
        [
            {"item_id": "cheap", "text": "tea", "price": 0.5, "category": "tea"},
            {"item_id": "dear", "text": "tea", "price": 500.0, "category": "tea"},
            {"item_id": "te-1", "text": "tea", "price": 1.0, "category": "bread"},
        ]
    )
    view = live.delete(["te-2"])
    table = pd.concat([items, view.added[items.columns]], ignore_index=True).drop_duplicates("item_id", keep="last")
    table = table[table["item_id"] != "te-2"]
    user = view.user_encoder.encode([History.empty()], ["tea"])
    (whole,) = view.index.search(user, 50)
    order = view.item_ids[whole.rows].tolist()
    for wanted, holds in (
        (Filter(categories=frozenset(["tea"])), table["category"] == "tea"),
        (Filter(max_price=2.0), table["price"] <= 2.0),
        (Filter(allow=frozenset(["cheap", "te-1", "te-2", "br-0"])), table["item_id"].isin(["cheap", "te-1", "br-0"])),
        (Filter(deny=frozenset(["cheap", "te-0"])), ~table["item_id"].isin(["cheap", "te-0"])),
    ):
        (hits,) = view.index.search(user, 50, allowed=view.allowed(wanted))
        left = set(table["item_id"][holds])
        assert view.item_ids[hits.rows].tolist() == [item_id for item_id in order if item_id in left]
    (unchanged,) = live.bundle.index.search(user, 50, allowed=live.bundle.allowed(Filter(max_price=2.0)))
    (same,) = LiveView.of(live.bundle).index.search(
        user, 50, allowed=LiveView.of(live.bundle).allowed(Filter(max_price=2.0))
    )
    assert same.rows.tolist() == unchanged.rows.tolist()


def test_items_of_both_kinds_have_their_categories(live, items):
    view = live.upsert([{"item_id": "new", "text": "tea", "category": "tea"}, {"item_id": "odd", "text": "a thing"}])
    rows = np.array([0, view.row_of["new"], view.row_of["odd"]])
    assert view.categories[rows].tolist() == [items["category"].iloc[0], "tea", None]


def test_several_vectors_of_one_query_score_by_the_best(live):
    live.upsert([{"item_id": "new", "text": "green tea"}])
    live.delete(["co-1"])
    index = live.view.index
    users = live.view.user_encoder.encode([History.empty()] * 2, ["green tea", "dog food"])
    (both,) = index.search(users[np.newaxis], 40)
    alone = index.search(users, 40)
    for row, score in zip(both.rows, both.scores, strict=True):
        assert score == max(hits.scores[hits.rows == row][0] for hits in alone)
    assert len(both.rows) == len(np.unique(both.rows)) == 30


def test_threads_search_whole_views_while_one_writes(live, items):
    """Readers see, at any moment, every item of a pair or none: changes come whole."""
    stop, broken, searched = threading.Event(), [], []
    queries = live.bundle.user_encoder.encode([History.empty()], ["tea"])

    def read():
        while not stop.is_set():
            view = live.view
            (hits,) = view.index.search(queries, 50)
            found = view.item_ids[hits.rows].tolist()
            if ("left" in found) != ("right" in found) or len(found) != len(set(found)) or "co-2" in found:
                broken.append(found)
            searched.append(len(found))

    live.delete(["co-2"])
    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for number in range(30):
        live.upsert([{"item_id": "left", "text": f"tea {number}"}, {"item_id": "right", "text": "bread"}])
        if number % 3 == 2:
            live.delete(["left", "right"])
    stop.set()
    for reader in readers:
        reader.join()
    assert not broken and searched
