"""Which index a catalogue gets."""

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.command import instantiate, load_config
from index.config import BuildConfig
from index.factory import Auto, Exact, IvfPq, Plan, make_index

QUARTER = IvfPq(lists_per_root=4.0, dims_per_code=1, bits=4)


def test_a_small_catalogue_is_searched_exactly_and_told_why():
    plan = Auto(exact_below=20_000, above=QUARTER).plan(19_999, 128)
    assert plan == Plan("Flat", "19,999 vectors, fewer than exact_below=20,000: exact")


@pytest.mark.parametrize(
    ("count", "factory"),
    [
        (20_000, "IVF512,PQ128x4fs"),
        (105_000, "IVF1024,PQ128x4fs"),
        (200_000, "IVF1024,PQ128x4fs"),
        (1_050_000, "IVF4096,PQ128x4fs"),
    ],
)
def test_a_large_catalogue_gets_between_two_and_four_roots_of_lists(count, factory):
    plan = Auto(exact_below=20_000, above=QUARTER).plan(count, 128)
    assert plan.factory == factory
    assert f"{count:,} vectors" in plan.reason


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("dims_per_code", [1, 2, 3, 8])
@given(count=st.integers(0, 100_000), dim=st.integers(1, 200))
@settings(max_examples=40, deadline=None)
def test_faiss_accepts_every_plan_and_has_the_vectors_to_train_it(bits, dims_per_code, count, dim):
    plan = IvfPq(lists_per_root=4.0, dims_per_code=dims_per_code, bits=bits).plan(count, dim)
    index = faiss.index_factory(dim, plan.factory, faiss.METRIC_INNER_PRODUCT)
    if plan.factory == "Flat":
        assert count < 39 * 2**bits and "too few vectors" in plan.reason
    else:
        assert index.nlist * 39 <= count
        assert index.pq.nbits == bits


def test_eight_bit_codes_are_never_polysemous():
    plan = IvfPq(lists_per_root=4.0, dims_per_code=2, bits=8).plan(100_000, 128)
    assert plan.factory.endswith("PQ64np")
    index = faiss.index_factory(128, plan.factory, faiss.METRIC_INNER_PRODUCT)
    assert not index.do_polysemous_training


def test_codes_of_several_dimensions_describe_residuals():
    assert IvfPq(4.0, dims_per_code=2, bits=4).plan(100_000, 128).factory.endswith("PQ64x4fsr")
    assert IvfPq(4.0, dims_per_code=1, bits=4).plan(100_000, 128).factory.endswith("PQ128x4fs")


def test_fewer_lists_are_made_where_each_would_have_too_few_vectors():
    plan = QUARTER.plan(700, 16)
    assert plan.factory.startswith("IVF16,")
    assert "not 64, as a list needs 39 training vectors" in plan.reason


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lists_per_root": 0.0}, "lists_per_root must be above 0"),
        ({"dims_per_code": 0}, "dims_per_code must be at least 1"),
        ({"bits": 6}, "bits must be 4 or 8, not 6"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        IvfPq(**{"lists_per_root": 4.0, "dims_per_code": 1, "bits": 4, **arguments})


@pytest.mark.parametrize("factory", ["Flat", "IVF16,PQ16x4fs", "IVF16,PQ8x4fsr", "IVF16,PQ8np"])
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


@pytest.mark.parametrize(("override", "kind"), [("index=auto", Auto), ("index=exact", Exact), ("index=ivf_pq", IvfPq)])
def test_every_choice_in_the_configuration_can_be_made(override, kind):
    config = load_config(BuildConfig, "build", ["run=r", "data=d", override])
    assert isinstance(instantiate(config.index), kind)


def test_the_bound_for_exact_search_is_an_override():
    config = load_config(BuildConfig, "build", ["run=r", "data=d", "index.exact_below=5", "index.above.bits=8"])
    choice = instantiate(config.index)
    assert choice == Auto(exact_below=5, above=IvfPq(4.0, 1, 8))
