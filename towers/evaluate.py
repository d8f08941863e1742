"""`python -m towers.evaluate`: a run's towers, funnel and cross-encoder beside baselines, on held-out events."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from data_prep.columns import Split
from data_prep.command import command
from data_prep.config import Node, require
from data_prep.errors import GateFailed, UsageError
from towers.baselines import fit_each
from towers.candidates.funnel import FUNNEL
from towers.candidates.query_funnel import QueryFunnel
from towers.candidates.trained_run import TrainedRun
from towers.diversity import DiversityConfig
from towers.evaluation.evaluator import Evaluator, ModelScorers
from towers.evaluation.funnel import FunnelEvaluation
from towers.evaluation.report import METRICS, EvaluationReport, FunnelReport, SearchReport
from towers.evaluation.search import (
    QUERIES,
    SearchEvaluationConfig,
    evaluate_search,
    with_typos,
    with_untuned_encoder,
)
from towers.evaluation.summaries import Catalogue
from towers.evaluation.tables import (
    print_cold,
    print_differences,
    print_funnel,
    print_scorers,
    print_search,
    print_slices,
    print_without_history,
)
from towers.events import TrainingData
from towers.metrics.cases import Cases, sample
from towers.metrics.config import EvaluationConfig
from towers.metrics.evaluation import Scorer
from towers.metrics.judgement_split import held_out_judgements
from towers.metrics.judgements import Judgements
from towers.metrics.ranking_metrics import NDCG, RECALL
from towers.model.one_vector import OneVectorModel
from towers.model.run_record import RunRecord
from towers.model.scorer import VectorScorer
from towers.text.whitening import text_directions

log = logging.getLogger(__name__)

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
        baselines: scorers that stand beside the towers, conf/baselines.
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
    baselines: dict[str, Node]
    fallbacks: dict[str, Node]
    search: SearchEvaluationConfig
    diversity: DiversityConfig
    funnel_users: int

    def __post_init__(self) -> None:
        require("funnel_users", self.funnel_users, 1)
        if self.held_out not in ("test", "valid"):
            raise UsageError(f"held_out: {self.held_out!r} is neither 'test' nor 'valid'")


FurtherScorers = Callable[[OneVectorModel, TrainingData, Cases], Iterable[Scorer]]
"""Scorers of a model, its training data, and the users to be evaluated."""


def evaluate_run(config: EvaluateConfig, more: FurtherScorers | None = None) -> EvaluationReport:
    """Rank the whole catalogue for every user of the split and every judged query, with towers and baselines.

    A row of each user of the funnel is written to `cases.csv`, a row of each judged query to `queries.csv`.

    Args:
        config: the command's.
        more: scorers of the caller's, which stand with the model's own.

    Raises:
        UsageError: run and data do not belong together, or the run was trained on the split.
        GateFailed: nobody has anything to be found.
    """
    torch.set_num_threads(config.threads)
    run = TrainedRun.of(config.run, RunRecord.read(config.run).open_data(config.data))
    dataset, towers, split = run.dataset, run.model.towers, Split[config.held_out.upper()]
    if split < run.until:
        raise UsageError(f"held_out: {config.run} was trained on the {config.held_out} events; leave held_out=test")
    cases = Cases.held_out(run.sequences, run.item_ids, split, towers.exclude_seen, config.evaluation.cutoffs)
    judgements = held_out_judgements(run.record.settings.judgements, run.record.settings.seed, dataset)
    if not len(cases) and judgements is None:
        raise GateFailed(
            f"{dataset.path} has no user with something to find in its {config.held_out} split, and no judged queries "
            "that the run did not learn from"
        )
    report = EvaluationReport(
        split=config.held_out,
        until=run.until.name.lower(),
        items=len(dataset.items),
        exclude_seen=towers.exclude_seen,
        run=towers.fingerprint,
        data=dataset.fingerprint,
        confidence=config.evaluation.confidence,
        cutoffs=list(config.evaluation.cutoffs),
    )
    scorers = ModelScorers(run.model, dataset.items)
    if len(cases):
        report = evaluate_users(config, run, scorers, cases, report, more)
    return report if judgements is None else replace(report, search=evaluate_queries(config, run, scorers, judgements))


def evaluate_users(
    config: EvaluateConfig,
    run: TrainedRun,
    scorers: ModelScorers,
    cases: Cases,
    report: EvaluationReport,
    more: FurtherScorers | None,
) -> EvaluationReport:
    """The report with towers, baselines and funnel on users with something held out."""
    training = run.training
    bootstrap = config.evaluation.bootstrap(config.seed)
    catalogue = Catalogue(training.interactions.counts(), text_directions(training.vectors))
    evaluator = Evaluator(cases, catalogue, config.evaluation.batch_size, bootstrap)
    for scorer in scorers.each(run.record):
        evaluator(scorer)
    for scorer in more(run.model, training, cases) if more is not None else ():
        evaluator(scorer)
    left_out: dict[str, str] = {}
    baselines = []
    for _, baseline in fit_each(config.baselines, training, left_out):
        evaluator(baseline)
        baselines.append(baseline.name)
    attributed = scorers.one_vector if run.model.towers.users.attributes.columns else None
    lists = (baseline for _, baseline in fit_each(config.fallbacks, training, left_out))
    without_history = evaluator.without_history_report(lists, attributed)
    return replace(
        report,
        users=len(cases),
        scorers=evaluator.summaries,
        against=evaluator.against(baselines),
        left_out=left_out,
        without_history=without_history,
        cold=evaluator.cold_report(),
        funnel=evaluate_funnel(config, run, scorers.one_vector, cases, catalogue),
    )


def evaluate_funnel(
    config: EvaluateConfig, run: TrainedRun, one_vector: VectorScorer, cases: Cases, catalogue: Catalogue
) -> FunnelReport | None:
    """The run's funnel on some of the users, with a row of each in `cases.csv`; None where the run has none.

    Raises:
        UsageError: funnel or cross-encoder were trained for other towers.
    """
    if not (config.run / FUNNEL).is_dir():
        return None
    evaluation = FunnelEvaluation(
        run=run,
        towers=one_vector,
        catalogue=catalogue,
        diversity=config.diversity,
        bootstrap=config.evaluation.bootstrap(config.seed),
    )
    report, rows = evaluation(sample(cases, config.funnel_users, config.seed))
    rows.to_csv(config.run / CASES, index=False)
    return report


def evaluate_queries(
    config: EvaluateConfig, run: TrainedRun, scorers: ModelScorers, judgements: Judgements
) -> SearchReport | None:
    """Towers and scorers of words on judged queries, with a row of each in `queries.csv`; None if none is answerable.

    Raises:
        UsageError: the run's funnel for queries was trained for other towers.
    """
    judgements = judgements.answerable()
    if not len(judgements):
        return None
    models = [scorers.two_towers, *([scorers.one_vector] if run.model.blocks else [])]
    served = QueryFunnel.of(config.run, run.model.fingerprint, models[-1])
    if served is not None:
        judgements, served = unlearnt(judgements, served)
    reworded = {"misspelt": with_typos(judgements.queries, config.seed)} if config.search.typos else {}
    untuned = with_untuned_encoder(run.training, run.record.settings)
    report, rows = evaluate_search(
        models, untuned, judgements, config.search, config.evaluation, config.seed, reworded, served
    )
    rows.to_csv(config.run / QUERIES, index=False)
    return report


def unlearnt(judgements: Judgements, served: QueryFunnel) -> tuple[Judgements, QueryFunnel | None]:
    """The queries that a funnel did not learn from, and the funnel; all of them and None where it learnt from all."""
    positions = [position for position, query in enumerate(judgements.queries) if query not in served.learnt]
    if positions:
        return judgements[np.array(positions)], served
    log.warning(
        "the funnel for queries learnt from all judged ones: it cannot be evaluated on them "
        "(train the towers with judgements.held_out=0 to keep some)"
    )
    return judgements, None


def print_users(report: EvaluationReport, run: Path) -> None:
    """The tables of users with something held out."""
    cutoffs = report.cutoffs
    title = (
        f"{report.split}: {report.users:,} users, all {report.items:,} items ranked, "
        f"{report.confidence:.0%} bootstrap intervals"
    )
    print_scorers(report.scorers, cutoffs, title)
    for name, reason in report.left_out.items():
        print(f"{name} left out: {reason}")
    if report.against:
        title = f"above {report.against.baseline}, the strongest baseline, user by user (* beyond chance)"
        print_differences(report.against, cutoffs, title)
    slices = {name: summary.slices for name, summary in report.scorers.items()}
    print_slices(slices, f"{NDCG}@{cutoffs[0]}", "by history and by popularity of the relevant items")
    if report.without_history is not None:
        print_without_history(report.without_history, cutoffs)
    if report.cold is not None:
        print_cold(report.cold)
        print_slices(report.cold.slices, f"{RECALL}@{cutoffs[:2][-1]}", "cold items by history")
    if report.funnel is not None:
        print_funnel(report.funnel, cutoffs)
        print(f"the funnel, user by user: {run / CASES}")


@command(EvaluateConfig, "evaluate")
def main(config: EvaluateConfig) -> EvaluationReport:
    """Evaluate, print the tables, and keep the figures in the run."""
    report = evaluate_run(config)
    if report.users:
        print_users(report, config.run)
    if report.search is not None:
        print_search(report.search, report.confidence)
    report.write(config.run)
    print(f"written to {config.run / METRICS}")
    return report


if __name__ == "__main__":
    main()
