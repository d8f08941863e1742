"""`python -m towers.train_ranker`: a cross-encoder that orders the candidates of a run's towers anew."""

import logging
import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray

from data_prep.columns import Split
from data_prep.command import command
from data_prep.files import lock, new_directory
from towers.candidates.query_funnel import QueryFunnel
from towers.candidates.trained_run import TrainedRun
from towers.metrics.cases import Cases
from towers.metrics.judgement_split import held_out_judgements
from towers.metrics.paired import PairedComparison
from towers.metrics.ranking_metrics import CUTOFF
from towers.model.run_record import RunRecord
from towers.model.scorer import Recall
from towers.model.selection import selection_of
from towers.ranking.comparison import compare_orders, ndcg_of, not_retrieved_share, text_scores
from towers.ranking.config import RankerConfig
from towers.ranking.cross_encoder import CrossEncoder
from towers.ranking.examples import RankingExample, item_examples, judged_examples, user_examples
from towers.ranking.mining import Shortlist, shortlists
from towers.ranking.record import CrossEncoderRecord, RankerResult
from towers.ranking.training import CrossEncoderTrainer
from towers.ranking.training_set import RankingTrainingSet
from towers.text.synthetic_queries import one_query_per_item

log = logging.getLogger(__name__)


def mine(config: RankerConfig, run: TrainedRun) -> RankingTrainingSet:
    """Shortlists of the validation split, which the model did not learn from, so that its scores do not flatter.

    Queries without a history are answered as by a server: by the run's funnel for queries, where it has one. Its order
    of judged queries that it has learnt from flatters, so the towers alone answer those.

    Args:
        config: the command's.
        run: recalls the candidates; it has not seen the validation split.

    Raises:
        UsageError: the run's funnel was trained for other towers.
        GateFailed: there are too few users.
    """
    settings, towers = run.record.settings, run.towers
    cases = Cases.held_out(run.sequences, run.item_ids, Split.VALID, run.model.exclude_seen, [CUTOFF])
    synthetic = one_query_per_item(run.dataset.items, settings.queries, config.seed)
    rng = np.random.default_rng((config.seed, 3))
    users = user_examples(cases, synthetic, config.mining.query_rate, rng)
    of_items = item_examples(synthetic, config.mining.item_queries, rng)
    served = QueryFunnel.of(run.folder, run.model.fingerprint, towers)
    by_funnel = towers.score if served is None else served.recall(config.mining.depth)

    def mined(examples: Sequence[RankingExample], recall: Recall) -> list[Shortlist]:
        return list(shortlists(recall, examples, run.titles, config.input_template, config.mining.depth))

    judged: list[RankingExample] = []
    folds: list[NDArray[np.int64]] = []
    if config.judgements.folds:
        judgements = held_out_judgements(settings.judgements, settings.seed, run.dataset)
        if judgements is not None:
            judged, folds = judged_examples(judgements), judgements.folds(config.judgements.folds, config.seed)
    by_towers = served is not None and any(example.query in served.learnt for example in judged)
    if by_towers:
        log.info("the funnel for queries has learnt from judged ones: these are answered by the towers alone")
    of_judgements = mined(judged, towers.score if by_towers else by_funnel)
    training_set = RankingTrainingSet.of(
        mined(users, towers.score), mined(of_items, by_funnel), of_judgements, folds, config
    )
    return training_set if served is None or by_towers else replace(training_set, recalled_by=served.funnel.names)


def train_ranker(config: RankerConfig) -> RankerResult:
    """Train a cross-encoder on what the towers recall; of a run that was refit, on what they recalled before.

    Raises:
        UsageError: run and data do not belong together, or loss, teacher and run do not.
        GateFailed: there is nothing to learn from.
        Locked: another process trains this run's cross-encoder.
    """
    training = config.run / f"{config.name}_training"
    with lock(config.run / f".{config.name}.lock", f"train the {config.name} of {config.run}"):
        torch.set_num_threads(config.trainer.threads)
        pl.seed_everything(config.seed, verbose=False)
        record = RunRecord.read(config.run)
        dataset = record.open_data(config.data)
        training_set = mine(config, TrainedRun.of(selection_of(config.run), dataset))
        texts = config.input_template.items(dataset.items)
        result = train_on(CrossEncoderTrainer(config, record.fingerprint, texts, training), training_set)
        shutil.rmtree(training)  # its result is published; the next training begins anew
        return result


