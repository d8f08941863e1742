"""`python -m towers.train_reranker`: a run's own top candidates in, a cross-encoder beside the towers out."""

import json
import logging
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from data_prep.columns import Columns, Split
from data_prep.command import command
from data_prep.dataset import Dataset
from data_prep.errors import GateFailed, UsageError
from data_prep.files import lock, new_directory, read_json, write_json
from towers.checkpoints import begin
from towers.cross_encoder import CrossEncoder, small_backbone
from towers.evaluation import Cases
from towers.fitting import Session, fit
from towers.material import read_sequences
from towers.mining import Shortlist, groups, shortlists
from towers.model import Model
from towers.reranker_config import RerankConfig
from towers.reranker_training import CUTOFF, WATCHED, GroupBatches, RerankerTraining, shortlist_ndcg
from towers.run import RUN, TrainedTowers, dataset_of
from towers.text_encoder import package_folder

log = logging.getLogger(__name__)

RERANKER = "reranker"


@dataclass(frozen=True)
class RerankResult:
    """What training the reranker came to, on users it did not learn from.

    Attributes:
        folder: where it was written.
        recall_ndcg: NDCG@10 of the towers' order.
        reranked_ndcg: NDCG@10 of the reranker's order of the same candidates.
        missed: share of the wanted items that were not among the candidates.
        groups: groups it learnt from.
    """

    folder: Path
    recall_ndcg: float
    reranked_ndcg: float
    missed: float
    groups: int


def mine(config: RerankConfig, model: Model, dataset: Dataset, protocol: str) -> list[Shortlist]:
    """Shortlists of the validation split: the model did not learn from it, so its scores do not flatter.

    Raises:
        GateFailed: none of the users' wanted items is among the candidates.
    """
    sequences = read_sequences(dataset, protocol, model.towers.users.attributes.columns)
    item_ids = [str(i) for i in dataset.items[Columns.ITEM_ID]]
    cases = Cases.held_out(sequences, item_ids, Split.VALID, model.exclude_seen, [CUTOFF])
    vectors = model.item_vectors(dataset.items)
    users = model.user_encoder(dataset.items, vectors)
    titles = [str(title) for title in dataset.items[Columns.TITLE]]
    mining = config.mining
    found = list(shortlists(users, vectors, cases, titles, mining.depth, config.model.context_items, batch_size=256))
    if not any(one.wanted.any() for one in found):
        raise GateFailed(
            f"mining.depth: none of {len(found)} users' next items is among the towers' first {mining.depth}; "
            "raise it, or train the towers longer"
        )
    return found


def train_reranker(config: RerankConfig) -> RerankResult:
    """Train a cross-encoder on what the towers recall.

    Raises:
        UsageError: run and data do not belong together.
        GateFailed: there is nothing to learn from.
        Locked: another process trains this run's reranker.
    """
    training_folder = config.run / "reranker_training"
    with lock(config.run / ".reranker.lock", f"train the reranker of {config.run}"):
        torch.set_num_threads(config.trainer.threads)
        pl.seed_everything(config.seed, verbose=False)
        recall, dataset = Model.open(config.run), dataset_of(config.run, config.data)
        towers, marks = recall.towers, read_json(config.run / RUN)
        if marks["until"] != "valid":
            raise UsageError(
                f"run: {config.run} was refit on the validation split, from which the reranker learns; train the "
                "reranker for a run with refit=false"
            )
        lists = mine(config, recall, dataset, marks["config"]["protocol"])
        learning, held_out = split_users(lists, config)
        rng = np.random.default_rng(config.seed)
        material = groups(learning, config.mining.negatives, config.mining.per_user, rng)
        material = [material[i] for i in rng.permutation(len(material))[: config.mining.max_groups]]
        if not material:
            raise GateFailed(
                "mining.negatives: no user has that many unwanted candidates beside a wanted one; lower it"
            )
        recall_ndcg = float(np.mean([shortlist_ndcg(one, one.scores) for one in held_out]))
        log.info("%d groups to learn from; NDCG@10 of the recall order %.4f", len(material), recall_ndcg)

        folder = Path(config.model.folder) if config.model.folder else package_folder(config.model.package)
        backbone, tokenizer = small_backbone(folder, config.model.layers, config.model.width)
        model = CrossEncoder(
            backbone,
            tokenizer,
            config.model.max_tokens,
            config.model.context_items,
            recall_weight=1 / towers.temperature,
        )
        texts = [str(text) for text in dataset.items[Columns.TEXT]]
        settings = {name: value for name, value in asdict(config).items() if name in ("model", "mining", "seed")}
        begin(training_folder, {"towers": towers.fingerprint, **settings}, config.resume)
        module = RerankerTraining(model, texts, config)
        batches = GroupBatches(material, config.groups_per_batch, config.seed)
        validation: DataLoader[Shortlist] = DataLoader(held_out, batch_size=None)  # type: ignore[arg-type]
        session = Session(training_folder, config.trainer, config.resume, config.seed)
        figures = fit(module, batches, validation, WATCHED, session)

        wanted = sum(int(one.wanted.sum()) + one.missed for one in lists)
        result = RerankResult(
            folder=config.run / RERANKER,
            recall_ndcg=recall_ndcg,
            reranked_ndcg=figures[f"ndcg@{CUTOFF}"],
            missed=sum(one.missed for one in lists) / wanted,
            groups=len(material),
        )
        publish(config, model, towers, result)
        shutil.rmtree(training_folder)  # what it was for is published; the next training begins anew
        return result


def split_users(lists: Sequence[Shortlist], config: RerankConfig) -> tuple[list[Shortlist], list[Shortlist]]:
    """Users to learn from, and users to choose the epoch by."""
    order = np.random.default_rng((config.seed, 1)).permutation(len(lists))
    number = min(max(int(len(lists) * config.mining.held_out), 1), config.mining.max_held_out)
    return [lists[i] for i in order[number:]], [lists[i] for i in order[:number]]


def publish(config: RerankConfig, model: CrossEncoder, towers: TrainedTowers, result: RerankResult) -> None:
    """Write the reranker into the run, whole or not at all."""
    with new_directory(config.run / RERANKER) as folder:
        model.save(folder)
        described = {"towers_fingerprint": towers.fingerprint, "config": asdict(config), "result": asdict(result)}
        write_json(folder / RUN, json.loads(json.dumps(described, default=str)))


@command(RerankConfig, "rerank")
def main(config: RerankConfig) -> RerankResult:
    """Train, and say whether it was worth it."""
    result = train_reranker(config)
    print(
        f"reranker {result.folder}: NDCG@10 {result.reranked_ndcg:.4f} on users it did not learn from, "
        f"the recall order has {result.recall_ndcg:.4f}; {result.missed:.1%} of the wanted items were not among "
        f"the towers' first {config.mining.depth}"
    )
    if result.reranked_ndcg <= result.recall_ndcg:
        log.warning(
            "the reranker does not improve on the recall order; serve without it, or give it more to learn from"
        )
    return result


if __name__ == "__main__":
    main()
