"""Users whose history is taken away: what they get, what that is worth, and what is decided from it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from data_prep.columns import Split
from data_prep.dataset import Dataset
from data_prep.errors import UsageError
from data_prep.files import read_json, write_json
from towers.baselines import DoesNotApply, Popularity, Trending
from towers.baselines.popularity import popularity_trend
from towers.candidates.fallback import CONFIG, Fallback
from towers.candidates.fallback_choice import choose_fallback
from towers.events import TrainingData
from towers.events.history import History
from towers.events.interactions import Interactions
from towers.events.reading import read_sequences
from towers.metrics.bootstrap import Bootstrap
from towers.metrics.cases import Cases
from towers.metrics.evaluation import evaluate
from towers.metrics.users_without_history import ByAttributes, metrics_without_history, scores_without_history

DAY = 86_400.0
BOOTSTRAP = Bootstrap(200, 0.95, 0)


class Same:
    """One list for everybody."""

    name = "same"

    def __init__(self, scores: np.ndarray) -> None:
        self.scores = torch.from_numpy(scores.astype(np.float32))

    def score(self, histories: Sequence[History], queries: Sequence[str]) -> Tensor:
        return self.scores.repeat(len(histories), 1)


@pytest.fixture(scope="module")
def dataset(tiny_data: Path) -> Dataset:
    return Dataset.open(tiny_data)


@pytest.fixture(scope="module")
def cases(dataset: Dataset) -> Cases:
    ids = [str(i) for i in dataset.items["item_id"]]
    return Cases.held_out(read_sequences(dataset, ""), ids, Split.VALID, True, [10])


@pytest.fixture(scope="module")
def training(cases: Cases, dataset: Dataset) -> TrainingData:
    log = Interactions.of(cases.sequences, len(dataset.items), Split.VALID)
    return TrainingData(log, dataset.items, lambda texts: np.zeros((len(texts), 1), np.float32), True)


@pytest.mark.parametrize("exclude_seen", [True, False])
def test_one_list_for_everybody_is_worth_what_the_whole_evaluation_says(cases: Cases, exclude_seen: bool):
    rng = np.random.default_rng(3)
    some = replace(cases, exclude_seen=exclude_seen)
    for scores in (rng.normal(size=len(cases.item_ids)), rng.integers(0, 3, len(cases.item_ids))):  # without ties, with
        found = metrics_without_history(scores.astype(np.float32), some)
        np.testing.assert_allclose(found, evaluate(Same(scores), some, 16).metrics)


def test_a_stranger_is_asked_about_with_nothing_and_by_attributes_with_them_alone():
    asked: list[tuple[list[int], dict[str, str]]] = []

    class Listening(Same):
        def score(self, histories: Sequence[History], queries: Sequence[str]) -> Tensor:
            asked.extend((one.rows.tolist(), dict(one.attributes)) for one in histories)
            return super().score(histories, queries)

    scorer = Listening(np.array([1.0, 2.0]))
    assert scores_without_history(scorer).tolist() == [1.0, 2.0]
    ann = History(np.array([1]), ["view"], np.array([0.0]), {"age": "65+"})
    assert ByAttributes(scorer).score([ann], [""]).tolist() == [[1.0, 2.0]]
    assert ByAttributes(scorer).name == "same, by attributes"
    assert asked == [([], {}), ([], {"age": "65+"})]


def test_trending_is_what_those_who_may_take_up_now():
    # Item 0: one of four had it long ago, and one now. Item 1: three had it, the last one now. Item 2: nobody.
    users, rows = np.array([0, 1, 0, 1, 2]), np.array([0, 1, 1, 0, 1])
    times = np.array([0.0, 0.0, 50.0, 100.0, 100.0]) * DAY
    order = np.lexsort((times, users))
    log = Interactions(np.array([0, 2, 4, 5, 5]), rows[order], times[order], 3)
    window = 10 / np.log(2) * (1 - 0.5**10)
    recent = np.array([1 + 0.5**10, 1 + 0.5**5 + 0.5**10, 0])
    expected = (recent / window + 1 / 10) / (4 - np.array([2, 3, 0]) + 1)
    np.testing.assert_allclose(popularity_trend(log, True, 10.0), [*expected[:2], 0])
    np.testing.assert_allclose(popularity_trend(log, False, 10.0), [*((recent / window + 1 / 10) / 5)[:2], 0])
    data = TrainingData(log, None, lambda texts: np.zeros((len(texts), 1)), True)  # type: ignore[arg-type]
    np.testing.assert_allclose(scores_without_history(Trending(10.0).fit(data)), [*expected[:2], 0], rtol=1e-6)
    timeless = replace(log, timestamps=np.full(5, np.nan))
    np.testing.assert_array_equal(popularity_trend(timeless, True, 10.0), [2, 3, 0])
    with pytest.raises(DoesNotApply, match="no times"):
        Trending(10.0).fit(replace(data, interactions=timeless))


def lists(*names: str) -> dict[str, dict[str, object]]:
    made = {
        "popularity": {"_target_": "towers.baselines.Popularity"},
        "trending": {"_target_": "towers.baselines.Trending", "half_life_days": 3},
    }
    return {name: made[name] for name in names}


def test_a_list_is_taken_if_it_is_better_than_the_towers_beyond_chance(cases: Cases, training: TrainingData):
    popular = scores_without_history(Popularity().fit(training))
    relevant = np.bincount(np.concatenate(cases.truth), minlength=len(popular))
    perverse = -relevant.astype(np.float32)  # what is relevant most comes last
    hopeless = choose_fallback(perverse, lists("popularity", "trending"), training, cases, BOOTSTRAP)
    assert hopeless.name == max(hopeless.compared, key=lambda name: hopeless.compared[name].after)
    assert set(hopeless.compared) == {"popularity", "trending"}
    gain = hopeless.compared[hopeless.name]
    assert gain.low > 0 and gain.cases == len(cases) and hopeless.why.startswith(f"{hopeless.name} NDCG@10")
    column = metrics_without_history(perverse, cases)[:, 1]
    assert gain.before == pytest.approx(column.mean())
    equal = choose_fallback(popular, lists("popularity"), training, cases, BOOTSTRAP)
    assert equal.name == "towers" and equal.compared["popularity"].mean == 0


def test_without_lists_or_users_there_is_nothing_to_decide(cases: Cases, training: TrainingData):
    towers = np.zeros(len(cases.item_ids), np.float32)
    assert choose_fallback(towers, {}, training, cases, BOOTSTRAP).name == "towers"
    nobody = choose_fallback(towers, lists("popularity"), training, cases[np.array([], np.int64)], BOOTSTRAP)
    assert nobody.name == "towers" and "nobody" in nobody.why
    timeless = replace(
        training, interactions=replace(training.interactions, timestamps=training.interactions.timestamps * np.nan)
    )
    found = choose_fallback(towers, lists("trending"), timeless, cases, BOOTSTRAP)
    assert found.name == "towers" and "no times" in found.left_out["trending"]


def test_a_list_has_what_is_known_best_first_and_is_the_same_after_the_disk(tmp_path: Path):
    made = Fallback.of("trending", np.array([0.0, 2.0, 0.5, 2.0, 0.0], np.float32))
    assert made.rows.tolist() == [1, 3, 2] and made.scores.tolist() == [2.0, 2.0, 0.5]
    made.save(tmp_path / "fallback")
    read = Fallback.load(tmp_path / "fallback")
    assert (read.name, read.rows.tolist(), read.scores.tolist()) == ("trending", [1, 3, 2], [2.0, 2.0, 0.5])
    write_json(tmp_path / "fallback" / CONFIG, read_json(tmp_path / "fallback" / CONFIG) | {"format": 99})
    with pytest.raises(UsageError, match="format 99, this version reads 1"):
        Fallback.load(tmp_path / "fallback")
