"""Training steps a second, ours against RecBole's SASRec: the same sequences a step, width, length, depth and heads.

    python -m benchmarks.training_speed
    python -m benchmarks.training_speed --rows 128 --length 50 --dim 128 tower.window=0

Everybody trains on Beauty, prepared as for `benchmarks.quality`, in a process of its own, by turns; the figures are
medians. A step has exactly `rows` sequences of up to `length` positions for everybody. RecBole pads every sequence to
`length`, makes n - 1 sequences of a history of n and predicts one item of each under its own loss, the full softmax.
Ours predicts at every position and packs histories of like length; it is timed with its default negatives, with
`negatives=uniform`, with the full softmax, and with that and every batch padded as RecBole's are. Ours also reads the
items' texts. Overrides are of `python -m towers.train` and go for all of ours. The figures are kept for
`python -m benchmarks.quality --report`.
"""

import argparse
import json
import os
import shlex
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch.nn import functional

from benchmarks.quality.datasets import QualityDataset, prepare
from benchmarks.quality.environments import python_of, versions
from benchmarks.quality.machine import commit, machine
from benchmarks.quality.measure import ROOT, run
from benchmarks.quality.plan import read_plan
from benchmarks.quality.records import RESULTS
from benchmarks.quality.runs import PEERS
from benchmarks.quality.speed import PEER, Speed, Speeds, keep_speeds
from data_prep import Dataset, Split
from data_prep.command import load_config
from data_prep.files import read_json, write_json
from towers.fitting import EpochData, EpochDataset
from towers.modules import PADDING, UNKNOWN_EVENT, UNKNOWN_GAP, SequenceTokens
from towers.training import Batch, Phase, TrainConfig, TrainingBatches, prepare as prepare_training

DATASET = "beauty"
OURS = {  # name of a timed process -> its arguments
    "twotower, in-batch and uniform negatives (default)": ["negatives=mixed"],
    "twotower, uniform negatives": ["negatives=uniform"],
    "twotower, full softmax": ["negatives=full"],
    "twotower, full softmax, padded": ["negatives=full", "--pad"],
}


class FixedRows(EpochDataset[Batch]):
    """The same windows as in training, but exactly as many in every batch; a random few are left over.

    Args:
        batches: of the training.
        rows: windows in a batch.
        width: tokens to which every batch is padded; None for no more than its longest window.
    """

    def __init__(self, batches: TrainingBatches, rows: int, width: int | None) -> None:
        self.batches = batches
        self.rows = rows
        self.width = width

    def _draw(self) -> tuple[np.ndarray, np.random.Generator]:
        """Windows in the order of their length, [packs, rows, 3], and the generator for the rest."""
        self.batches.epoch = self.epoch
        rng = self.batches.rng()
        windows = self.batches.windows(rng)
        packs = len(windows) // self.rows
        kept = np.sort(rng.permutation(len(windows))[: packs * self.rows])
        return windows[kept].reshape(packs, self.rows, 3), rng

    def __len__(self) -> int:
        return len(self._draw()[0])

    def __iter__(self) -> Iterator[Batch]:
        windows, rng = self._draw()
        for pack in rng.permutation(len(windows)):
            batch = self.batches.batch(windows[pack], rng)
            yield batch if self.width is None else replace(batch, tokens=widened(batch.tokens, self.width))


def widened(tokens: SequenceTokens, width: int) -> SequenceTokens:
    """The same sequences, padded further: [B, L] -> [B, width]."""
    more = (0, width - tokens.rows.shape[1])
    return replace(
        tokens,
        rows=functional.pad(tokens.rows, more, value=PADDING),
        events=functional.pad(tokens.events, more, value=UNKNOWN_EVENT),
        gaps=functional.pad(tokens.gaps, more, value=UNKNOWN_GAP),
    )


class Clock(Callback):
    """Times training steps after the first ones.

    Args:
        warm_up: steps that do not count.
    """

    def __init__(self, warm_up: int) -> None:
        self.left = warm_up
        self.steps = self.predicted = self.sequences = self.positions = 0
        self.began = time.monotonic()
        self.seconds = 0.0

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        if self.left > 0:
            self.left -= 1
            self.began = time.monotonic()
            return
        rows, tokens = batch.tokens.rows.shape
        self.steps += 1
        self.predicted += len(batch.positives)
        self.sequences += rows
        self.positions += rows * (tokens + 1)  # the start token is read too
        self.seconds = time.monotonic() - self.began

    @property
    def speed(self) -> Speed:
        """Steps and items predicted a second, sequences and positions a step."""
        return {
            "steps": self.steps / self.seconds,
            "predicted": self.predicted / self.seconds,
            "sequences": self.sequences / self.steps,
            "positions": self.positions / self.steps,
        }


