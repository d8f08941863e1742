"""Mining: shortlists of examples, and training groups drawn from them."""

from pathlib import Path

import numpy as np

from data_prep.columns import Split
from data_prep.dataset import Dataset
from tests.towers.ranking.shortlist import shortlist
from towers import InputTemplate, OneVectorModel
from towers.events.history import History
from towers.events.reading import read_sequences
from towers.metrics.cases import Cases
from towers.metrics.judgements import Judgements
from towers.model.scorer import model_scorer
from towers.ranking.examples import judged_examples, user_examples
from towers.ranking.mining import groups, shortlists

PLAIN = InputTemplate(template=None, context_items=3, event_types=False)


def test_shortlists_are_the_towers_best_unseen_items_and_count_what_is_not_retrieved(tiny_run: Path, tiny_data: Path):
    towers, dataset = OneVectorModel.open(tiny_run), Dataset.open(tiny_data)
    item_ids = [str(i) for i in dataset.items["item_id"]]
    cases = Cases.held_out(read_sequences(dataset, ""), item_ids, Split.VALID, True, [10])
    vectors = towers.item_vectors(dataset.items)
    users = towers.user_encoder(dataset.items, vectors)
    titles = [str(t) for t in dataset.items["title"]]
    examples = user_examples(cases, [""] * len(titles), 0.0, np.random.default_rng(0))
    recall = model_scorer("one vector", towers, dataset.items).score
    found = list(shortlists(recall, examples, titles, PLAIN, depth=7, batch_size=5))
    assert len(found) == len(cases)
    for case, one in enumerate(found):
        history = cases.history(case)
        scores = vectors @ users.encode([history], [""])[0]
        open_to = [row for row in np.argsort(-scores, kind="stable") if row not in set(history.rows)][:7]
        assert sorted(one.rows) == sorted(open_to)
        np.testing.assert_allclose(one.scores, scores[one.rows], atol=1e-5)
        np.testing.assert_allclose(one.not_retrieved_scores, scores[one.not_retrieved_rows], atol=1e-5)
        assert one.relevant == len(cases.truth[case]) == one.grades.sum() + one.not_retrieved
        assert set(one.rows[one.grades > 0]) == set(one.rows) & set(cases.truth[case])
        assert set(one.not_retrieved_rows) == set(cases.truth[case]) - set(one.rows)
        names = [titles[row] for row in history.rows]
        assert one.context == PLAIN.context(names, history.events, "")


def test_judged_items_are_retrieved_or_not_with_their_grades():
    (example,) = judged_examples(Judgements(["tea"], [np.array([4, 2, 0])], [np.array([0, 3, 1])]))
    scores = np.array([0.1, 0.9, 0.8, 0.7, 0.6], np.float32)

    def recall(histories: list[History], queries: list[str]):
        import torch

        assert queries == ["tea"] and not len(histories[0].rows)
        return torch.from_numpy(scores.copy())[None]

    (one,) = shortlists(recall, [example], list("abcde"), PLAIN, depth=3, batch_size=8)
    assert (one.rows.tolist(), one.grades.tolist()) == ([1, 2, 3], [0, 3, 0])
    assert (one.not_retrieved_rows.tolist(), one.not_retrieved_grades.tolist(), one.not_retrieved) == (
        [4, 0],
        [0, 1],
        1,
    )
    assert one.context == "tea"


def test_groups_hold_relevant_and_other_candidates_of_one_example():
    rng = np.random.default_rng(0)
    one = shortlist([0, 3, 0, 1, 0, 0], not_retrieved=[2, 0])
    nothing_relevant, nothing_else = shortlist([0, 0]), shortlist([1, 1, 1])
    (found,) = groups([nothing_relevant, one, nothing_else], relevant=5, negatives=3, add_not_retrieved=False, rng=rng)
    assert dict(zip(found.rows.tolist(), found.grades.tolist(), strict=True)).items() >= {(11, 3), (13, 1)}
    assert len(found.rows) == 5 and set(found.rows) <= set(one.rows)
    np.testing.assert_array_equal(found.scores, one.scores[found.rows - 10])
    (few,) = groups([one], relevant=1, negatives=2, add_not_retrieved=False, rng=rng)
    assert sorted(few.grades > 0) == [False, False, True]


def test_what_is_not_retrieved_joins_groups_only_where_that_is_configured():
    one = shortlist([0, 0, 0], not_retrieved=[2])
    assert groups([one], 5, 5, add_not_retrieved=False, rng=np.random.default_rng(0)) == []
    (found,) = groups([one], 5, 5, add_not_retrieved=True, rng=np.random.default_rng(0))
    assert sorted(found.rows) == [10, 11, 12, 90]
    assert found.scores[found.rows == 90] == -1