def train_on(trainer: CrossEncoderTrainer, training_set: RankingTrainingSet) -> RankerResult:
    """Train on shortlists, whatever recalled them, compare, and write the cross-encoder.

    Raises:
        UsageError: loss and teacher do not go together.
        GateFailed: there is nothing to learn from.
    """
    config, users = trainer.config, training_set.comparison
    queries, folds = evaluate_folds(trainer, training_set)
    model, weight = trainer.fit(training_set.part(None, config.mining.held_out, config.seed))
    on_users = None
    if users:
        ndcg = ndcg_of(users, text_scores(model, users, trainer.texts), model.recall_weight.item())
        on_users = compare_orders(users, ndcg, config.comparison.bootstrap(config.seed))
    compared = [comparison for comparison in (on_users, queries) if comparison is not None]
    result = RankerResult(
        folder=config.run / config.name,
        users=on_users,
        queries=queries,
        not_retrieved={
            name: not_retrieved_share(lists)
            for name, lists in (("users", users), ("queries", training_set.judged))
            if lists
        },
        weight=weight,
        better=any(c.better for c in compared) and not any(c.worse for c in compared),
        recalled_by=training_set.recalled_by,
    )
    publish(config, model, folds, trainer.towers, result)
    return result


def publish(
    config: RankerConfig, model: CrossEncoder, folds: Sequence[CrossEncoder], towers: str, result: RankerResult
) -> None:
    """Write the cross-encoder into the run, whole or not at all."""
    with new_directory(config.run / config.name) as folder:
        model.save(folder)
        for number, of_fold in enumerate(folds):
            of_fold.save(folder / f"fold-{number}")
        CrossEncoderRecord(towers, asdict(config), result).write(folder)


def evaluate_folds(
    trainer: CrossEncoderTrainer, training_set: RankingTrainingSet
) -> tuple[PairedComparison | None, list[CrossEncoder]]:
    """Comparison with recall on judged queries, each ranked by a cross-encoder of the other folds; these, if kept."""
    if not training_set.folds:
        return None, []
    config, kept = trainer.config, []
    ndcg = np.zeros(len(training_set.judged))
    for fold, positions in enumerate(training_set.folds):
        model, _ = trainer.fit(training_set.part(fold, config.mining.held_out, config.seed))
        lists = [training_set.judged[position] for position in positions]
        ndcg[positions] = ndcg_of(lists, text_scores(model, lists, trainer.texts), model.recall_weight.item())
        if config.judgements.keep_folds:
            kept.append(model)
    return compare_orders(training_set.judged, ndcg, config.comparison.bootstrap(config.seed)), kept


def report(result: RankerResult) -> list[str]:
    """Lines about a cross-encoder, the verdict first."""
    verdict = "better than the recall order" if result.better else "not better than the recall order beyond chance"
    consequence = "index.build publishes it" if result.better else "index.build leaves it out"
    lines = [f"cross-encoder: {verdict}; {consequence}"]
    for name, cases in (("users", "users"), ("queries", "judged queries")):
        comparison: PairedComparison | None = getattr(result, name)
        if comparison is not None:
            lines.append(
                f"{comparison.describe(f'{cases} it did not learn from')}; "
                f"{result.not_retrieved[name]:.1%} of their relevant items were not retrieved"
            )
    adds = "" if result.weight else ": it adds nothing over recall"
    lines.append(f"ranker weight {result.weight:g}{adds}; written to {result.folder}")
    return lines


@command(RankerConfig, "train_ranker")
def main(config: RankerConfig) -> RankerResult:
    """Train, and say whether it was worth it."""
    result = train_ranker(config)
    print("\n".join(report(result)))
    return result


if __name__ == "__main__":
    main()
