"""Evaluation of search: scorers on judged queries, one row a scorer, and one line of a CSV a query."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from data_prep.columns import Columns
from data_prep.command import instantiate
from data_prep.config import Node
from towers.baselines import fitted_baselines
from towers.candidates.query_funnel import QueryFunnel
from towers.evaluation.report import Estimates, Reworded, SearchReport, ServedRow
from towers.evaluation.stage import Stage
from towers.evaluation.summaries import compare
from towers.events import TrainingData
from towers.metrics.bootstrap import Bootstrap
from towers.metrics.cases import Cases, EvaluationBatches
from towers.metrics.config import EvaluationConfig
from towers.metrics.evaluation import Scorer
from towers.metrics.judgements import Judgements, judgement_cases
from towers.metrics.ranking_metrics import CUTOFF, MRR, NDCG, RECALL, graded_ndcg, per_user, ranks
from towers.model.run_record import RunSettings
from towers.text.tokenization import normalized
from towers.text.typos import misspelt
from towers.text.vector_cache import VectorCache

QUERIES = "queries.csv"

REACH = 100
"""The k of recall and of the reciprocal rank."""

METRICS = (f"{NDCG}@{CUTOFF}", f"{RECALL}@{REACH}", f"{MRR}@{REACH}")


@dataclass
class SearchEvaluationConfig:
    """How judged queries are evaluated.

    Attributes:
        baselines: scorers beside the model, by name.
        typos: whether the queries are asked once more with one random error each.
    """

    baselines: dict[str, Node]
    typos: bool


@dataclass(frozen=True)
class Answers:
    """Answers of one scorer.

    Attributes:
        name: the scorer's.
        metrics: [Q, M] of each query, columns as `METRICS`.
        top: [Q, K] the first items of each, best first.
    """

    name: str
    metrics: NDArray[np.float64]
    top: NDArray[np.int64]


def answer(scorer: Scorer, judgements: Judgements, cases: Cases, batch_size: int) -> Answers:
    """Rank the whole catalogue for every query.

    Args:
        scorer: answers.
        judgements: answerable queries, Q of them.
        cases: the same as cases (see `judgement_cases`).
        batch_size: queries scored at a time; memory is batch_size · N scores.

    Returns:
        NDCG with graded gains; recall and the best reciprocal rank of items of a grade above 0.
    """
    depth = min(CUTOFF, len(cases.item_ids))
    metrics, top = np.empty((len(judgements), len(METRICS))), np.empty((len(judgements), depth), np.int64)
    for batch in EvaluationBatches(cases, batch_size):
        positions = batch.places.numpy()
        of_batch = judgements[positions]
        query, row, _ = of_batch.pairs
        scores = scorer.score(batch.histories, batch.queries)
        metrics[positions] = _figures(ranks(scores, query, row, cases.ties), of_batch)
        top[positions] = scores.topk(depth, dim=1).indices.numpy()
    return Answers(scorer.name, metrics, top)


def answer_served(served: QueryFunnel, judgements: Judgements, cases: Cases) -> Answers:
    """As `answer`, by the funnel that a server answers with; what is not in its pool is not found."""
    stage = Stage.by(served.name, *served.answers(cases))
    query, row, _ = judgements.pairs
    item_ranks = torch.from_numpy(stage.ranks_of(query.numpy(), row.numpy()))
    return Answers(served.name, _figures(item_ranks, judgements), stage.top(min(CUTOFF, len(cases.item_ids))))


def _figures(item_ranks: Tensor, judgements: Judgements) -> NDArray[np.float64]:
    """The metrics of Q queries, [Q, M], from the rank of each judged item, [T]."""
    query, _, grade = judgements.pairs
    good = grade > 0
    binary = per_user(item_ranks[good], query[good], len(judgements), [REACH])
    ndcg, recall, mrr = METRICS
    figures = {ndcg: graded_ndcg(item_ranks, query, grade, len(judgements), CUTOFF), **binary}
    return torch.stack([figures[ndcg], figures[recall], figures[mrr]], dim=1).numpy()


def evaluate_search(
    models: Sequence[Scorer],
    training: TrainingData,
    judgements: Judgements,
    config: SearchEvaluationConfig,
    settings: EvaluationConfig,
    seed: int,
    reworded: Mapping[str, Sequence[str]] | None = None,
    served: QueryFunnel | None = None,
) -> tuple[SearchReport, pd.DataFrame]:
    """Evaluate a model beside scorers that need no training, and beside what a server answers by.

    Args:
        models: the model's scorers.
        training: the others are fitted to it.
        judgements: answerable queries that the model did not learn from, Q of them.
        config: which others.
        settings: batch size and intervals.
        seed: of the intervals.
        reworded: the same queries in other words, name -> Q texts.
        served: the funnel that a server answers with, which did not learn from these queries; None for none.

    Returns:
        The report, and a row for each query, scorer and wording.
    """
    item_ids = [str(item_id) for item_id in training.items[Columns.ITEM_ID]]
    cases, bootstrap = judgement_cases(judgements, item_ids, [CUTOFF]), settings.bootstrap(seed)
    baselines, left_out = fitted_baselines(config.baselines, training)
    metrics, rows = {}, []
    for wording, queries in {"": judgements.queries, **(reworded or {})}.items():
        asked, texts = replace(cases, queries=list(queries)), replace(judgements, queries=list(queries))
        scorers = [*models, *baselines.values()]
        answers = [answer(scorer, judgements, asked, settings.batch_size) for scorer in scorers]
        if served is not None:
            answers.append(answer_served(served, judgements, asked))
        metrics[wording] = {of_scorer.name: of_scorer.metrics for of_scorer in answers}
        rows.append(_rows(answers, texts, item_ids, wording))
    plain = metrics.pop("")
    report = SearchReport(
        queries=len(judgements),
        judgements=len(judgements.pairs[0]),
        scorers=_estimates(plain, bootstrap),
        against=compare(plain, [baseline.name for baseline in baselines.values()], METRICS, bootstrap),
        served=None if served is None else ServedRow(served.name, served.source),
        left_out=left_out,
        reworded={wording: _reworded(plain, others, bootstrap) for wording, others in metrics.items()},
    )
    return report, pd.concat(rows, ignore_index=True)


def _reworded(
    plain: Mapping[str, NDArray[np.float64]], others: Mapping[str, NDArray[np.float64]], bootstrap: Bootstrap
) -> Reworded:
    lost = {scorer: plain[scorer] - values for scorer, values in others.items()}
    return Reworded(_estimates(others, bootstrap), _estimates(lost, bootstrap))


def _estimates(metrics: Mapping[str, NDArray[np.float64]], bootstrap: Bootstrap) -> dict[str, Estimates]:
    return {name: bootstrap.estimates(values, METRICS) for name, values in metrics.items()}


def _rows(answers: Sequence[Answers], judgements: Judgements, item_ids: Sequence[str], wording: str) -> pd.DataFrame:
    """Each scorer's first items for each query, and their grades, to look into single figures."""
    rows = []
    for of_scorer in answers:
        for position, query in enumerate(judgements.queries):
            of_query = judgements.rows[position].tolist(), judgements.grades[position].tolist()
            grades = dict(zip(*of_query, strict=True))
            top = of_scorer.top[position].tolist()
            rows.append(
                {
                    "query": query,
                    "wording": wording,
                    "scorer": of_scorer.name,
                    **dict(zip(METRICS, of_scorer.metrics[position].tolist(), strict=True)),
                    "judged": len(grades),
                    "top": " ".join(item_ids[row] for row in top),
                    "grades": " ".join(str(grades.get(row, "-")) for row in top),
                }
            )
    return pd.DataFrame(rows)


def with_typos(queries: Sequence[str], seed: int) -> list[str]:
    """Queries with one random error each (see `misspelt`)."""
    rng = np.random.default_rng(seed)
    return [misspelt(normalized(query), rng) for query in queries]


def with_untuned_encoder(training: TrainingData, run: RunSettings) -> TrainingData:
    """The same data, read by the text encoder as it was before training."""
    cache = VectorCache(run.text_cache, instantiate(run.encoder))
    return replace(training, encode=cache.encode)
