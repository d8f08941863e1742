"""The parts of a bundle are described once: every form of a bundle has all of them."""

from dataclasses import fields

import numpy as np
import pytest

from index import Bundle, LiveBundle
from index.bundle.parts import FOLDERS, BundleParts, Parts
from index.bundle.view import BundleView
from retrieval_server.bundles.served_bundle import ServedBundle
from towers.candidates.fallback import Fallback


@pytest.fixture(scope="module")
def bundle(tiny_bundle) -> Bundle:
    return Bundle.load(tiny_bundle)


def test_parts_that_were_written_are_read_again_each_from_the_folder_of_its_name(bundle, tmp_path):
    fallback = Fallback("popularity", np.array([2, 0]), np.array([9, 4], np.float32))
    stored = {field.name: getattr(bundle, field.name) for field in fields(BundleParts)}
    # A cross-encoder that a graph runs is not written again.
    BundleParts(**{**stored, "fallback": fallback, "cross_encoder": None}).write(tmp_path)
    loaded = BundleParts.read(tmp_path, bundle.manifest)
    assert {name for name in FOLDERS if (tmp_path / name).is_dir()} == {"fallback"}
    assert {name for name in FOLDERS if getattr(loaded, name) is not None} == {"fallback"}
    assert loaded.fallback.name == "popularity" and loaded.fallback.rows.tolist() == [2, 0]
    np.testing.assert_array_equal(loaded.vectors, bundle.vectors)
    assert loaded.items["title"].tolist() == bundle.items["title"].tolist()
    histories, queries = [bundle.histories.at(0)], ["fresh milk"]
    users = bundle.user_encoder.encode(histories, queries)
    np.testing.assert_allclose(loaded.user_encoder.encode(histories, queries), users, atol=1e-5)
    assert [hit.rows.tolist() for hit in loaded.index.search(users, 5)] == [
        hit.rows.tolist() for hit in bundle.index.search(users, 5)
    ]


def test_views_of_a_bundle_take_its_parts_over(tiny_bundle, bundle):
    live = LiveBundle.load(tiny_bundle).view
    for view in (live, ServedBundle.of(bundle)):
        assert isinstance(view, BundleView)
        for name in FOLDERS:
            assert (getattr(view, name) is None) == (getattr(bundle, name) is None)
    served = ServedBundle.of(bundle)
    assert all(getattr(served, field.name) is getattr(bundle, field.name) for field in fields(BundleView))
    assert {field.name for field in fields(Parts)} <= {field.name for field in fields(BundleView)}
