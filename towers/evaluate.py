"""`python -m towers.evaluate`: how good the towers are, beside what needs no training."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor

from data_prep.columns import Columns, Split
from data_prep.command import command
from data_prep.dataset import Dataset
from data_prep.errors import GateFailed, UsageError
from data_prep.files import read_json, write_json
from towers.baselines import ItemKNN, Popularity, TextSimilarity
from towers.cold import cold_cases, summarize_cold
from towers.config import EvaluationConfig
from towers.evaluation import Cases, Scorer, evaluate
from towers.history import History, Sequences
from towers.material import read_sequences_of
from towers.report import print_cold, print_slices, print_table, summarize
from towers.run import RUN, TrainedTowers, dataset_of
from towers.text_features import VectorCache

log = logging.getLogger(__name__)

METRICS = "metrics.json"


@dataclass
class BaselineConfig:
    """Of the scorers that need no training.

    Attributes:
        neighbours: similar items kept by ItemKNN.
        decay: weight of an event relative to the next newer one.
    """

    neighbours: int
    decay: float


@dataclass
class EvaluateConfig:
    """`python -m towers.evaluate`.

    Attributes:
        run: folder of a finished training run.
        data: the dataset it was trained on; null finds it.
        artifacts: root of everything written.
        split: "test" or "valid".
        seed: of the bootstrap.
        threads: intra-op threads of torch.
        evaluation: cutoffs and the like; whether seen items are left out comes from the run.
        baselines: of the rows beside the towers.
    """

    run: Path
    data: Path | None
    artifacts: Path
    split: str
    seed: int
    threads: int
    evaluation: EvaluationConfig
    baselines: BaselineConfig


class TowersScorer:
    """The trained towers as a scorer of the whole catalogue.

    Args:
        towers: the towers.
        vectors: their vectors of the catalogue, [N, dim].
    """

    name = "two towers"

    def __init__(self, towers: TrainedTowers, vectors: NDArray[np.float32]) -> None:
        self.users = towers.user_encoder(vectors)
        self.items = torch.from_numpy(vectors)

    def score(self, histories: Sequence[History]) -> Tensor:
        """Inner products with every item, [B, N]."""
        users = torch.from_numpy(self.users.encode(histories, [""] * len(histories)))
        return users @ self.items.T


def training_matrix(sequences: Sequences, num_items: int) -> sp.csr_array:
    """Users by items, counts of training events: [U, N]."""
    users = np.repeat(np.arange(len(sequences)), np.diff(sequences.offsets))
    kept = sequences.splits == Split.TRAIN
    ones = np.ones(int(kept.sum()), np.float32)
    return sp.csr_array((ones, (users[kept], sequences.rows[kept])), shape=(len(sequences), num_items))


def scorers(config: EvaluateConfig, towers: TrainedTowers, dataset: Dataset, sequences: Sequences) -> list[Scorer]:
    """The towers and what they have to beat."""
    texts = [str(text) for text in dataset.items[Columns.TEXT]]
    matrix = training_matrix(sequences, len(texts))
    raw = VectorCache(towers.cache, towers.text_encoder).encode(texts)
    baselines = config.baselines
    return [
        TowersScorer(towers, towers.item_vectors(dataset.items)),
        Popularity(torch.from_numpy(matrix.sum(axis=0))),
        ItemKNN(matrix, baselines.neighbours, baselines.decay, include_self=not towers.exclude_seen),
        TextSimilarity(raw, baselines.decay),
    ]


def evaluate_run(config: EvaluateConfig) -> dict[str, Any]:
    """Rank the whole catalogue for every user of the split, with towers and baselines.

    Returns:
        What is written to `metrics.json`.

    Raises:
        UsageError: run and data do not belong together, or the split is unknown.
        GateFailed: nobody has anything to be found.
    """
    if config.split not in ("test", "valid"):
        raise UsageError(f"split: {config.split!r} is neither 'test' nor 'valid'")
    torch.set_num_threads(config.threads)
    towers, dataset = TrainedTowers.open(config.run), dataset_of(config.run, config.data)
    sequences = read_sequences_of(dataset, read_json(config.run / RUN)["config"])
    split, settings = Split[config.split.upper()], config.evaluation
    item_ids = [str(i) for i in dataset.items[Columns.ITEM_ID]]
    cases = Cases.held_out(sequences, item_ids, split, towers.exclude_seen, settings.cutoffs)
    if not len(cases):
        raise GateFailed(f"{dataset.path} has no user with something to find in its {config.split} split")
    counts = np.bincount(sequences.rows[sequences.splits == Split.TRAIN], minlength=len(item_ids))
    cold = cold_cases(cases, counts)
    summaries, cold_summaries = {}, {}
    for scorer in scorers(config, towers, dataset, sequences):
        began = time.monotonic()
        outcome = evaluate(scorer, cases, settings.batch_size)
        log.info("%s: %d users in %.1f s", scorer.name, len(cases), time.monotonic() - began)
        summaries[scorer.name] = summarize(
            outcome, cases, counts, settings.bootstrap_samples, settings.confidence, config.seed
        )
        if len(cold):
            outcome = evaluate(scorer, cold, settings.batch_size)
            cold_summaries[scorer.name] = summarize_cold(
                outcome, cold, settings.bootstrap_samples, settings.confidence, config.seed
            )
    return {
        "split": config.split,
        "users": len(cases),
        "items": len(item_ids),
        "exclude_seen": towers.exclude_seen,
        "run": towers.fingerprint,
        "data": dataset.fingerprint,
        "confidence": settings.confidence,
        "scorers": summaries,
        "cold": {"users": len(cold), "wanted": sum(map(len, cold.truth)), "scorers": cold_summaries},
    }


@command(EvaluateConfig, "evaluate")
def main(config: EvaluateConfig) -> dict[str, Any]:
    """Evaluate, print the table, and keep the figures in the run."""
    report = evaluate_run(config)
    title = (
        f"{report['split']}: {report['users']:,} users, all {report['items']:,} items ranked, "
        f"{report['confidence']:.0%} bootstrap intervals"
    )
    print_table(report["scorers"], config.evaluation.cutoffs, title)
    print_slices(report["scorers"][TowersScorer.name], f"{TowersScorer.name}, by kind of user")
    if report["cold"]["users"]:
        print_cold(report["cold"])
    write_json(config.run / METRICS, report)
    print(f"written to {config.run / METRICS}")
    return report


if __name__ == "__main__":
    main()
