"""The cross-encoder, how it is shown users and items, and what it learns from."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data_prep.columns import Split
from data_prep.dataset import Dataset
from data_prep.errors import UsageError
from towers import CrossEncoder, InputTemplate, OneVectorModel
from towers.events.history import NO_QUERY, History
from towers.events.reading import read_sequences
from towers.metrics.evaluation import Cases
from towers.model.scorer import model_scorer
from towers.ranking.cross_encoder import small_backbone
from towers.ranking.examples import of_items, of_judgements, of_users
from towers.ranking.mining import Shortlist, groups, shortlists

PLAIN = InputTemplate(template=None, context_items=3, event_types=False)


def shortlist(grades: list[int], missed: list[int] | None = None, context: str = "") -> Shortlist:
    """Items 10, 11, … of these grades, best first by recall; items 90, 91, … were missed."""
    grades_of, lost = np.array(grades, np.int64), np.array(missed or [], np.int64)
    scores = np.linspace(1, 0, len(grades)).astype(np.float32)
    return Shortlist(
        context, 10 + np.arange(len(grades)), scores, grades_of,
        90 + np.arange(len(lost)), np.full(len(lost), -1, np.float32), lost,
    )  # fmt: skip


@pytest.fixture(scope="module")
def bert(tiny_encoder: Path) -> Path:
    return tiny_encoder.parent / "bert"


def untrained(bert: Path, width: int = 32, recall_weight: float = 5.0) -> CrossEncoder:
    return CrossEncoder(*small_backbone(bert, 1, width), 32, PLAIN, recall_weight=recall_weight).eval()


def test_the_context_is_the_query_and_then_the_newest_titles_first():
    titles, events = ["soap", "rye bread", "", "green tea"], ["view", "view", "view", "cart"]
    assert PLAIN.context(titles, events, " toast ") == "toast; green tea; rye bread"
    assert PLAIN.context([], [], "") == ""
    told = InputTemplate(template=None, context_items=2, event_types=True)
    assert told.context(titles[:2], events[-2:], "") == "cart rye bread; view soap"


def test_items_are_shown_by_a_template_and_by_their_text_where_it_leaves_nothing():
    table = pd.DataFrame(
        {"title": ["tea", None], "brand": ["Bodum", ""], "price": [2.5, np.nan], "text": ["some tea", "a thing"]}
    )
    assert PLAIN.items(table) == ["some tea", "a thing"]
    shown = InputTemplate(template="{title}, by {brand}, {price}", context_items=3, event_types=False)
    assert shown.items(table) == ["tea, by Bodum, 2.5", "a thing"]
    with pytest.raises(UsageError, match="names 'colour'"):
        InputTemplate(template="{colour}", context_items=3, event_types=False).items(table)


def test_an_untrained_reranker_keeps_the_recall_order(bert: Path):
    recalled = np.array([0.3, 0.9, -0.2], np.float32)
    found = untrained(bert).score("green tea", ["rye bread", "black tea", "cat food"], recalled)
    np.testing.assert_allclose(found, 5 * recalled, atol=1e-6)


def test_scores_do_not_depend_on_what_else_is_scored(tiny_run: Path):
    model = CrossEncoder.load(tiny_run / "cross_encoder")
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
    model.input_template = InputTemplate("{title} {brand}", context_items=2, event_types=True)
    model.save(tmp_path / "cross_encoder")
    assert CrossEncoder.load(tmp_path / "cross_encoder").input_template == model.input_template
    recalled = np.array([0.1, 0.2], np.float32)
    expected = model.score("green tea", ["black tea", "dog leash"], recalled)
    np.testing.assert_allclose(
        CrossEncoder.load(tmp_path / "cross_encoder").score("green tea", ["black tea", "dog leash"], recalled),
        expected,
        atol=1e-6,
    )
    (tmp_path / "cross_encoder" / "cross_encoder.json").unlink()
    with pytest.raises(UsageError, match="no reranker"):
        CrossEncoder.load(tmp_path / "cross_encoder")


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


def test_a_strength_scales_what_was_read_and_leaves_recall_alone(bert: Path):
    model = untrained(bert)
    model.head.weight.data.normal_()
    model.head.bias.data.fill_(0.3)
    texts, recalled = ["black tea", "rye bread"], np.array([0.1, 0.2], np.float32)
    read = model.score("green tea", texts, np.zeros(2, np.float32))
    model.temper(0.25)
    np.testing.assert_allclose(model.score("green tea", texts, recalled), 0.25 * read + 5 * recalled, atol=1e-5)


def test_shortlists_are_the_towers_best_unseen_items_and_count_what_they_miss(tiny_run: Path, tiny_data: Path):
    towers, dataset = OneVectorModel.open(tiny_run), Dataset.open(tiny_data)
    item_ids = [str(i) for i in dataset.items["item_id"]]
    cases = Cases.held_out(read_sequences(dataset, ""), item_ids, Split.VALID, True, [10])
    vectors = towers.item_vectors(dataset.items)
    users = towers.user_encoder(dataset.items, vectors)
    titles = [str(t) for t in dataset.items["title"]]
    moments = of_users(cases, [""] * len(titles), 0.0, np.random.default_rng(0))
    recall = model_scorer("one vector", towers, dataset.items).score
    found = list(shortlists(recall, moments, titles, PLAIN, depth=7, batch_size=5))
    assert len(found) == len(cases)
    for case, one in enumerate(found):
        history = cases.history(case)
        scores = vectors @ users.encode([history], [""])[0]
        open_to = [row for row in np.argsort(-scores, kind="stable") if row not in set(history.rows)][:7]
        assert sorted(one.rows) == sorted(open_to)
        np.testing.assert_allclose(one.scores, scores[one.rows], atol=1e-5)
        np.testing.assert_allclose(one.missed_scores, scores[one.missed_rows], atol=1e-5)
        assert one.relevant == len(cases.truth[case]) == one.grades.sum() + one.missed
        assert set(one.rows[one.grades > 0]) == set(one.rows) & set(cases.truth[case])
        assert set(one.missed_rows) == set(cases.truth[case]) - set(one.rows)
        names = [titles[row] for row in history.rows]
        assert one.context == PLAIN.context(names, history.events, "")


def test_what_judges_said_is_found_or_missed_with_its_grade():
    moment = of_judgements(["tea"], [np.array([4, 2, 0])], [np.array([0, 3, 1])])[0]
    scores = np.array([0.1, 0.9, 0.8, 0.7, 0.6], np.float32)

    def recall(histories: list[History], queries: list[str]):
        import torch

        assert queries == ["tea"] and not len(histories[0].rows)
        return torch.from_numpy(scores.copy())[None]

    (one,) = shortlists(recall, [moment], list("abcde"), PLAIN, depth=3, batch_size=8)
    assert (one.rows.tolist(), one.grades.tolist()) == ([1, 2, 3], [0, 3, 0])
    assert (one.missed_rows.tolist(), one.missed_grades.tolist(), one.missed) == ([4, 0], [0, 1], 1)
    assert one.context == "tea"


def test_a_user_who_asks_wants_what_was_asked_for_and_is_not_offered_the_rest(tiny_data: Path):
    dataset = Dataset.open(tiny_data)
    item_ids = [str(i) for i in dataset.items["item_id"]]
    log = read_sequences(dataset, "")
    cases = Cases.held_out(log, item_ids, Split.VALID, True, [10])
    titles = [str(t) for t in dataset.items["title"]]
    asking = of_users(cases, titles, 1.0, np.random.default_rng(0))
    for case, moment in enumerate(asking):
        assert [titles[row] for row in moment.rows] == [moment.query]
        assert moment.rows[0] in cases.truth[case]
        assert set(moment.excluded) == set(cases.seen(case)) | (set(cases.truth[case]) - set(moment.rows))
    queries = np.full(len(log.rows), NO_QUERY)
    queries[cases.ends] = 0
    logged = Cases(
        type(log)(**{**log.__dict__, "queries": queries, "query_texts": ["brew"]}),
        *(getattr(cases, name) for name in ("item_ids", "split", "users", "ends", "truth", "exclude_seen", "cutoffs")),
    )
    for case, moment in zip(range(len(cases)), of_users(logged, titles, 1.0, np.random.default_rng(0)), strict=False):
        if log.rows[cases.ends[case]] in cases.truth[case]:
            assert (moment.query, moment.rows.tolist()) == ("brew", [log.rows[cases.ends[case]]])


def test_a_query_derived_from_items_wants_all_that_give_it():
    moments = of_items(["tea", "", "rye", "tea"], 10, np.random.default_rng(0))
    assert {moment.query: moment.rows.tolist() for moment in moments} == {"tea": [0, 3], "rye": [2]}
    assert len(of_items(["tea", "", "rye", "tea"], 1, np.random.default_rng(0))) == 1


def test_groups_hold_wanted_and_unwanted_candidates_of_one_moment():
    rng = np.random.default_rng(0)
    one = shortlist([0, 3, 0, 1, 0, 0], missed=[2, 0])
    nothing_wanted, nothing_else = shortlist([0, 0]), shortlist([1, 1, 1])
    (found,) = groups([nothing_wanted, one, nothing_else], relevant=5, negatives=3, add_missed=False, rng=rng)
    assert dict(zip(found.rows.tolist(), found.grades.tolist(), strict=True)).items() >= {(11, 3), (13, 1)}
    assert len(found.rows) == 5 and set(found.rows) <= set(one.rows)
    np.testing.assert_array_equal(found.scores, one.scores[found.rows - 10])
    (few,) = groups([one], relevant=1, negatives=2, add_missed=False, rng=rng)
    assert sorted(few.grades > 0) == [False, False, True]


def test_what_recall_missed_joins_groups_only_where_that_is_asked_for():
    one = shortlist([0, 0, 0], missed=[2])
    assert groups([one], 5, 5, add_missed=False, rng=np.random.default_rng(0)) == []
    (found,) = groups([one], 5, 5, add_missed=True, rng=np.random.default_rng(0))
    assert sorted(found.rows) == [10, 11, 12, 90]
    assert found.scores[found.rows == 90] == -1


def test_the_run_says_what_the_reranker_was_trained_for_and_what_it_was_worth(tiny_run: Path):
    marks = json.loads((tiny_run / "cross_encoder" / "run.json").read_text())
    assert marks["towers_fingerprint"] == OneVectorModel.open(tiny_run).fingerprint
    users = marks["result"]["users"]
    assert 0 <= users["missed"] <= 1
    assert 0 < users["recall_ndcg"] <= 1
    assert users["low"] <= users["mean"] <= users["high"]
    assert users["mean"] == pytest.approx(users["reranked_ndcg"] - users["recall_ndcg"])
    assert marks["result"]["queries"] is None
    assert not list(tiny_run.glob("cross_encoder_training"))


def test_no_pickle_is_left_in_a_reranker(tiny_run: Path, tmp_path: Path):
    shutil.copytree(tiny_run / "cross_encoder", tmp_path / "copy")
    assert not [p for p in (tmp_path / "copy").rglob("*") if p.suffix in (".bin", ".pt", ".pkl")]
