"""Which index a catalogue gets."""

import logging

import faiss
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from data_prep.command import UsageError, instantiate, load_config
from index.build.config import BuildConfig
from index.calibration.index_choice import Auto, Exact, Factory
from index.search.factory import Plan, centroids_of, parse_factory, plan_index
from tests.index.indexes import make_index

QUARTER = "IVF{lists},PQ{dim}x4fs"
AUTO = Auto(exact_below=20_000, factories=[QUARTER, "IVF{lists},SQ8"], lists_per_root=4.0, vectors="int8")


def planned(template, count, dim):
    return plan_index(template, count, dim, lists_per_root=4.0, vectors="int8")


def test_a_small_catalogue_is_searched_exactly_and_says_why():
    assert AUTO.plans(19_999, 128) == [Plan("Flat", "19,999 vectors, fewer than exact_below=20,000: exact")]


def test_a_large_one_gets_several_to_try():
    assert [plan.factory for plan in AUTO.plans(1_050_000, 128)] == ["IVF4096,PQ128x4fs", "IVF4096,SQ8"]


@pytest.mark.parametrize(
    ("count", "factory"),
    [
        (20_000, "IVF512,PQ128x4fs"),
        (105_000, "IVF1024,PQ128x4fs"),
        (200_000, "IVF1024,PQ128x4fs"),
        (1_050_000, "IVF4096,PQ128x4fs"),
    ],
)
def test_lists_number_between_two_and_four_roots(count, factory):
    plan = planned(QUARTER, count, 128)
    assert plan.factory == factory
    assert f"{count:,} vectors" in plan.reason


@pytest.mark.parametrize("codes", ["PQ{dim}x4fs", "PQ{half}x4fsr", "PQ{dim}np", "SQ8", "Flat", "RaBitQfs"])
@given(count=st.integers(0, 100_000), dim=st.integers(1, 100).map(lambda half: 2 * half))
@settings(max_examples=25, deadline=None)
def test_faiss_accepts_every_plan_and_has_the_vectors_to_train_it(codes, count, dim):
    plan = planned("IVF{lists}," + codes, count, dim)
    index = faiss.index_factory(dim, plan.factory, faiss.METRIC_INNER_PRODUCT)
    if plan.factory == "Flat":
        assert "too few vectors" in plan.reason
    else:
        assert index.nlist * 39 <= count
        assert not hasattr(index, "pq") or 39 * 2**index.pq.nbits <= count


def test_fewer_lists_are_made_where_each_would_have_too_few_vectors():
    plan = planned(QUARTER, 700, 16)
    assert plan.factory.startswith("IVF16,")
    assert "not 64, as a list needs 39 training vectors" in plan.reason


def test_a_named_index_that_cannot_be_trained_gives_way_to_exact_search():
    plan = planned("IVF4096,SQ8", 5000, 16)
    assert plan.factory == "Flat"
    assert "too few vectors for IVF4096,SQ8: 5,000, it is trained on 159,744 or more" in plan.reason


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        ("IVF16,PQ16x4fs,Refine(SQ8)", "has Refine, but re-scoring is this package's"),
        ("IVF16,Flat,RFlat", "has RFlat, but re-scoring is this package's"),
        ("IDMap2,IVF16,SQ8", "has IDMap, but the table of ids is this package's"),
        ("IVF16,PQ8", "trains polysemous codes.*write 'IVF16,PQ8np'"),
        ("PQ8", "trains polysemous codes.*write 'PQ8np'"),
        ("IVF16,PQ3np", "FAISS makes no index of dimension 16"),
        ("nonsense", "FAISS makes no index of dimension 16 from 'nonsense'"),
        ("IVF{list},SQ8", r"may hold \{lists\}, \{dim\} and \{half\}"),
    ],
)
def test_a_factory_string_that_would_serve_badly_is_refused_with_the_cure(factory, message):
    with pytest.raises(UsageError, match=message):
        planned(factory, 100_000, 16)


@pytest.mark.parametrize(
    "factory", ["IVF16,PQ8np", "IVF16,PQ16x4fs", "IVF16,PQ8x4fsr", "HNSW16,SQ8", "OPQ8,IVF16,PQ8x4fsr"]
)
def test_any_other_factory_string_is_taken_as_it_is(factory, caplog):
    assert planned(factory, 100_000, 16).factory == factory
    assert not caplog.records


def test_codes_that_describe_no_residuals_are_warned_of(caplog):
    with caplog.at_level(logging.WARNING):
        parse_factory("IVF16,PQ8x4fs", 16)
    assert ["'IVF16,PQ8x4fsr' keeps them" in record.message for record in caplog.records] == [True]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["index.lists_per_root=0"], "index.lists_per_root must be above 0"),
        (["index.vectors=int4"], "index.vectors must be one of auto, float32, float16, int8, not int4"),
        (["index.factories=[]"], "index.factories is empty"),
        (["bytes_per_item=0"], "bytes_per_item must be above 0"),
        (["trial_rows=0"], "trial_rows must be at least 1"),
    ],
)
def test_settings_out_of_range_are_refused(overrides, message):
    with pytest.raises(UsageError, match=message):
        instantiate(load_config(BuildConfig, "build", ["run=r", "data=d", *overrides]).index)


@pytest.mark.parametrize("factory", ["Flat", "IVF16,PQ16x4fs", "IVF16,PQ8x4fsr", "IVF16,PQ8np", "HNSW16,SQ8"])
def test_an_index_holds_every_row_and_trains_without_complaint(clustered, capfd, factory):
    vectors = clustered(10_000, 16, 0)
    index = make_index(Plan(factory, "test"), vectors, points_per_list=64, seed=0, require_gpu=False)
    assert index.ntotal == len(vectors)
    assert index.metric_type == faiss.METRIC_INNER_PRODUCT
    assert "WARNING" not in "".join(capfd.readouterr())


def test_the_same_seed_makes_the_same_index(clustered):
    vectors = clustered(3000, 16, 0)
    plan = Plan("IVF16,PQ16x4fs", "test")
    first, second = (faiss.serialize_index(make_index(plan, vectors, 40, 7, False)) for _ in range(2))
    assert np.array_equal(first, second)


def test_centroids_can_be_lent_to_another_index(clustered):
    vectors = clustered(3000, 16, 0)
    lender = make_index(Plan("IVF16,PQ8x4fsr", "test"), vectors, 64, 0, False)
    borrower = make_index(Plan("IVF16,SQ8", "test"), vectors, 64, 1, False, centroids_of(lender))
    assert np.array_equal(centroids_of(borrower), centroids_of(lender))
    assert centroids_of(make_index(Plan("Flat", "test"), vectors, 64, 0, False)) is None


@pytest.mark.parametrize(
    ("override", "kind"), [("index=auto", Auto), ("index=exact", Exact), ("index=factory", Factory)]
)
def test_every_choice_in_the_configuration_can_be_made(override, kind):
    choice = instantiate(load_config(BuildConfig, "build", ["run=r", "data=d", override]).index)
    assert isinstance(choice, kind)
    assert all(plan.factory for plan in choice.plans(100_000, 64))


def test_any_factory_string_is_an_override():
    overrides = ["run=r", "data=d", "index=factory", 'index.factory="IVF4096,SQ8"', "index.vectors=float16"]
    (plan,) = instantiate(load_config(BuildConfig, "build", overrides).index).plans(1_000_000, 64)
    assert (plan.factory, plan.vectors) == ("IVF4096,SQ8", "float16")
