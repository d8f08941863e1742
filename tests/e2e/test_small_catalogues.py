"""A shop of three items is still a shop."""

from pathlib import Path

import numpy as np
import pandas as pd

from data_prep.command import load_config
from data_prep.prepare import PrepareConfig, prepare
from index import Bundle, current_bundle
from index.build.__main__ import build
from index.build.config import BuildConfig
from tests.tiny import TRAIN_OVERRIDES, tabular_overrides
from towers import History
from towers.train import train
from towers.training.config import TrainConfig


def test_three_items_are_trained_built_and_found(tiny_encoder: Path, tmp_path: Path):
    rng = np.random.default_rng(0)
    items = pd.DataFrame(
        {"sku": list("abc"), "name": ["green tea", "rye bread", "cat food"], "group": "all", "cost": 1}
    )
    log = pd.DataFrame(
        [
            (f"u{user}", sku, 1_700_000_000 + 1000 * user + 86_400 * step, "buy")
            for user in range(40)
            for step, sku in enumerate(rng.permutation(list("abc")))
        ],
        columns=["shopper", "sku", "when", "what"],
    )
    items.to_csv(tmp_path / "items.csv", index=False)
    log.to_csv(tmp_path / "events.csv", index=False)
    here = [f"artifacts={tmp_path}"]
    overrides = tabular_overrides(tmp_path / "events.csv", tmp_path / "items.csv")
    data = prepare(load_config(PrepareConfig, "prepare", [*overrides, *here, "name=three"])).path

    arguments = [*here, f"data={data}", f"encoder.folder={tiny_encoder}", *TRAIN_OVERRIDES, "trainer.epochs=1"]
    run = train(load_config(TrainConfig, "train", arguments), tmp_path / "run").run
    result = build(
        load_config(BuildConfig, "build", [*here, f"data={data}", f"run={run}", "threads=1", "export.enabled=false"])
    )
    assert result.calibration.recall == 1

    bundle = Bundle.load(current_bundle(tmp_path / "bundles"))
    history = History(np.array([1]), ["purchase"], np.array([np.nan]))
    (hits,) = bundle.index.search(bundle.user_encoder.encode([history], [""]), 100, [history.rows])
    assert sorted(hits.rows.tolist()) == [0, 2]  # everything but what was had, and no -1 for the other 98
