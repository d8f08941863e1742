"""The cross-encoder and what it learns from."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from data_prep.columns import Split
from data_prep.dataset import Dataset
from data_prep.errors import UsageError
from towers import CrossEncoder, Model, render_context
from towers.cross_encoder import small_backbone
from towers.evaluation import Cases
from towers.material import read_sequences
from towers.mining import Shortlist, groups, shortlists
from towers.reranker_training import shortlist_ndcg


@pytest.fixture(scope="module")
def bert(tiny_encoder: Path) -> Path:
    return tiny_encoder.parent / "bert"


def untrained(bert: Path, width: int = 32, recall_weight: float = 5.0) -> CrossEncoder:
    return CrossEncoder(*small_backbone(bert, 1, width), 32, context_items=3, recall_weight=recall_weight).eval()


def test_the_context_is_the_query_and_then_the_newest_titles_first():
    assert render_context(["rye bread", "", "green tea"], " toast ") == "toast; green tea; rye bread"
    assert render_context([], "") == ""


def test_an_untrained_reranker_keeps_the_recall_order(bert: Path):
    recalled = np.array([0.3, 0.9, -0.2], np.float32)
    found = untrained(bert).score("green tea", ["rye bread", "black tea", "cat food"], recalled)
    np.testing.assert_allclose(found, 5 * recalled, atol=1e-6)


def test_scores_do_not_depend_on_what_else_is_scored(tiny_run: Path):
    model = CrossEncoder.load(tiny_run / "reranker")
    texts = ["green tea", "black tea with a very long name that goes on and on", "rye", "", "cat food"] * 20
    recalled = np.linspace(0, 1, len(texts)).astype(np.float32)
    together = model.score("rye bread; toast", texts, recalled)
    for i in (0, 1, 3, 57):
        np.testing.assert_allclose(
            model.score("rye bread; toast", [texts[i]], recalled[i : i + 1])[0], together[i], atol=1e-4
        )
    assert len(model.score("x", [], np.zeros(0, np.float32))) == 0


def test_a_saved_reranker_scores_like_the_one_in_memory(bert: Path, tmp_path: Path):
    model = untrained(bert)
    model.head.weight.data.normal_()
    model.save(tmp_path / "reranker")
    recalled = np.array([0.1, 0.2], np.float32)
    expected = model.score("green tea", ["black tea", "dog leash"], recalled)
    np.testing.assert_allclose(
        CrossEncoder.load(tmp_path / "reranker").score("green tea", ["black tea", "dog leash"], recalled),
        expected,
        atol=1e-6,
    )
    (tmp_path / "reranker" / "reranker.json").unlink()
    with pytest.raises(UsageError, match="no reranker"):
        CrossEncoder.load(tmp_path / "reranker")


def test_a_backbone_of_the_same_width_keeps_the_pretrained_layers_and_a_narrower_one_is_fresh(bert: Path):
    same, _ = small_backbone(bert, 1, 64)
    whole, _ = small_backbone(bert, 2, 64)
    assert len(same.encoder.layer) == 1
    first = "encoder.layer.0.attention.self.query.weight"
    assert (same.state_dict()[first] == whole.state_dict()[first]).all()
    narrow, _ = small_backbone(bert, 2, 32)
    assert narrow.state_dict()[first].shape == (32, 32)


@pytest.mark.parametrize(
    ("layers", "width", "named"), [(3, 64, "layers: 3"), (1, 40, "width: 40"), (1, 128, "width: 128")]
)
def test_sizes_that_the_pretrained_model_cannot_give_are_refused(bert: Path, layers: int, width: int, named: str):
    with pytest.raises(UsageError, match=named):
        small_backbone(bert, layers, width)


def test_shortlists_are_the_towers_best_unseen_items_and_count_what_they_miss(tiny_run: Path, tiny_data: Path):
    towers, dataset = Model.open(tiny_run), Dataset.open(tiny_data)
    item_ids = [str(i) for i in dataset.items["item_id"]]
    cases = Cases.held_out(read_sequences(dataset, ""), item_ids, Split.VALID, True, [10])
    vectors = towers.item_vectors(dataset.items)
    users = towers.user_encoder(dataset.items, vectors)
    titles = [str(t) for t in dataset.items["title"]]
    found = list(shortlists(users, vectors, cases, titles, depth=7, context_items=2, batch_size=5))
    assert len(found) == len(cases)
    for case, one in enumerate(found):
        history = cases.history(case)
        scores = vectors @ users.encode([history], [""])[0]
        open_to = [row for row in np.argsort(-scores, kind="stable") if row not in set(history.rows)][:7]
        assert sorted(one.rows) == sorted(open_to)
        np.testing.assert_allclose(one.scores, scores[one.rows], atol=1e-5)
        assert one.wanted.sum() + one.missed == len(cases.truth[case])
        assert set(one.rows[one.wanted]) == set(one.rows) & set(cases.truth[case])
        assert one.context == render_context([titles[row] for row in history.rows[-2:]], "")


def test_groups_put_a_wanted_item_before_unwanted_ones_of_the_same_user():
    one = Shortlist(
        "a", np.arange(10, 16), np.linspace(1, 0, 6).astype(np.float32), np.array([0, 1, 0, 1, 0, 0], bool), 0
    )
    few = Shortlist("b", np.arange(3), np.ones(3, np.float32), np.array([True, True, False]), 0)
    found = groups([one, few], negatives=3, per_user=5, rng=np.random.default_rng(0))
    assert sorted(group.rows[0] for group in found) == [11, 13]
    for group in found:
        assert len(set(group.rows)) == 4
        assert set(group.rows[1:]) <= {10, 12, 14, 15}
        np.testing.assert_array_equal(group.scores, one.scores[group.rows - 10])
    assert len(groups([one], negatives=3, per_user=1, rng=np.random.default_rng(0))) == 1


def test_ndcg_of_a_shortlist_counts_what_was_missed():
    one = Shortlist("", np.arange(3), np.zeros(3, np.float32), np.array([False, True, False]), missed=1)
    found = shortlist_ndcg(one, np.array([0.1, 0.9, 0.5], np.float32))
    assert found == pytest.approx(1 / (1 + 1 / np.log2(3)))


def test_the_run_says_what_the_reranker_was_trained_for_and_what_it_was_worth(tiny_run: Path):
    marks = json.loads((tiny_run / "reranker" / "run.json").read_text())
    assert marks["towers_fingerprint"] == Model.open(tiny_run).fingerprint
    assert 0 <= marks["result"]["missed"] <= 1
    assert 0 < marks["result"]["recall_ndcg"] <= 1


def test_no_pickle_is_left_in_a_reranker(tiny_run: Path, tmp_path: Path):
    shutil.copytree(tiny_run / "reranker", tmp_path / "copy")
    assert not [p for p in (tmp_path / "copy").rglob("*") if p.suffix in (".bin", ".pt", ".pkl")]
