"""Training steps a second, ours against RecBole's SASRec, at the same width, length, depth and sequences a batch.

    python -m benchmarks.training_speed
    python -m benchmarks.training_speed --rows 128 --length 50 --dim 128 negatives=full

Both train on Beauty, prepared as for `benchmarks.quality`, each in a process of its own, by turns; the figure is the
ratio of the medians. A batch is `rows` sequences of up to `length` for both, on average for ours, whose batches are
filled by positions. RecBole pads every sequence to `length`, makes n - 1 sequences of a history of n and predicts one
item of each; ours packs histories of like length and predicts at every position. So a step of ours predicts more, and
items predicted a second are told beside steps a second. Ours also reads the items' texts; RecBole's loss is the full
softmax, ours the one in `conf/train.yaml` unless an override says otherwise. Overrides are of `python -m towers.train`.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from benchmarks.quality.datasets import Prepared, prepare
from benchmarks.quality.environments import python_of
from benchmarks.quality.measure import ROOT, run
from benchmarks.quality.plan import read_plan
from benchmarks.quality.runs import PEERS
from data_prep.columns import Columns, Split
from data_prep.command import load_config
from data_prep.dataset import Dataset
from data_prep.files import read_json, write_json
from towers.config import TrainConfig
from towers.fitting import EpochData
from towers.training import Phase
from towers.training import prepare as prepare_training

DATASET = "beauty"
Speed = dict[str, float]


class Clock(Callback):
    """Times training steps after the first ones.

    Args:
        warm_up: steps that do not count.
    """

    def __init__(self, warm_up: int) -> None:
        self.warm_up = warm_up
        self.steps = self.predicted = self.sequences = 0
        self.began = 0.0
        self.seconds = 0.0

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        now = time.monotonic()
        if batch_idx + 1 == self.warm_up:
            self.began = now
        elif batch_idx >= self.warm_up:
            self.steps += 1
            self.predicted += len(batch.positives)
            self.sequences += len(batch.tokens.rows)
            self.seconds = now - self.began


def ours(overrides: list[str], steps: int, warm_up: int) -> Speed:
    """Speed of our own training loop, this process."""
    config = load_config(TrainConfig, "train", overrides)
    phase = Phase(config.artifacts, Split.VALID, None)
    _, batches, retriever = prepare_training(config, Dataset.open(config.data), phase)
    retriever.train()
    clock = Clock(warm_up)
    trainer = pl.Trainer(
        max_steps=warm_up + steps,
        max_epochs=-1,
        accelerator="cpu",
        devices=1,
        logger=False,
        callbacks=[clock],
        limit_val_batches=0,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        gradient_clip_val=1.0,
    )
    trainer.fit(retriever, datamodule=EpochData(batches, None))
    return {
        "steps": clock.steps / clock.seconds,
        "predicted": clock.predicted / clock.seconds,
        "sequences": clock.sequences / clock.steps,
    }


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.training_speed",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rows", type=int, default=128, help="sequences in a batch")
    parser.add_argument("--length", type=int, default=50)
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--warm-up", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared" / "data", help="folder of shared data")
    parser.add_argument("--artifacts", type=Path, default=ROOT / "artifacts" / "quality")
    parser.add_argument("--report", type=Path, help="a JSON file for the figures")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)  # the process that times ours writes here
    parser.add_argument("overrides", nargs="*")
    return parser.parse_args()


def mean_length(prepared: Prepared, longest: int) -> float:
    """Mean events in a training sequence."""
    dataset = prepared.dataset
    events = dataset.events[dataset.events[dataset.split_column] == Split.TRAIN]
    return float(events.groupby(Columns.USER_ID).size().clip(upper=longest).mean())


def by_turns(asked: argparse.Namespace) -> dict[str, list[Speed]]:
    """Speeds of both, one process each, taking turns."""
    plan = read_plan()
    data = prepare(DATASET, plan.datasets[DATASET], asked.shared, asked.artifacts)
    python = python_of("recbole", plan.environments["recbole"], asked.artifacts / "envs")
    prepared = Prepared(Dataset.open(data), [10], 1)
    settings = {
        "hidden_size": asked.dim,
        "inner_size": 2 * asked.dim,  # as wide as ours
        "n_layers": asked.layers,
        "MAX_ITEM_LIST_LENGTH": asked.length,
        "train_batch_size": asked.rows,
    }
    overrides = [
        f"data={data.absolute()}",
        f"artifacts={asked.artifacts.absolute()}",
        f"tower.dim={asked.dim}",
        f"tower.layers={asked.layers}",
        f"tower.max_history={asked.length}",
        "tower.feed_forward=2",
        f"tokens_per_batch={round(asked.rows * mean_length(prepared, asked.length))}",
        f"trainer.threads={asked.threads}",
        *asked.overrides,
    ]
    counted = ["--steps", str(asked.steps), "--warm-up", str(asked.warm_up)]
    speeds: dict[str, list[Speed]] = {"ours": [], "RecBole SASRec": []}
    with tempfile.TemporaryDirectory() as folder:
        material, out, log = (Path(folder) / name for name in ("material.npz", "speed.json", "log.txt"))
        prepared.material(prepared.cases(Split.TEST)).write(material)
        theirs = [str(python), "-W", "ignore", str(PEERS / "recbole_speed.py"), "--material", str(material), *counted]
        theirs += ["--settings", json.dumps(settings), "--threads", str(asked.threads), "--out", str(out)]
        mine = [sys.executable, "-m", "benchmarks.training_speed", *counted, "--child", str(out), *overrides]
        for turn in range(asked.repeats):
            for name, command, module_path in (("ours", mine, ROOT), ("RecBole SASRec", theirs, None)):
                run(command, log, asked.threads, module_path)
                speeds[name].append(read_json(out))
                found = speeds[name][-1]
                print(
                    f"turn {turn + 1}: {name}: {found['steps']:.2f} steps/s, {found['predicted']:,.0f} items/s",
                    flush=True,
                )
    return speeds


def main() -> None:
    """Time both and print the ratio of the medians."""
    asked = arguments()
    if asked.child is not None:
        write_json(asked.child, ours(asked.overrides, asked.steps, asked.warm_up))
        return
    speeds = by_turns(asked)
    medians = {name: {k: median(turn[k] for turn in found) for k in found[0]} for name, found in speeds.items()}
    ratios = {k: medians["ours"][k] / medians["RecBole SASRec"][k] for k in ("steps", "predicted")}
    print(
        f"width {asked.dim}, {asked.layers} layers, {asked.rows} sequences of up to {asked.length} a step "
        f"(ours {medians['ours']['sequences']:.0f} on average), "
        f"{asked.threads} threads, medians of {asked.repeats}, overrides {asked.overrides or 'none'}"
    )
    for name, found in medians.items():
        print(f"{name}: {found['steps']:.2f} steps a second, {found['predicted']:,.0f} items predicted a second")
    print(f"ratio: {ratios['steps']:.2f} in steps a second, {ratios['predicted']:.1f} in items predicted a second")
    if asked.report is not None:
        write_json(asked.report, {"turns": speeds, "medians": medians, "ratios": ratios})


if __name__ == "__main__":
    main()
