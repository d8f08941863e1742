"""`python -m towers.evaluate`: how good the towers are, beside what needs no training."""

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from data_prep.columns import Columns, Split
from data_prep.command import command, instantiate
from data_prep.errors import GateFailed, UsageError
from data_prep.files import read_json, write_json
from towers.baselines import Baseline, DoesNotApply, TrainingData
from towers.cold import cold_cases, summarize_cold
from towers.config import EvaluationConfig
from towers.evaluation import Cases, Scorer, evaluate
from towers.judged import JudgedQueries
from towers.judged_evaluation import (
    QUERIES,
    SearchConfig,
    evaluate_search,
    judged_of,
    print_search,
    with_typos,
    with_untuned_encoder,
)
from towers.material import read_sequences_of
from towers.model import Model
from towers.report import compare, print_cold, print_comparison, print_slices, print_table, summarize
from towers.run import RUN, dataset_of
from towers.scoring import model_scorer
from towers.text_features import text_directions
from towers.weighing import ONE_VECTOR, late_fusion

log = logging.getLogger(__name__)

METRICS = "metrics.json"
TWO_TOWERS = "two towers"
TOKENS_AT_ONCE = 2048  # padded events encoded at a time


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
        search: how judged queries are evaluated, where the dataset has any.
    """

    run: Path
    data: Path | None
    artifacts: Path
    held_out: str
    seed: int
    threads: int
    evaluation: EvaluationConfig
    baselines: dict[str, Any]
    search: SearchConfig


def model_scorers(
    model: Model, run: dict[str, Any], training: TrainingData, cases: Cases, batch_size: int
) -> Iterator[Scorer]:
    """The towers, alone and cut short, and with their blocks; each made when its turn comes.

    Args:
        model: of the run.
        run: its `run.json`.
        training: the events the model was fitted to.
        cases: users who are evaluated.
        batch_size: users scored at a time.
    """
    items = training.items
    yield model_scorer(TWO_TOWERS, model.only([]), items)
    for dim in run["config"]["loss"]["dims"]:  # what the run was trained to be cut to
        yield model_scorer(f"{TWO_TOWERS}, {dim} dimensions", model.only([]).cut(dim), items)
    names = [part.block.name for part in model.blocks]
    for name in names if len(names) > 1 else ():
        yield model_scorer(f"two towers + {name}", model.only([name]), items)
    if run["config"]["blocks"]:  # the towers again, where no block was worth its weight
        yield model_scorer(ONE_VECTOR, model, items)
    weights = run["weighing"]["late"]
    if weights:
        yield late_fusion(model, run["config"]["channels"], weights, training, cases, batch_size)


def baseline_scorers(config: EvaluateConfig, training: TrainingData, left_out: dict[str, str]) -> Iterator[Scorer]:
    """What the model has to beat, each fitted when its turn comes, so that memory holds one at a time.

    Args:
        config: names the baselines.
        training: what the baselines are fitted to.
        left_out: filled with the baselines that do not apply, name -> reason.
    """
    for name, node in config.baselines.items():
        baseline: Baseline = instantiate(node)
        began = time.monotonic()
        try:
            baseline.fit(training)
        except DoesNotApply as reason:
            log.warning("%s left out: %s", name, reason)
            left_out[name] = str(reason)
            continue
        log.info("%s: fitted in %.1f s", baseline.name, time.monotonic() - began)
        yield baseline


class Judge:
    """Scorers one after the other, on the same users.

    Args:
        cases: the users.
        counts: training events of each item, [N].
        texts: unit vectors of the items' whitened texts, [N, text_dim].
        settings: batch size and intervals.
        seed: of the bootstrap.

    Attributes:
        outcomes: metrics of every user, name -> [U, M].
        summaries: what is reported of each.
        cold: users who want an item without training events.
        cold_summaries: the same for them; empty where there are none.
        bootstrap: samples, confidence and seed of the intervals.
    """

    def __init__(
        self,
        cases: Cases,
        counts: NDArray[np.int64],
        texts: NDArray[np.float32],
        settings: EvaluationConfig,
        seed: int,
    ) -> None:
        self.cases, self.counts, self.texts, self.batch_size = cases, counts, texts, settings.batch_size
        self.bootstrap = (settings.bootstrap_samples, settings.confidence, seed)
        self.cold = cold_cases(cases, counts)
        self.outcomes: dict[str, NDArray[np.float64]] = {}
        self.summaries: dict[str, Any] = {}
        self.cold_summaries: dict[str, Any] = {}

    def __call__(self, scorer: Scorer) -> None:
        """Rank the whole catalogue for every user."""
        began = time.monotonic()
        outcome = evaluate(scorer, self.cases, self.batch_size)
        log.info("%s: %d users in %.1f s", scorer.name, len(self.cases), time.monotonic() - began)
        self.outcomes[scorer.name] = outcome.metrics
        self.summaries[scorer.name] = summarize(outcome, self.cases, self.counts, self.texts, *self.bootstrap)
        if len(self.cold):
            outcome = evaluate(scorer, self.cold, self.batch_size)
            self.cold_summaries[scorer.name] = summarize_cold(outcome, self.cold, *self.bootstrap)


def trained_until(run: dict[str, Any]) -> Split:
    """The first split whose events a run, as its `run.json` tells, has not seen."""
    return Split[run["until"].upper()]


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
    model, dataset = Model.open(config.run), dataset_of(config.run, config.data)
    towers = model.towers
    run = read_json(config.run / RUN)
    sequences = read_sequences_of(dataset, run["config"])
    split, until, settings = Split[config.held_out.upper()], trained_until(run), config.evaluation
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
    judged = judged_of(run, dataset)
    if not len(cases) and judged is None:
        raise GateFailed(
            f"{dataset.path} has no user with something to find in its {config.held_out} split, and no judged queries "
            "that the run did not learn from"
        )
    report |= evaluate_users(config, model, run, training, cases)
    report["search"] = {} if judged is None else search(config, model, run, training, judged)
    return report


def evaluate_users(
    config: EvaluateConfig, model: Model, run: dict[str, Any], training: TrainingData, cases: Cases
) -> dict[str, Any]:
    """Towers and baselines on users with something held out; how many there are where there are none."""
    if not len(cases):
        return {"users": 0, "scorers": {}}
    settings = config.evaluation
    texts = text_directions(training.vectors)
    judge = Judge(cases, training.interactions.counts(), texts, settings, config.seed)
    left_out: dict[str, str] = {}
    for scorer in model_scorers(model, run, training, cases, settings.batch_size):
        judge(scorer)
    ours = len(judge.outcomes)
    for baseline in baseline_scorers(config, training, left_out):
        judge(baseline)
    baselines = list(judge.outcomes)[ours:]
    return {
        "users": len(cases),
        "scorers": judge.summaries,
        "against": compare(judge.outcomes, baselines, settings.cutoffs, *judge.bootstrap),
        "left_out": left_out,
        "cold": {"users": len(judge.cold), "wanted": sum(map(len, judge.cold.truth)), "scorers": judge.cold_summaries},
    }


def search(
    config: EvaluateConfig, model: Model, run: dict[str, Any], training: TrainingData, judged: JudgedQueries
) -> dict[str, Any]:
    """Towers and scorers of words on judged queries; why each is what it is goes to `queries.csv`."""
    judged = judged.answerable()
    if not len(judged):
        return {}
    models = [model_scorer(TWO_TOWERS, model.only([]), training.items)]
    if model.blocks:
        models.append(model_scorer(ONE_VECTOR, model, training.items))
    reworded = {"misspelt": with_typos(judged.queries, config.seed)} if config.search.typos else {}
    untuned = with_untuned_encoder(training, run)
    report, rows = evaluate_search(models, untuned, judged, config.search, config.evaluation, config.seed, reworded)
    rows.to_csv(config.run / QUERIES, index=False)
    return report


def print_users(report: dict[str, Any], cutoffs: list[int]) -> None:
    """What became of users with something held out."""
    title = (
        f"{report['split']}: {report['users']:,} users, all {report['items']:,} items ranked, "
        f"{report['confidence']:.0%} bootstrap intervals"
    )
    print_table(report["scorers"], cutoffs, title)
    for name, reason in report["left_out"].items():
        print(f"{name} left out: {reason}")
    if report["against"]:
        print_comparison(report["against"], cutoffs)
    print_slices(report["scorers"][TWO_TOWERS], f"{TWO_TOWERS}, by kind of user")
    if report["cold"]["users"]:
        print_cold(report["cold"])


@command(EvaluateConfig, "evaluate")
def main(config: EvaluateConfig) -> dict[str, Any]:
    """Evaluate, print the table, and keep the figures in the run."""
    report = evaluate_run(config)
    if report["users"]:
        print_users(report, config.evaluation.cutoffs)
    if report["search"]:
        print_search(report["search"], report["confidence"])
    write_json(config.run / METRICS, report)
    print(f"written to {config.run / METRICS}")
    return report


if __name__ == "__main__":
    main()
