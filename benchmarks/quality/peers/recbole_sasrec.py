"""RecBole's SASRec (https://github.com/RUCAIBox/RecBole), its own data pipeline, model, trainer and early stopping.

The one thing replaced is the figure that early stopping watches: NDCG@10 as every other row of the benchmark has it,
over the whole catalogue, history masked.
"""

import contextlib
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from exchange import Answer, Material, Rows, Vectors, batches, padded, serve
from recbole.config import Config
from recbole.data import create_dataset
from recbole.data.dataloader import TrainDataLoader
from recbole.data.dataset import SequentialDataset
from recbole.model.sequential_recommender import SASRec
from recbole.trainer import Trainer
from recbole.utils import init_seed

NAME = "material"


class Fitted:
    """A model and the way from our items to its own numbers.

    Args:
        config: RecBole's.
        dataset: RecBole's, built.
        num_items: N.
    """

    def __init__(self, config: Config, dataset: SequentialDataset, num_items: int) -> None:
        self.length = config["MAX_ITEM_LIST_LENGTH"]
        self.numbers = np.zeros(num_items + 1, np.int64)  # ours from 1 -> RecBole's; 0 is nothing
        tokens = dataset.field2id_token["item_id"]
        self.numbers[np.array([int(t) for t in tokens[1:]]) + 1] = np.arange(1, len(tokens))
        self.known = self.numbers[1:] > 0
        self.model = SASRec(config, dataset).to(config["device"])

    @torch.no_grad()
    def vectors(self, histories: list[Rows]) -> tuple[Vectors, Vectors]:
        """Of users [B, d] and of the catalogue [N, d]."""
        self.model.eval()
        parts = []
        for part in batches([h[self.known[h]] for h in histories], 512):
            sequences = torch.from_numpy(self.numbers[padded(part, self.length, left=False)])
            lengths = (sequences > 0).sum(dim=1).clamp(min=1)
            parts.append(self.model(sequences, lengths))
        items = self.model.item_embedding.weight[torch.from_numpy(self.numbers[1:])]
        return torch.cat(parts).numpy(), items.numpy()


class WatchingTrainer(Trainer):
    """RecBole's trainer, early stopping on the benchmark's own validation figure.

    Args:
        config: RecBole's.
        fitted: what is trained.
        material: what it is judged on.
        cpu_minutes: after which no further epoch begins.
    """

    def __init__(self, config: Config, fitted: Fitted, material: Material, cpu_minutes: float) -> None:
        super().__init__(config, fitted.model)
        self.deadline = time.process_time() + 60 * cpu_minutes
        self.fitted = fitted
        self.material = material
        histories = material.histories(with_valid=False)
        self.histories = [histories[user] for user in material.valid_users]
        self.scores: list[float] = []

    @property
    def late(self) -> bool:
        """Whether time is up."""
        return time.process_time() > self.deadline

    def _valid_epoch(self, valid_data: Any, show_progress: bool = False) -> tuple[float, dict[str, float]]:
        score = self.material.ndcg(*self.fitted.vectors(self.histories), self.fitted.known)
        self.scores.append(score)
        print(f"epoch {len(self.scores)}: ndcg@10 {score:.5f}", flush=True)
        if self.late:
            self.stopping_step = -1  # nothing is better than NaN, and fit bears no more of that
            return float("nan"), {"ndcg@10": score}
        return score, {"ndcg@10": score}


def write_log(histories: list[Rows], folder: Path) -> None:
    """RecBole's atomic file: one line an event; the time is the event's place in its user's history."""
    (folder / NAME).mkdir(parents=True)
    with (folder / NAME / f"{NAME}.inter").open("w") as file:
        file.write("user_id:token\titem_id:token\ttimestamp:float\n")
        for user, history in enumerate(histories):
            file.writelines(f"{user}\t{row}\t{place}\n" for place, row in enumerate(history))


def prepare(settings: dict[str, Any], histories: list[Rows], folder: Path, seed: int) -> tuple[Config, Any]:
    """RecBole's configuration and its training data, augmented as RecBole does."""
    write_log(histories, folder)
    sys.argv = sys.argv[:1]  # Config reads the command line
    config = Config(
        model="SASRec",
        dataset=NAME,
        config_dict=settings
        | {
            "data_path": str(folder),
            "checkpoint_dir": str(folder / "checkpoints"),
            "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
            "eval_args": {"split": {"RS": [1, 0, 0]}, "group_by": None, "order": "TO", "mode": "full"},
            "train_neg_sample_args": None,
            "use_gpu": False,
            "seed": seed,
            "show_progress": False,
        },
    )
    init_seed(seed, reproducibility=True)
    dataset = create_dataset(config).build()[0]
    return config, dataset


def train(material: Material, settings: dict[str, Any], seed: int, with_valid: bool) -> tuple[Fitted, WatchingTrainer]:
    """One training; with early stopping unless the validation part is trained on."""
    cpu_minutes = settings["cpu_minutes"]
    own = {name: value for name, value in settings.items() if name != "cpu_minutes"}
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):  # RecBole logs where it runs
        config, dataset = prepare(own, material.histories(with_valid), Path(folder), seed)
        fitted = Fitted(config, dataset, material.num_items)
        trainer = WatchingTrainer(config, fitted, material, cpu_minutes)
        data = TrainDataLoader(config, dataset, None, shuffle=True)
        trainer.fit(data, None if with_valid else data, saved=False)
    return fitted, trainer


def fit(material: Material, settings: dict[str, Any], seed: int) -> Answer:
    """Find the number of epochs, then train that long on everything."""
    _, trainer = train(material, settings, seed, with_valid=False)
    best = int(np.argmax(trainer.scores)) + 1
    notes = {"epochs": best, "validation": trainer.scores, "ran_out_of_time": trainer.late}
    fitted, _ = train(material, settings | {"epochs": best}, seed, with_valid=True)
    histories = material.histories(with_valid=True)
    users, items = fitted.vectors([histories[user] for user in material.test_users])
    return Answer(users, items, fitted.known, notes)


if __name__ == "__main__":
    serve(fit)