def ours(asked: argparse.Namespace) -> Speed:
    """Speed of our own training loop, this process."""
    config = load_config(TrainConfig, "train", asked.overrides)
    phase = Phase(config.artifacts, Split.VALID, None)
    prepared = prepare_training(config, Dataset.open(config.data), phase)
    batches, retriever = prepared.batches, prepared.retriever
    width = config.tower.max_history - 1 if asked.pad else None  # a window's last item is only predicted
    retriever.train()
    clock = Clock(asked.warm_up)
    trainer = pl.Trainer(
        max_steps=asked.warm_up + asked.steps,
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
    trainer.fit(retriever, datamodule=EpochData(FixedRows(batches, asked.rows, width), None))
    return clock.speed


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.training_speed",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rows", type=int, default=128, help="sequences in a batch")
    parser.add_argument("--length", type=int, default=50, help="positions of a sequence, at most")
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--heads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--warm-up", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared" / "data", help="folder of shared data")
    parser.add_argument("--artifacts", type=Path, default=ROOT / "artifacts" / "quality")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder that keeps the figures")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)  # the process that times ours writes here
    parser.add_argument("--pad", action="store_true", help=argparse.SUPPRESS)  # of that process: as RecBole pads
    parser.add_argument("overrides", nargs="*")
    return parser.parse_intermixed_args()


def our_command(asked: argparse.Namespace, data: Path) -> list[str]:
    """Arguments common to all of `OURS`."""
    overrides = [
        f"data={data.absolute()}",
        f"artifacts={asked.artifacts.absolute()}",
        f"tower.dim={asked.dim}",
        f"tower.layers={asked.layers}",
        f"tower.heads={asked.heads}",
        f"tower.max_history={asked.length}",  # a start token and all but the last, so `length` positions
        "tower.feed_forward=2",
        "queries.rate=0",  # each would be one position more
        f"trainer.threads={asked.threads}",
        *asked.overrides,
    ]
    counted = ["--rows", str(asked.rows), "--steps", str(asked.steps), "--warm-up", str(asked.warm_up)]
    return [sys.executable, "-m", "benchmarks.training_speed", *counted, *overrides]


def peer_command(asked: argparse.Namespace, python: Path, material: Path) -> list[str]:
    """RecBole's process."""
    settings = {
        "hidden_size": asked.dim,
        "inner_size": 2 * asked.dim,  # as wide as ours
        "n_layers": asked.layers,
        "n_heads": asked.heads,
        "MAX_ITEM_LIST_LENGTH": asked.length,
        "train_batch_size": asked.rows,
        "loss_type": "CE",
    }
    command = [str(python), "-W", "ignore", str(PEERS / "recbole_speed.py"), "--material", str(material)]
    command += ["--settings", json.dumps(settings), "--threads", str(asked.threads)]
    return [*command, "--steps", str(asked.steps), "--warm-up", str(asked.warm_up)]


def by_turns(asked: argparse.Namespace, data: Path, python: Path) -> dict[str, list[Speed]]:
    """Speeds of all, one process each, taking turns."""
    prepared = QualityDataset(Dataset.open(data), [10], 1)
    speeds: dict[str, list[Speed]] = {}
    with tempfile.TemporaryDirectory() as folder:
        material, out, log = (Path(folder) / name for name in ("material.npz", "speed.json", "log.txt"))
        prepared.material(prepared.cases(Split.TEST)).write(material)
        mine = our_command(asked, data)
        commands: dict[str, tuple[list[str], Path | None]] = {
            who: ([*mine, *own, "--child", str(out)], ROOT) for who, own in OURS.items()
        }
        commands[PEER] = ([*peer_command(asked, python, material), "--out", str(out)], None)
        for turn in range(asked.repeats):
            for who, (command, module_path) in commands.items():
                run(command, log, asked.threads, module_path)
                found = read_json(out)
                speeds.setdefault(who, []).append(found)
                print(
                    f"turn {turn + 1}: {who}: {found['steps']:.2f} steps/s, {found['predicted']:,.0f} items/s, "
                    f"{found['sequences']:.0f} sequences and {found['positions']:,.0f} positions a step",
                    flush=True,
                )
    return speeds


def main() -> None:
    """Time everybody, print the ratios of the medians, keep the figures."""
    asked = arguments()
    if asked.child is not None:
        write_json(asked.child, ours(asked))
        return
    plan, started_at = read_plan(), commit()
    environment = plan.environments["recbole"]
    data = prepare(DATASET, plan, asked.shared, asked.artifacts)
    python = python_of("recbole", environment, asked.artifacts / "envs")
    theirs = versions(python, environment.told)
    speeds = Speeds(
        turns=by_turns(asked, data, python),
        settings={k: getattr(asked, k) for k in ("rows", "length", "dim", "layers", "heads", "steps", "threads")},
        command=shlex.join(["python", "-m", "benchmarks.training_speed", *sys.argv[1:]]),
        commit=started_at,
        machine=machine(),
        versions={
            "torch": torch.__version__,
            **{f"RecBole's {k}" if k == "torch" else k: v for k, v in theirs.items()},
        },
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    for who, found in speeds.medians.items():
        print(
            f"{who}: {found['steps']:.2f} steps/s ({speeds.ratio(who, 'steps'):.2f} × {PEER}), "
            f"{found['predicted']:,.0f} items predicted/s ({speeds.ratio(who, 'predicted'):.1f} ×)"
        )
    print(f"written to {keep_speeds(speeds, asked.results)}; python -m benchmarks.quality --report puts it on the page")


if __name__ == "__main__":
    main()
