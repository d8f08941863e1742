"""The scorers of an evaluation, and what is found of each on the same users."""

import logging
import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.command import instantiate
from towers.baselines import Baseline, DoesNotApply, TrainingData
from towers.evaluation.tables import by_history, compare, summarize, with_intervals, with_intervals_each
from towers.metrics.cold_items import cold_cases, summarize_cold
from towers.metrics.config import EvaluationConfig
from towers.metrics.evaluation import Cases, Scorer, evaluate, metric_names
from towers.metrics.users_without_history import ByAttributes, as_newcomers, stranger_scores
from towers.model.one_vector import OneVectorModel
from towers.model.run_record import RunRecord
from towers.model.scorer import ONE_VECTOR, model_scorer

log = logging.getLogger(__name__)

TWO_TOWERS = "two towers"


def model_scorers(model: OneVectorModel, run: RunRecord, training: TrainingData) -> Iterator[Scorer]:
    """The towers, alone and cut short, and with their blocks; each made when its turn comes.

    Args:
        model: of the run.
        run: its record.
        training: the events the model was fitted to.
    """
    items = training.items
    yield model_scorer(TWO_TOWERS, model.only([]), items)
    for dim in run.settings.dims:  # what the run was trained to be cut to
        yield model_scorer(f"{TWO_TOWERS}, {dim} dimensions", model.only([]).cut(dim), items)
    names = [part.block.name for part in model.blocks]
    for name in names if len(names) > 1 else ():
        yield model_scorer(f"two towers + {name}", model.only([name]), items)
    if run.settings.blocks:  # the towers again, where no block was worth its weight
        yield model_scorer(ONE_VECTOR, model, items)


def baseline_scorers(
    baselines: Mapping[str, Any], training: TrainingData, left_out: dict[str, str]
) -> Iterator[Scorer]:
    """What the model has to beat, each fitted when its turn comes, so that memory holds one at a time.

    Args:
        baselines: name -> config of each.
        training: what the baselines are fitted to.
        left_out: filled with the baselines that do not apply, name -> reason.
    """
    for name, node in baselines.items():
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


class Evaluator:
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
        cold_slices: the same by the length of their histories.
        newcomers: metrics of every user had their history been taken away, name -> [U, M].
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
        self.cold_slices: dict[str, Any] = {}
        self.newcomers: dict[str, NDArray[np.float64]] = {}

    def __call__(self, scorer: Scorer) -> None:
        """Rank the whole catalogue for every user."""
        began = time.monotonic()
        outcome = evaluate(scorer, self.cases, self.batch_size)
        log.info("%s: %d users in %.1f s", scorer.name, len(self.cases), time.monotonic() - began)
        self.outcomes[scorer.name] = outcome.metrics
        newcomers = self.newcomers[scorer.name] = as_newcomers(stranger_scores(scorer), self.cases)
        self.summaries[scorer.name] = summarize(
            outcome, self.cases, self.counts, self.texts, *self.bootstrap, newcomers
        )
        if len(self.cold):
            outcome = evaluate(scorer, self.cold, self.batch_size)
            self.cold_summaries[scorer.name] = summarize_cold(outcome, self.cold, *self.bootstrap)
            by_length = by_history(outcome.metrics, self.cold)
            self.cold_slices[scorer.name] = with_intervals_each(by_length, self.cold.cutoffs, *self.bootstrap)

    def compare_newcomers(self, lists: Iterator[Scorer], attributed: Scorer | None) -> dict[str, Any]:
        """The model beside lists that are the same for everybody, on users whose history is taken away.

        Args:
            lists: fitted to the events that the model was fitted to.
            attributed: the model, where it reads attributes of users: it is then asked once more, with them.

        Returns:
            `users`; `scorers`: name -> metric -> {mean, low, high}; `against` the strongest list, as `compare` has it.
        """
        found = {name: self.newcomers[name] for name in (TWO_TOWERS, ONE_VECTOR) if name in self.newcomers}
        if attributed is not None:
            by_attributes = ByAttributes(attributed)
            found[by_attributes.name] = evaluate(by_attributes, self.cases, self.batch_size).metrics
        named = {scorer.name: as_newcomers(stranger_scores(scorer), self.cases) for scorer in lists}
        found |= named
        names = metric_names(self.cases.cutoffs)
        return {
            "users": len(self.cases),
            "scorers": {name: with_intervals(metrics, names, *self.bootstrap) for name, metrics in found.items()},
            "against": compare(found, list(named), self.cases.cutoffs, *self.bootstrap),
        }
