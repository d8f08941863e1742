"""Items that come after the catalogue are encoded as the model itself would encode them."""

import numpy as np
import pandas as pd
import pytest

from data_prep.dataset import Dataset
from data_prep.grown_table import GrownTable
from towers import History, ModelEncoder, OneVectorModel
from towers.model.item_encoder import NEW, ItemEncoder


@pytest.fixture(scope="module", params=[None, 12], ids=["whole", "cut"])
def model(tiny_run, request):
    model = OneVectorModel.open(tiny_run)
    return model if request.param is None else model.cut(request.param)


@pytest.fixture(scope="module")
def items(tiny_data):
    return Dataset.open(tiny_data).items


@pytest.fixture(scope="module")
def vectors(model, items):
    return model.item_vectors(items)


@pytest.fixture(scope="module")
def encoder(model, items, vectors, tmp_path_factory):
    """As a bundle has it: saved and loaded."""
    folder = tmp_path_factory.mktemp("encoder")
    users = model.user_encoder(items, vectors)
    users.save(folder)
    model.item_encoder(items, vectors, users).save(folder)
    return ItemEncoder.load(folder, ModelEncoder.load(folder, vectors), vectors)


def encoded(encoder, items, rows):
    return encoder.encode(items, rows, encoder.sentences(items))


def test_a_known_item_keeps_what_was_learnt_of_it(encoder, items, vectors):
    rows = np.array([7, 0, 29])
    np.testing.assert_allclose(encoded(encoder, items.iloc[rows], rows).vectors, vectors[rows], atol=1e-5)


def test_a_changed_text_moves_a_known_item_as_it_moves_the_models(encoder, model, items):
    changed = items.iloc[[3, 4]].assign(text=["rye bread", "green tea"], price=[99.0, 1.0])
    found = encoded(encoder, changed, np.array([3, 4]))
    np.testing.assert_allclose(found.vectors, model.item_vectors(changed), atol=1e-5)
    as_new = encoded(encoder, changed, np.array([NEW, NEW]))
    assert not np.allclose(found.vectors, as_new.vectors, atol=1e-3)


def test_a_new_item_is_what_the_model_makes_of_its_text(encoder, model, items):
    new = pd.DataFrame(
        {"item_id": ["n1", "n2"], "title": "", "text": ["oolong tea", "dog leash"], "price": [1.0, None]}
    )
    expected = model.item_vectors(new.reindex(columns=items.columns))
    np.testing.assert_allclose(encoded(encoder, new, np.array([NEW, NEW])).vectors, expected, atol=1e-5)


def test_histories_read_added_items_as_a_catalogue_that_has_them(encoder, model, items, vectors):
    new = pd.DataFrame({"item_id": ["n1"], "title": "", "text": ["oolong tea"]}).reindex(columns=items.columns)
    changed = items.iloc[[5]].assign(text="cold brew")
    added = pd.concat([new, changed], ignore_index=True)
    grown = encoder.users.grown(encoded(encoder, added, np.array([NEW, 5])))
    history = History(np.array([2, 30, 31, 8]), ["view"] * 4, np.arange(4.0))

    others = items.drop(index=5)  # the item has one row in the whole catalogue: its new one
    whole = pd.concat([others, added], ignore_index=True)
    place = {item_id: row for row, item_id in enumerate(whole["item_id"])}
    ids = [items["item_id"].iloc[2], "n1", items["item_id"].iloc[5], items["item_id"].iloc[8]]
    same = History(np.array([place[item_id] for item_id in ids]), ["view"] * 4, np.arange(4.0))
    twin = model.user_encoder(whole, model.item_vectors(whole))
    np.testing.assert_allclose(grown.encode([history], ["tea"]), twin.encode([same], ["tea"]), atol=1e-5)
    early = History(np.array([2, 8]), ["view"] * 2, np.arange(2.0))
    np.testing.assert_array_equal(grown.encode([early], [""]), encoder.users.encode([early], [""]))


def test_an_encoder_over_a_grown_catalogue_is_not_saved(encoder, items, tmp_path):
    grown = encoder.users.grown(encoded(encoder, items.iloc[:1], np.array([NEW])))
    with pytest.raises(ValueError, match="grown catalogue is not saved"):
        grown.save(tmp_path)


def test_a_grown_table_reads_as_one_array():
    base, added, more = np.arange(6).reshape(3, 2), np.arange(6, 10).reshape(2, 2), np.array([[10, 11]])
    table = GrownTable(GrownTable(base, added), more)
    assert len(table) == 6 and table.shape == (6, 2)
    whole = np.concatenate([base, added, more])
    for rows in ([], [1, 0], [5, 2, 3, 0], [4, 4]):
        np.testing.assert_array_equal(table[np.array(rows, np.int64)], whole[rows])
