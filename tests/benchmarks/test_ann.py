"""The comparison of indexes: what recall counts, who stands in the table, and a contest of real processes."""

import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.ann import page
from benchmarks.ann.catalogue import NO_SECTION, read_shop
from benchmarks.ann.contest import ContestFiles, kth_scores, recall, run
from benchmarks.ann.plan import ContenderPlan, MeasurePlan, ShopPlan, read_plan
from benchmarks.ann.records import Contender, Rate, Results, keep, recorded
from benchmarks.ann.synthetic import synthetic
from benchmarks.ann.users import made_up
from data_prep.errors import GateFailed

MEASURE = MeasurePlan(k=10, recall_floor=0.9, rounds=3, seconds=0.001, batches=[1, 8], threads=[1, 2])


def faiss_plan(factory: str, tried: list[dict[str, int]]) -> ContenderPlan:
    return ContenderPlan(factory, "faiss", "faiss_index", None, {"factory": factory}, tried)


@pytest.fixture
def material(tmp_path: Path) -> ContestFiles:
    vectors, users = synthetic(2000, 80, 16, seed=0)
    files = ContestFiles(tmp_path / "vectors.npy", tmp_path / "queries.npy", tmp_path / "users.npy")
    np.save(files.vectors, vectors)
    np.save(files.queries, users[:40])
    np.save(files.users, users[40:])
    return files


def test_recall_counts_each_row_once_ties_as_equal_and_nothing_as_missing() -> None:
    vectors = np.array([[1.0], [0.9], [0.9], [0.1]], np.float32)
    query = np.ones((1, 1), np.float32)
    bounds = kth_scores(vectors, query, 2)
    assert bounds.tolist() == pytest.approx([0.9])
    for rows, share in (([0, 1], 1.0), ([0, 2], 1.0), ([0, 0], 0.5), ([0, 3], 0.5), ([0, -1], 0.5)):
        assert recall(np.array([rows]), vectors, query, bounds) == share


def test_the_kth_score_is_that_of_sorting_everything() -> None:
    vectors, queries = synthetic(300, 20, 8, seed=1)
    by_sorting = -np.sort(-(queries @ vectors.T), axis=1)[:, 6]
    assert kth_scores(vectors, queries, 7) == pytest.approx(by_sorting)


def test_contenders_in_processes_of_their_own_are_measured_in_every_cell(
    material: ContestFiles, tmp_path: Path
) -> None:
    plans = {
        "flat": faiss_plan("Flat", [{}]),
        "lists": faiss_plan("IVF16,Flat", [{"nprobe": 1}, {"nprobe": 16}]),
        "ours": ContenderPlan(
            "ours", "ours", "ours", None, {"users": "{users}", "overrides": []}, [{"recall_target": 0.9}]
        ),
    }
    found = run(plans, dict.fromkeys(plans, Path(sys.executable)), material, MEASURE, tmp_path / "logs", jobs=2)
    assert found["flat"].recalls == found["ours"].recalls == [1.0]  # 2,000 items are searched exactly
    assert found["lists"].recalls[0] < found["lists"].recalls[1] == 1.0
    assert found["flat"].bytes_per_vector == pytest.approx(16 * 4, abs=1)
    for contender in found.values():
        place = contender.chosen(MEASURE.recall_floor, 8)
        for batch, threads in ((1, 1), (1, 2), (8, 1), (8, 2)):
            assert contender.rate(place, batch, threads).per_cpu_second > 0


def test_a_contender_that_fails_is_named_with_the_end_of_its_log(material: ContestFiles, tmp_path: Path) -> None:
    plans = {"broken": faiss_plan("NoSuchIndex", [{}])}
    with pytest.raises(GateFailed, match=r"(?s)broken ended with 1.*NoSuchIndex"):
        run(plans, {"broken": Path(sys.executable)}, material, MEASURE, tmp_path / "logs", jobs=1)


def contender(recalls: list[float], speeds: list[float]) -> Contender:
    rates = [Rate(place, 64, 1, speed, speed) for place, speed in enumerate(speeds)]
    return Contender(1.0, 100.0, [{"nprobe": n} for n in range(len(recalls))], recalls, rates)


def test_the_table_has_the_fastest_setting_that_is_good_enough_else_the_best() -> None:
    assert contender([0.90, 0.96, 0.99], [300.0, 200.0, 100.0]).chosen(0.95, 64) == 1
    assert contender([0.96, 0.97, 0.99], [200.0, 300.0, 100.0]).chosen(0.95, 64) == 1
    assert contender([0.80, 0.90, 0.85], [300.0, 200.0, 100.0]).chosen(0.95, 64) == 1


def test_results_come_back_and_the_page_keeps_what_is_outside_its_markers(tmp_path: Path) -> None:
    plan = read_plan()
    whole = contender([0.9, 0.97], [2000.0, 1000.0])
    whole.rates.extend(Rate(1, batch, threads, 700.0, 500.0) for batch, threads in ((1, 1), (1, 2), (64, 2)))
    results = Results(
        {"ours": whole, "scann": whole}, 1234, 128, 99, "python -m x", "abc", "m", {"lib": "1"}, "2026-01-01"
    )
    keep(results, tmp_path / "results")
    assert recorded(tmp_path / "results") == results
    assert recorded(tmp_path) is None
    (tmp_path / "benchmarks.md").write_text(
        f"before\n{page.BEGIN}\nwas here before\n{page.END}\nafter\n", encoding="utf-8"
    )
    page.write_page(results, plan, tmp_path)
    text = (tmp_path / "benchmarks.md").read_text(encoding="utf-8")
    assert text.startswith("before\n") and text.endswith("after\n") and "was here before" not in text
    assert "| **twotower, index=auto** | nprobe 1 | 0.970 | 700 (500) | 1,000 (1,000) |" in text
    assert "1,234 vectors" in text and (tmp_path / page.PICTURE).stat().st_size > 1000


def test_a_shop_without_users_gets_made_up_ones_of_one_section_each(tmp_path: Path) -> None:
    import pandas as pd

    pd.DataFrame({"id": range(6), "name": list("abcdef"), "part": [1, 1, 1, 2, 2, 2]}).to_parquet(
        tmp_path / "i.parquet"
    )
    shop = read_shop(ShopPlan("i.parquet", "id", "{name}", section="part"), tmp_path)
    assert shop.texts == list("abcdef") and not shop.histories
    sections = np.concatenate([[NO_SECTION], shop.sections])
    for history in made_up(sections, 20, read_plan().users, np.random.default_rng(0)):
        assert len(history) >= 2 and len(set(sections[history].tolist()) - {NO_SECTION}) == 1


def test_a_shops_users_have_their_items_in_the_order_of_the_log(tmp_path: Path) -> None:
    import pandas as pd

    pd.DataFrame({"id": [7, 8, 9], "name": list("abc")}).to_parquet(tmp_path / "i.parquet")
    events = {"user_id": [2, 1, 2, 1], "item_id": [9, 8, 7, 404]}  # 404 is not in the catalogue
    pd.DataFrame(events).to_parquet(tmp_path / "e.parquet")
    shop = read_shop(ShopPlan("i.parquet", "id", "{name}", events="e.parquet"), tmp_path)
    assert sorted(history.tolist() for history in shop.histories) == [[1], [2, 0]]
