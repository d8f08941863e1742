"""Steps a second of RecBole's SASRec: its own data, model, loss and optimizer, in the loop its trainer runs."""

import argparse
import contextlib
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from exchange import Material
from recbole.data.dataloader import TrainDataLoader
from recbole.trainer import Trainer
from recbole_sasrec import Fitted, prepare


def measure(material: Material, settings: dict[str, Any], steps: int, warm_up: int) -> dict[str, float]:
    """Steps and items predicted a second, sequences and positions a step."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):  # RecBole logs where it runs
        config, dataset = prepare(settings, material.histories(with_valid=False), Path(folder), 0)
        model = Fitted(config, dataset, material.num_items).model.train()
        optimizer = Trainer(config, model).optimizer
        data = iter(TrainDataLoader(config, dataset, None, shuffle=True))
        predicted, positions, began = 0, 0, 0.0
        for step in range(warm_up + steps):
            if step == warm_up:
                predicted, positions, began = 0, 0, time.monotonic()
            batch = next(data)
            optimizer.zero_grad()
            model.calculate_loss(batch).backward()
            optimizer.step()
            predicted += len(batch)  # one of each sequence
            positions += batch[model.ITEM_SEQ].numel()
        seconds = time.monotonic() - began
    return {
        "steps": steps / seconds,
        "predicted": predicted / seconds,
        "sequences": predicted / steps,
        "positions": positions / steps,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--material", type=Path, required=True)
    parser.add_argument("--settings", type=json.loads, required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--warm-up", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    found = measure(Material.read(arguments.material), arguments.settings, arguments.steps, arguments.warm_up)
    arguments.out.write_text(json.dumps(found))
