"""RecTools' SASRec, and with LiGR layers and sampled softmax its eSASRec (https://github.com/MTSWebServices/RecTools).

Its own data preparation, model and Lightning loop. Epochs are chosen on NDCG@10 of the validation part, as every other
row of the benchmark has it: over the whole catalogue, history masked.
"""

import time
from typing import Any

import numpy as np
import pandas as pd
import torch
from exchange import Answer, Material, Rows, Vectors, batches, padded, serve
from pytorch_lightning import Callback, LightningModule, Trainer, seed_everything
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import SASRecModel
from rectools.models.nn.transformers.ligr import LiGRLayers
from rectools.models.nn.transformers.sasrec import SASRecTransformerLayers

LAYERS = {"sasrec": SASRecTransformerLayers, "ligr": LiGRLayers}


def numbers_of(model: SASRecModel, num_items: int) -> Rows:
    """Our items from 1 -> RecTools' own numbers, 0 for an item that training never saw: [N + 1]."""
    numbers = np.zeros(num_items + 1, np.int64)
    preparator = model.data_preparator
    numbers[preparator.get_known_item_ids().astype(np.int64) + 1] = preparator.get_known_items_sorted_internal_ids()
    return numbers


@torch.no_grad()
def vectors(network: Any, numbers: Rows, histories: list[Rows], length: int) -> tuple[Vectors, Vectors]:
    """Of users [B, d] and of the catalogue [N, d]."""
    was_training = network.training
    network.eval()
    items = network.item_model.get_all_embeddings()
    known = numbers[1:] > 0
    parts = []
    for part in batches([h[known[h]] for h in histories], 512):
        sessions = torch.from_numpy(numbers[padded(part, length, left=True)])
        parts.append(network.encode_sessions({"x": sessions}, items)[:, -1, :])
    network.train(was_training)
    users = torch.nan_to_num(torch.cat(parts))  # of users of whom nothing is known
    return users.numpy(), items[torch.from_numpy(numbers[1:])].numpy()


class Watch(Callback):
    """Validates after each epoch and stops when nothing has become better for a while, or time is up.

    Args:
        material: what is judged on.
        length: events of a history that the model reads.
        patience: epochs without a better figure.
        cpu_minutes: after which no further epoch begins.
    """

    def __init__(self, material: Material, length: int, patience: int, cpu_minutes: float) -> None:
        histories = material.histories(with_valid=False)
        self.histories = [histories[user] for user in material.valid_users]
        self.material, self.length, self.patience = material, length, patience
        self.deadline = time.process_time() + 60 * cpu_minutes
        self.numbers: Rows = np.zeros(0, np.int64)
        self.scores: list[float] = []

    def __deepcopy__(self, memo: dict[int, Any]) -> "Watch":
        return self  # RecTools copies its trainer before it fits

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        found = vectors(pl_module.torch_model, self.numbers, self.histories, self.length)
        self.scores.append(self.material.ndcg(*found, self.numbers[1:] > 0))
        print(f"epoch {len(self.scores)}: ndcg@10 {self.scores[-1]:.5f}", flush=True)
        stale = len(self.scores) - 1 - int(np.argmax(self.scores)) >= self.patience
        trainer.should_stop = stale or time.process_time() > self.deadline


def train(
    histories: list[Rows], settings: dict[str, Any], epochs: int, seed: int, watch: Watch | None, num_items: int
) -> tuple[SASRecModel, Rows]:
    """One training; returns the model and its numbers of our items."""
    seed_everything(seed, verbose=False)
    lengths = [len(h) for h in histories]
    places = np.concatenate([np.arange(n) for n in lengths])
    log = pd.DataFrame(
        {
            Columns.User: np.repeat(np.arange(len(histories)), lengths),
            Columns.Item: np.concatenate(histories),
            Columns.Weight: 1.0,
            Columns.Datetime: pd.Timestamp("2020-01-01") + pd.to_timedelta(places, unit="s"),
        }
    )

    def trainer() -> Trainer:
        return Trainer(
            max_epochs=epochs,
            accelerator="cpu",
            devices=1,
            logger=False,
            callbacks=[watch] if watch else [],
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_checkpointing=False,
        )

    model = SASRecModel(**settings, get_trainer_func=trainer)
    dataset = Dataset.construct(log)
    if watch:
        model._build_model_from_dataset(dataset)  # to know the numbers before the first epoch ends
        watch.numbers = numbers_of(model, num_items)
        seed_everything(seed, verbose=False)
    model.fit(dataset)
    return model, numbers_of(model, num_items)


def fit(material: Material, settings: dict[str, Any], seed: int) -> Answer:
    """Find the number of epochs, then train that long on everything."""
    epochs, patience, cpu_minutes = (settings.pop(name) for name in ("epochs", "patience", "cpu_minutes"))
    settings["transformer_layers_type"] = LAYERS[settings.pop("layers")]
    length = settings["session_max_len"]
    watch = Watch(material, length, patience, cpu_minutes)
    train(material.histories(with_valid=False), settings, epochs, seed, watch, material.num_items)
    best = int(np.argmax(watch.scores)) + 1
    notes = {"epochs": best, "validation": watch.scores, "ran_out_of_time": time.process_time() > watch.deadline}
    histories = material.histories(with_valid=True)
    model, numbers = train(histories, settings, best, seed, None, material.num_items)
    users, items = vectors(
        model.lightning_model.torch_model, numbers, [histories[u] for u in material.test_users], length
    )
    return Answer(users, items, numbers[1:] > 0, notes)


if __name__ == "__main__":
    serve(fit)
