"""`python -m towers.train_ranker`: a run's own top candidates in, a cross-encoder beside the towers out."""

import json
import logging
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray

from data_prep.columns import Columns, Split
from data_prep.command import command
from data_prep.dataset import Dataset
from data_prep.files import lock, new_directory, write_json
from towers.candidates.train_queries import QueryFunnel
from towers.events.reading import read_sequences_of
from towers.metrics.evaluation import Cases
from towers.metrics.judgement_split import judged_to_judge_by
from towers.model.one_vector import OneVectorModel
from towers.model.run_record import RUN, RunRecord
from towers.model.scorer import ONE_VECTOR, Recall, model_scorer
from towers.model.selection import selection_of
from towers.model.trained_towers import dataset_of
from towers.ranking.comparison import CUTOFF, Comparison, compare_orders, ndcg_of, readings
from towers.ranking.config import RankerConfig
from towers.ranking.cross_encoder import CrossEncoder
from towers.ranking.examples import RankingExample, of_items, of_judgements, of_users
from towers.ranking.mining import Shortlist, shortlists
from towers.ranking.training import Fitting
from towers.ranking.training_set import RankingTrainingSet
from towers.text.synthetic_queries import derive_one

log = logging.getLogger(__name__)

MOMENTS_AT_ONCE = 256


@dataclass(frozen=True)
class RankerResult:
    """What training the reranker came to, on users and queries it did not learn from.

    Attributes:
        folder: where it was written.
        users: its order beside recall's on users; None where none were kept aside.
        queries: the same on judged queries, each reranked by a model that did not learn from it; None for none.
        strength: factor of what it reads beside recall's score.
        better: whether it is better than recall on either, beyond chance, and worse on neither.
        recalled_by: channels that judged queries were answered by.
    """

    folder: Path
    users: Comparison | None
    queries: Comparison | None
    strength: float
    better: bool
    recalled_by: list[str]


def mine(config: RankerConfig, learner: Path, dataset: Dataset) -> RankingTrainingSet:
    """Shortlists of the validation split, which the model did not learn from, so that its scores do not flatter.

    Strangers who ask are answered as by a server: by the run's funnel for queries, where it has one. Its order of
    judged queries that it has learnt from flatters, so the towers alone answer those.

    Args:
        config: the command's.
        learner: the run that recalls.
        dataset: the data.

    Raises:
        UsageError: the run's funnel was trained for other towers.
        GateFailed: there are too few users.
    """
    model, settings = OneVectorModel.open(learner), RunRecord.read(learner).settings
    item_ids = [str(i) for i in dataset.items[Columns.ITEM_ID]]
    cases = Cases.held_out(
        read_sequences_of(dataset, settings.log), item_ids, Split.VALID, model.exclude_seen, [CUTOFF]
    )
    derived = derive_one(dataset.items, settings.queries, config.seed)
    rng = np.random.default_rng((config.seed, 3))
    users = of_users(cases, derived, config.mining.query_rate, rng)
    asked = of_items(derived, config.mining.item_queries, rng)
    towers = model_scorer(ONE_VECTOR, model, dataset.items)
    served = QueryFunnel.of(learner, model.fingerprint, towers)
    answered = towers.score if served is None else served.recall(config.mining.depth)
    titles = [str(title) for title in dataset.items[Columns.TITLE]]

    def found(moments: Sequence[RankingExample], recall: Recall) -> list[Shortlist]:
        return list(shortlists(recall, moments, titles, config.input_template, config.mining.depth, MOMENTS_AT_ONCE))

    queries: list[RankingExample] = []
    folds: list[NDArray[np.int64]] = []
    judged = (
        judged_to_judge_by(settings.judgements, settings.seed, dataset) if config.judgements.folds else None
    )
    if judged is not None:
        queries = of_judgements(judged.queries, judged.rows, judged.grades)
        folds = judged.folds(config.judgements.folds, config.seed)
    by_towers = served is not None and any(moment.query in served.learnt for moment in queries)
    if by_towers:
        log.info("the funnel for queries has learnt from judged ones: these are answered by the towers alone")
    lists = found(queries, towers.score if by_towers else answered)
    material = RankingTrainingSet.of(found(users, towers.score), found(asked, answered), lists, folds, config)
    return material if served is None or by_towers else replace(material, recalled_by=served.funnel.names)


