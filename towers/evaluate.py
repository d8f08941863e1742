"""`python -m towers.evaluate`: how good the towers are, beside what needs no training."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from data_prep.columns import Columns, Split
from data_prep.command import command
from data_prep.config import require
from data_prep.errors import GateFailed, UsageError
from data_prep.files import read_json, write_json
from towers.baselines import TrainingData
from towers.candidates.funnel import FUNNEL
from towers.candidates.train_queries import QueryFunnel
from towers.diversity import DiversityConfig
from towers.evaluation.evaluator import TWO_TOWERS, Evaluator, baseline_scorers, model_scorers
from towers.evaluation.funnel import evaluate_funnel
from towers.evaluation.funnel_tables import print_funnel
from towers.evaluation.search import (
    QUERIES,
    SearchEvaluationConfig,
    evaluate_search,
    print_search,
    with_typos,
    with_untuned_encoder,
)
from towers.evaluation.tables import compare, print_by_slice, print_cold, print_comparison, print_newcomers, print_table
from towers.events.reading import read_sequences_of
from towers.metrics.config import EvaluationConfig
from towers.metrics.evaluation import Cases, sample
from towers.metrics.judgement_split import judged_to_judge_by
from towers.metrics.judgements import Judgements
from towers.model.one_vector import OneVectorModel
from towers.model.run_record import RUN, RunRecord, check_towers
from towers.model.scorer import ONE_VECTOR, model_scorer
from towers.text.whitening import text_directions

log = logging.getLogger(__name__)

METRICS = "metrics.json"
CASES = "cases.csv"


@dataclass
class EvaluateConfig:
    """`python -m towers.evaluate`.

    Attributes:
        run: folder of a finished training run.
        data: the dataset it was trained on; null finds it.
        artifacts: root of everything written.
        held_out: the split to be found, "test" or "valid"; not called split, which is a config group.
        seed: of the bootstrap.
        threads: intra-op threads of torch.
        evaluation: cutoffs and the like; whether seen items are left out comes from the run.
        baselines: what stands beside the towers, conf/baselines.
        fallbacks: lists that stand beside them where a user's history is taken away, conf/fallbacks.
        search: how judged queries are evaluated, where the dataset has any.
        diversity: how the funnel's lists are made diverse, conf/diversity.
        funnel_users: users that the funnel is evaluated on, where the run has one; at most.
    """

    run: Path
    data: Path | None
    artifacts: Path
    held_out: str
    seed: int
    threads: int
    evaluation: EvaluationConfig
    baselines: dict[str, Any]
    fallbacks: dict[str, Any]
    search: SearchEvaluationConfig
    diversity: DiversityConfig
    funnel_users: int

    def __post_init__(self) -> None:
        require("funnel_users", self.funnel_users, 1)


def judge_funnel(
    config: EvaluateConfig, judge: Evaluator, model: OneVectorModel, items: pd.DataFrame
) -> dict[str, Any] | None:
    """The run's funnel on some of the users, with a row of each in `cases.csv`; None where the run has none.

    Raises:
        UsageError: the funnel was trained for other towers.
    """
    folder = config.run / FUNNEL
    if not folder.is_dir():
        return None
    trained_for = read_json(folder / RUN)["towers_fingerprint"]
    check_towers(folder, trained_for, model.fingerprint, f"python -m towers.train_funnel run={config.run} again")
    cases = sample(judge.cases, config.funnel_users, config.seed)
    towers = model_scorer(ONE_VECTOR, model, items)
    report, rows = evaluate_funnel(
        config.run, towers, items, cases, judge.counts, judge.texts, config.evaluation, config.diversity, config.seed
    )
    rows.to_csv(config.run / CASES, index=False)
    return report


def evaluate_run(config: EvaluateConfig) -> dict[str, Any]:
    """Rank the whole catalogue for every user of the split and every judged query, with towers and baselines.

    Returns:
        What is written to `metrics.json`; the lines of `queries.csv` are written to the run.

    Raises:
        UsageError: run and data do not belong together, or the split is unknown or one the run was trained on.
        GateFailed: nobody has anything to be found.
    """
    if config.held_out not in ("test", "valid"):
        raise UsageError(f"held_out: {config.held_out!r} is neither 'test' nor 'valid'")
    torch.set_num_threads(config.threads)
    model, run = OneVectorModel.open(config.run), RunRecord.read(config.run)
    dataset, towers = run.open_data(config.data), model.towers
    sequences = read_sequences_of(dataset, run.settings.log)
    split, until, settings = Split[config.held_out.upper()], run.until, config.evaluation
    if split < until:
        raise UsageError(f"held_out: {config.run} was trained on the {config.held_out} events; leave held_out=test")
    training = towers.seen(sequences, dataset.items, until)
    report = {
        "split": config.held_out,
        "until": until.name.lower(),
        "items": len(dataset.items),
        "exclude_seen": towers.exclude_seen,
        "run": towers.fingerprint,
        "data": dataset.fingerprint,
        "confidence": settings.confidence,
    }
    item_ids = [str(i) for i in dataset.items[Columns.ITEM_ID]]
    cases = Cases.held_out(sequences, item_ids, split, towers.exclude_seen, settings.cutoffs)
    judged = judged_to_judge_by(run.settings.judgements, run.settings.seed, dataset)
    if not len(cases) and judged is None:
        raise GateFailed(
            f"{dataset.path} has no user with something to find in its {config.held_out} split, and no judged queries "
            "that the run did not learn from"
        )
    report |= evaluate_users(config, model, run, training, cases)
    report["search"] = {} if judged is None else search(config, model, run, training, judged)
    return report


def evaluate_users(
    config: EvaluateConfig, model: OneVectorModel, run: RunRecord, training: TrainingData, cases: Cases
) -> dict[str, Any]:
    """Towers and baselines on users with something held out; how many there are where there are none."""
    if not len(cases):
        return {"users": 0, "scorers": {}}
    settings = config.evaluation
    texts = text_directions(training.vectors)
    judge = Evaluator(cases, training.interactions.counts(), texts, settings, config.seed)
    left_out: dict[str, str] = {}
    for scorer in model_scorers(model, run, training):
        judge(scorer)
    ours = len(judge.outcomes)
    for baseline in baseline_scorers(config.baselines, training, left_out):
        judge(baseline)
    baselines = list(judge.outcomes)[ours:]
    attributed = model_scorer(ONE_VECTOR, model, training.items) if model.towers.users.attributes.columns else None
    newcomers = judge.compare_newcomers(baseline_scorers(config.fallbacks, training, left_out), attributed)
    funnel = judge_funnel(config, judge, model, training.items)
    cold = {
        "users": len(judge.cold),
        "relevant": sum(map(len, judge.cold.truth)),
        "scorers": judge.cold_summaries,
        "slices": judge.cold_slices,
    }
    return {
        "users": len(cases),
        "scorers": judge.summaries,
        "against": compare(judge.outcomes, baselines, settings.cutoffs, *judge.bootstrap),
        "left_out": left_out,
        "newcomers": newcomers,
        "cold": cold,
        "funnel": funnel,
    }


def search(
    config: EvaluateConfig, model: OneVectorModel, run: RunRecord, training: TrainingData, judged: Judgements
) -> dict[str, Any]:
    """Towers and scorers of words on judged queries; why each is what it is goes to `queries.csv`.

    Raises:
        UsageError: the run's funnel for queries was trained for other towers.
    """
    judged = judged.answerable()
    if not len(judged):
        return {}
    models = [model_scorer(TWO_TOWERS, model.only([]), training.items)]
    if model.blocks:
        models.append(model_scorer(ONE_VECTOR, model, training.items))
    served = QueryFunnel.of(config.run, model.fingerprint, models[-1])
    if served is not None:
        judged, served = unlearnt(judged, served)
    reworded = {"misspelt": with_typos(judged.queries, config.seed)} if config.search.typos else {}
    untuned = with_untuned_encoder(training, run.settings)
    report, rows = evaluate_search(
        models, untuned, judged, config.search, config.evaluation, config.seed, reworded, served
    )
    rows.to_csv(config.run / QUERIES, index=False)
    return report


def unlearnt(judged: Judgements, served: QueryFunnel) -> tuple[Judgements, QueryFunnel | None]:
    """The queries that a funnel did not learn from, and the funnel; all of them and None where it learnt from all."""
    places = [place for place, query in enumerate(judged.queries) if query not in served.learnt]
    if places:
        return judged[np.array(places)], served
    log.warning(
        "the funnel for queries learnt from all judged ones: what is served cannot be judged by them, so weights by "
        "cross-validation stand in for it (train the towers with judgements.held_out=0 to keep some)"
    )
    return judged, None


def print_users(report: dict[str, Any], run: Path, cutoffs: list[int]) -> None:
    """What became of users with something held out."""
    title = (
        f"{report['split']}: {report['users']:,} users, all {report['items']:,} items ranked, "
        f"{report['confidence']:.0%} bootstrap intervals"
    )
    print_table(report["scorers"], cutoffs, title)
    for name, reason in report["left_out"].items():
        print(f"{name} left out: {reason}")
    if report["against"]:
        baseline = report["against"]["baseline"]
        title = f"above {baseline}, the strongest baseline, user by user (* beyond chance)"
        print_comparison(report["against"], cutoffs, title)
    slices = {name: summary["slices"] for name, summary in report["scorers"].items()}
    print_by_slice(slices, f"ndcg@{cutoffs[0]}", "by history and by popularity of what was relevant")
    print_newcomers(report["newcomers"], cutoffs)
    if report["cold"]["users"]:
        print_cold(report["cold"])
        print_by_slice(report["cold"]["slices"], f"recall@{cutoffs[:2][-1]}", "cold items by history")
    if report["funnel"] is not None:
        print_funnel(report["funnel"], cutoffs)
        print(f"what became of each of the funnel's users: {run / CASES}")


@command(EvaluateConfig, "evaluate")
def main(config: EvaluateConfig) -> dict[str, Any]:
    """Evaluate, print the table, and keep the figures in the run."""
    report = evaluate_run(config)
    if report["users"]:
        print_users(report, config.run, config.evaluation.cutoffs)
    if report["search"]:
        print_search(report["search"], report["confidence"])
    write_json(config.run / METRICS, report)
    print(f"written to {config.run / METRICS}")
    return report


if __name__ == "__main__":
    main()
