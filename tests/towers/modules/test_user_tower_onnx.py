"""The user tower as a graph gives the vectors that torch gives, for every kind of tower and any size of request."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from towers.events.history import History
from towers.modules.tokens import EventTypes, SequenceTokens, tokenize
from towers.modules.user_tower import UserTower, UserTowerSettings
from towers.modules.user_tower_onnx import OnnxUserTower, export_user_tower

DIM, LONGEST = 8, 6
EVENTS = EventTypes(["cart", "view"])

TOWERS: dict[str, dict[str, Any]] = {
    "plain": {},
    "with everything": {
        "prior": True,
        "average": True,
        "block": "ligr",
        "positions": "rotary",
        "interests": 2,
        "attributes": {"age": ["old", "young"], "town": ["Ulm"]},
    },
    "without layers": {"layers": 0, "window": 0},
}


@pytest.fixture(scope="module", params=TOWERS)
def towers(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[UserTower, OnnxUserTower]:
    torch.manual_seed(5)
    settings = UserTowerSettings(
        dim=DIM,
        max_history=LONGEST,
        layers=2,
        heads=2,
        feed_forward=2,
        dropout=0.1,
        input_dropout=0.1,
        window=3,
        prior=False,
        average=False,
        block="pre_norm",
        positions="relative",
        interests=1,
        event_types=len(EVENTS),
        attributes={},
        attribute_dropout=0.0,
    )
    tower = UserTower(replace(settings, **TOWERS[request.param])).eval()
    for parameter in tower.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    folder: Path = tmp_path_factory.mktemp("tower")
    export_user_tower(tower, folder)
    return tower, OnnxUserTower.load(folder)


def tokens_of(tower: UserTower, lengths: list[int], queries: list[int]) -> SequenceTokens:
    rng = np.random.default_rng(sum(lengths))
    histories = [
        History(
            rng.integers(0, 9, n),
            ["view", "cart", "other"] * (n // 3) + ["view"] * (n % 3),
            np.sort(rng.uniform(0, 1e6, n)),
            {"age": "young", "town": "Bonn"},
        )
        for n in lengths
    ]
    return tokenize(histories, queries, EVENTS, LONGEST, tower.attributes)


@pytest.mark.parametrize(
    ("lengths", "queries"),
    [([0], [-1]), ([0], [9]), ([1], [-1]), ([6], [9]), ([0, 0], [-1, -1]), ([3, 0, 20, 6], [-1, -1, 9, 9])],
)
def test_the_graph_encodes_as_torch_does(
    towers: tuple[UserTower, OnnxUserTower], lengths: list[int], queries: list[int]
) -> None:
    tower, graph = towers
    tokens = tokens_of(tower, lengths, queries)
    vectors = torch.nn.functional.normalize(torch.randn(*tokens.rows.shape, DIM), dim=-1)
    with torch.inference_mode():
        expected = tower.last(vectors, tokens)
    found = graph.last(vectors, tokens)
    assert found.shape == expected.shape
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