def train_ranker(config: RankerConfig) -> RankerResult:
    """Train a cross-encoder on what the towers recall; of a run that was refit, on what they recalled before.

    Raises:
        UsageError: run and data do not belong together, or loss, teacher and run do not.
        GateFailed: there is nothing to learn from.
        Locked: another process trains this run's reranker.
    """
    training = config.run / f"{config.name}_training"
    with lock(config.run / f".{config.name}.lock", f"train the {config.name} of {config.run}"):
        torch.set_num_threads(config.trainer.threads)
        pl.seed_everything(config.seed, verbose=False)
        learner = selection_of(config.run)
        dataset = dataset_of(config.run, config.data)
        material = mine(config, learner, dataset)
        texts = config.input_template.items(dataset.items)
        towers = RunRecord.read(config.run).fingerprint
        result = train_on(Fitting(config, towers, texts, training), material)
        shutil.rmtree(training)  # what it was for is published; the next training begins anew
        return result


def train_on(fitting: Fitting, material: RankingTrainingSet) -> RankerResult:
    """Train on shortlists, whatever recalled them, compare, and write the reranker.

    Args:
        fitting: what all trainings share.
        material: the shortlists.

    Raises:
        UsageError: loss and teacher do not go together.
        GateFailed: there is nothing to learn from.
    """
    config = fitting.config
    queries, folds = judge_folds(fitting, material)
    model, strength = fitting.fit(material.part(None, config.mining.held_out, config.seed))
    users = None
    if material.compared:
        read = readings(model, material.compared, fitting.texts)
        users = _compared(config, material.compared, ndcg_of(material.compared, read, model.recall_weight.item()))
    found = [one for one in (users, queries) if one is not None]
    better = any(one.better for one in found) and not any(one.worse for one in found)
    result = RankerResult(config.run / config.name, users, queries, strength, better, material.recalled_by)
    publish(config, model, folds, fitting.towers, result)
    return result


def publish(
    config: RankerConfig, model: CrossEncoder, folds: Sequence[CrossEncoder], towers: str, result: RankerResult
) -> None:
    """Write the reranker into the run, whole or not at all."""
    with new_directory(config.run / config.name) as folder:
        model.save(folder)
        for number, one in enumerate(folds):
            one.save(folder / f"fold-{number}")
        described = {"towers_fingerprint": towers, "config": asdict(config), "result": asdict(result)}
        write_json(folder / RUN, json.loads(json.dumps(described, default=str)))


def judge_folds(fitting: Fitting, material: RankingTrainingSet) -> tuple[Comparison | None, list[CrossEncoder]]:
    """Evaluate every fold's queries by a reranker that learnt from the other folds; the comparison and the rerankers."""
    if not material.folds:
        return None, []
    config, kept = fitting.config, []
    reranked = np.zeros(len(material.queries))
    for fold, places in enumerate(material.folds):
        model, _ = fitting.fit(material.part(fold, config.mining.held_out, config.seed))
        lists = [material.queries[place] for place in places]
        reranked[places] = ndcg_of(lists, readings(model, lists, fitting.texts), model.recall_weight.item())
        if config.judgements.keep_folds:
            kept.append(model)
    return _compared(config, material.queries, reranked), kept


def _compared(config: RankerConfig, lists: Sequence[Shortlist], reranked: NDArray[np.float64]) -> Comparison:
    settings = config.comparison
    return compare_orders(lists, reranked, settings.bootstrap_samples, settings.confidence, config.seed)


@command(RankerConfig, "train_ranker")
def main(config: RankerConfig) -> RankerResult:
    """Train, and say whether it was worth it."""
    result = train_ranker(config)
    for kind, found in (("users", result.users), ("judged queries", result.queries)):
        if found is not None:
            print(f"{found.cases:,} {kind} it did not learn from: {found}")
    print(f"{config.name} {result.folder}: what it reads counts {result.strength:g} times beside recall's score")
    if not result.better:
        log.warning("the reranker is not better than the recall order beyond chance; index.build leaves it out")
    return result


if __name__ == "__main__":
    main()
