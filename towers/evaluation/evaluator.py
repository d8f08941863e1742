"""The scorers of an evaluation, and the evaluator that ranks with each of them for the same users."""

import logging
import time
from collections.abc import Iterable, Iterator
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from towers.evaluation.report import ColdItems, Differences, Estimates, ScorerSummary, Slices, UsersWithoutHistory
from towers.evaluation.summaries import Catalogue, by_history, compare, estimated_slices, summarize
from towers.metrics.bootstrap import Bootstrap
from towers.metrics.cases import Cases
from towers.metrics.cold_items import cold_cases, summarize_cold
from towers.metrics.evaluation import Scorer, evaluate
from towers.metrics.ranking_metrics import metric_names
from towers.metrics.users_without_history import ByAttributes, metrics_without_history, scores_without_history
from towers.model.one_vector import OneVectorModel
from towers.model.run_record import RunRecord
from towers.model.scorer import ONE_VECTOR, VectorScorer, model_scorer

log = logging.getLogger(__name__)

TWO_TOWERS = "two towers"


class ModelScorers:
    """A model's scorers; the two that several tables need are made once.

    Args:
        model: of a run.
        items: the catalogue.
    """

    def __init__(self, model: OneVectorModel, items: pd.DataFrame) -> None:
        self.model, self.items = model, items

    @cached_property
    def two_towers(self) -> VectorScorer:
        """The towers alone."""
        return model_scorer(TWO_TOWERS, self.model.only([]), self.items)

    @cached_property
    def one_vector(self) -> VectorScorer:
        """The towers with their blocks; the same as the towers where there are none."""
        if self.model.blocks:
            return model_scorer(ONE_VECTOR, self.model, self.items)
        towers = self.two_towers
        return VectorScorer(ONE_VECTOR, towers.encode, towers.items.numpy(), towers.max_history)

    def each(self, run: RunRecord) -> Iterator[Scorer]:
        """The towers, alone and cut short, and with their blocks; each made when its turn comes."""
        yield self.two_towers
        for dim in run.settings.dims:  # what the run was trained to be cut to
            yield model_scorer(f"{TWO_TOWERS}, {dim} dimensions", self.model.only([]).cut(dim), self.items)
        names = [part.block.name for part in self.model.blocks]
        for name in names if len(names) > 1 else ():
            yield model_scorer(f"{TWO_TOWERS} + {name}", self.model.only([name]), self.items)
        if run.settings.blocks:  # the towers again, where no block was worth its weight
            yield self.one_vector


class Evaluator:
    """Ranks with one scorer after the other for the same users, and remembers the outcomes.

    Args:
        cases: the users.
        catalogue: the items.
        batch_size: users scored at a time.
        bootstrap: of the intervals.

    Attributes:
        metrics: of every user, by scorer, [U, M].
        summaries: of each scorer.
        cold: users with a relevant item that has no training event.
    """

    def __init__(self, cases: Cases, catalogue: Catalogue, batch_size: int, bootstrap: Bootstrap) -> None:
        self.cases, self.catalogue, self.batch_size, self.bootstrap = cases, catalogue, batch_size, bootstrap
        self.cold = cold_cases(cases, catalogue.counts)
        self.metrics: dict[str, NDArray[np.float64]] = {}
        self.summaries: dict[str, ScorerSummary] = {}
        self._without_history: dict[str, NDArray[np.float64]] = {}
        self._cold_recall: dict[str, Estimates] = {}
        self._cold_slices: dict[str, Slices] = {}

    def __call__(self, scorer: Scorer) -> None:
        """Rank the whole catalogue for every user."""
        began = time.monotonic()
        outcome = evaluate(scorer, self.cases, self.batch_size)
        log.info("%s: %d users in %.1f s", scorer.name, len(self.cases), time.monotonic() - began)
        self.metrics[scorer.name] = outcome.metrics
        without_history = self._without_history[scorer.name] = metrics_without_history(
            scores_without_history(scorer), self.cases
        )
        self.summaries[scorer.name] = summarize(outcome, self.cases, self.catalogue, self.bootstrap, without_history)
        if len(self.cold):
            outcome = evaluate(scorer, self.cold, self.batch_size)
            self._cold_recall[scorer.name] = summarize_cold(outcome, self.cold, self.bootstrap)
            by_length = by_history(outcome.metrics, self.cold)
            self._cold_slices[scorer.name] = estimated_slices(by_length, self.cold.cutoffs, self.bootstrap)

    def cold_report(self) -> ColdItems | None:
        """Recall of the cold items by every scorer; None where there are none."""
        if not len(self.cold):
            return None
        return ColdItems(len(self.cold), sum(map(len, self.cold.truth)), self._cold_recall, self._cold_slices)

    def against(self, baselines: Iterable[str]) -> Differences | None:
        """How far every scorer lies above the strongest of some."""
        return compare(self.metrics, list(baselines), metric_names(self.cases.cutoffs), self.bootstrap)

    def without_history_report(self, lists: Iterable[Scorer], attributed: Scorer | None) -> UsersWithoutHistory:
        """The model beside lists that are the same for everybody, on users whose history is taken away.

        Args:
            lists: fitted to the events that the model was fitted to.
            attributed: the model, where it reads attributes of users: it then answers once more, with them.
        """
        metrics = {n: self._without_history[n] for n in (TWO_TOWERS, ONE_VECTOR) if n in self._without_history}
        if attributed is not None:
            by_attributes = ByAttributes(attributed)
            metrics[by_attributes.name] = evaluate(by_attributes, self.cases, self.batch_size).metrics
        of_lists = {
            scorer.name: metrics_without_history(scores_without_history(scorer), self.cases) for scorer in lists
        }
        metrics |= of_lists
        names = metric_names(self.cases.cutoffs)
        return UsersWithoutHistory(
            users=len(self.cases),
            scorers={name: self.bootstrap.estimates(values, names) for name, values in metrics.items()},
            against=compare(metrics, list(of_lists), names, self.bootstrap),
        )
