"""The search that looks at less, for when there is too much to do."""

import faiss
import numpy as np

from index import ItemIndex, SearchParameters
from retrieval_server.bundles.served_bundle import lighter

VECTORS = np.random.default_rng(3).standard_normal((700, 8)).astype(np.float32)


def index_of(factory: str, nprobe: int) -> ItemIndex:
    made = faiss.index_factory(8, factory, faiss.METRIC_INNER_PRODUCT)
    made.train(VECTORS)
    made.add(VECTORS)
    return ItemIndex(VECTORS, made, SearchParameters(nprobe=nprobe, rescore=4.0, k=10))


def test_it_visits_and_rescores_half_as_much_and_the_other_stays_as_it_was() -> None:
    index = index_of("IVF16,Flat", nprobe=8)
    less = lighter(index)
    assert less is not None
    assert less.parameters == SearchParameters(nprobe=4, rescore=2.0, k=10)
    assert index.parameters == SearchParameters(nprobe=8, rescore=4.0, k=10)


def test_its_answers_are_whole_and_their_scores_exact() -> None:
    less = lighter(index_of("IVF16,Flat", nprobe=8))
    assert less is not None
    queries = np.random.default_rng(4).standard_normal((20, 8)).astype(np.float32)
    for query, hits in zip(queries, less.search(queries, 10, [np.arange(5)] * 20), strict=True):
        assert len(set(hits.rows)) == 10
        assert hits.rows.min() >= 5
        np.testing.assert_allclose(hits.scores, VECTORS[hits.rows] @ query, rtol=1e-5)


def test_where_there_is_nothing_to_save_there_is_none() -> None:
    assert lighter(index_of("Flat", nprobe=1)) is None
