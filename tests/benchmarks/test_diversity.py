"""The cost of diversity: distances, the figures of each setting, and the command that draws them."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks.diversity.__main__ import main
from benchmarks.diversity.settings import TradeoffSettings, read_arguments
from benchmarks.diversity.tradeoff import ListCatalogue, MethodStrength, ndcg, tradeoff
from data_prep.errors import UsageError
from towers.diversity import METHODS, intra_list_distance, unit
from towers.metrics.bootstrap import Bootstrap
from towers.metrics.ranking_metrics import per_user


def test_the_distance_within_a_list_is_the_mean_over_its_pairs():
    rng = np.random.default_rng(0)
    directions = unit(rng.standard_normal((9, 3)).astype(np.float32))
    lists = np.array([[0, 1, 2, 3], [4, 5, -1, -1], [6, 6, 7, -1], [8, -1, -1, -1]])
    slow = [
        np.mean([1 - directions[a] @ directions[b] for a, b in combinations([row for row in own if row >= 0], 2)])
        for own in lists[:3]
    ]
    found = intra_list_distance(lists, directions)
    assert found[:3] == pytest.approx(slow, abs=1e-6)
    assert np.isnan(found[3])


def test_the_ndcg_of_a_list_is_that_of_the_ranks_in_it():
    lists = np.array([[3, 1, 2], [5, 4, -1]])
    truth = [np.array([1, 2, 9, 8]), np.array([4])]
    ranks, users = torch.tensor([2, 3, 99, 99, 2]), torch.tensor([0, 0, 0, 0, 1])
    assert ndcg(lists, truth) == pytest.approx(per_user(ranks, users, 2, [3])["ndcg@3"].numpy())


def test_each_setting_is_compared_with_the_plain_list():
    plain, other = np.array([[0, 1], [0, 1]]), np.array([[0, 2], [0, 2]])
    catalogue = ListCatalogue(
        np.eye(3, dtype=np.float32), np.array([[1, 0], [1, 0], [0, 1]], np.float32), np.array([7, 7, -1])
    )
    found = {MethodStrength("mmr", 0.0): plain, MethodStrength("mmr", 0.5): other}
    rows = tradeoff(found, [np.array([0]), np.array([0, 1])], catalogue, Bootstrap(20, 0.95, 0)).set_index("strength")
    assert rows.loc[0.0, "ndcg_change"] == 0
    assert rows.loc[0.0, "text_distance"] == 0
    assert rows.loc[0.5, "text_distance"] == 1
    assert rows.loc[0.5, "item_distance_change"] == 0
    second = 1 / (1 + 1 / np.log2(3))  # one of two found, at the first place
    assert rows.loc[0.5, "ndcg_change"] == pytest.approx((1 + second) / 2 - 1)
    assert rows.loc[0.5, "ndcg_low"] <= rows.loc[0.5, "ndcg_change"] <= rows.loc[0.5, "ndcg_high"]
    assert rows["categories"].tolist() == [1, 1]


def test_the_command_writes_a_table_and_a_picture(
    tiny_run: Path, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    arguments = f"{tiny_run} --data {tiny_data} --to {tmp_path} --k 2 --pool 6 --strengths 0.5 --samples 20 --threads 1"
    monkeypatch.setattr("sys.argv", ["diversity", *arguments.split()])
    main()
    rows = pd.read_csv(tmp_path / "diversity.csv")
    assert set(rows["method"]) == set(METHODS)
    assert (rows[rows["strength"] == 0]["ndcg_change"] == 0).all()
    assert (tmp_path / "diversity.png").read_bytes().startswith(b"\x89PNG")
    assert "* default" in capsys.readouterr().out


def test_a_pool_too_small_to_choose_from_is_refused():
    with pytest.raises(UsageError, match="pool"):
        read_arguments(["runs/any", "--k", "10", "--pool", "20"])


def test_settings_that_are_not_given_have_their_defaults():
    assert read_arguments(["runs/any"]) == TradeoffSettings(Path("runs/any"))
