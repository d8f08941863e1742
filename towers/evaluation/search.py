"""How well scorers answer judged queries: one row a scorer, one line of a CSV a query."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from torch import Tensor

from data_prep.columns import Columns
from data_prep.command import instantiate
from towers.baselines import TrainingData, fitted_baselines
from towers.baselines.late_fusion import Mix, choose_weights
from towers.candidates.train_queries import QueryFunnel
from towers.evaluation.tables import with_intervals
from towers.metrics.config import EvaluationConfig
from towers.metrics.evaluation import Cases, EvaluationBatches, Scorer
from towers.metrics.judgements import Judgements, graded_ndcg, judged_cases
from towers.metrics.ranking_metrics import per_user, ranks
from towers.model.run_record import RunSettings
from towers.text.tokenization import normalized
from towers.text.typos import misspelt
from towers.text.vector_cache import VectorCache

QUERIES = "queries.csv"
METRICS = ("ndcg@10", "recall@100", "mrr@100")
DEPTH = 10
"""Items of each answer that are kept for who asks why, and the k of the NDCG."""

REACH = 100
"""The k of recall and of the reciprocal rank."""


@dataclass
class SearchEvaluationConfig:
    """How judged queries are evaluated.

    Attributes:
        baselines: scorers beside the model, by name.
        fused: those of them that are fused with the model.
        folds: parts of the queries; each is answered with the weights that serve the others best.
        grid: weights tried for the model beside the fused ones, in units of score deviations.
        typos: whether the queries are asked once more with one random error each.
    """

    baselines: dict[str, Any]
    fused: list[str]
    folds: int
    grid: list[float]
    typos: bool


@dataclass(frozen=True)
class Answers:
    """What one scorer answered.

    Attributes:
        name: the scorer's.
        metrics: [Q, M] of each query, columns as `METRICS`.
        top: [Q, K] the first items of each, best first.
    """

    name: str
    metrics: NDArray[np.float64]
    top: NDArray[np.int64]


def answer(scorer: Scorer, judged: Judgements, cases: Cases, batch_size: int) -> Answers:
    """Rank the whole catalogue for every query.

    Args:
        scorer: what is judged.
        judged: answerable queries, Q of them.
        cases: the same as cases (see `judged_cases`).
        batch_size: queries scored at a time; memory is batch_size · N scores.

    Returns:
        NDCG with graded gains; recall and the best reciprocal rank of items of a grade above 0.
    """
    depth = min(DEPTH, len(cases.item_ids))
    metrics, top = np.empty((len(judged), len(METRICS))), np.empty((len(judged), depth), np.int64)
    for batch in EvaluationBatches(cases, batch_size):
        places = batch.places.numpy()
        asked = judged[places]
        query, row, _ = asked.pairs
        scores = scorer.score(batch.histories, batch.queries)
        metrics[places] = _figures(ranks(scores, query, row, cases.ties), asked)
        top[places] = scores.topk(depth, dim=1).indices.numpy()
    return Answers(scorer.name, metrics, top)


def answer_served(served: QueryFunnel, judged: Judgements, cases: Cases) -> Answers:
    """As `answer`, by the funnel that a server answers with; what is not in its pool is not found."""
    stage = served.stage(cases)
    query, row, _ = judged.pairs
    found = torch.from_numpy(stage.ranks_of(query.numpy(), row.numpy()))
    return Answers(served.name, _figures(found, judged), stage.top(min(DEPTH, len(cases.item_ids))))


def _figures(found: Tensor, judged: Judgements) -> NDArray[np.float64]:
    """The metrics of Q queries, [Q, M], from the rank of each judged item, [T]."""
    query, _, grade = judged.pairs
    good = grade > 0
    binary = per_user(found[good], query[good], len(judged), [REACH])
    ndcg = graded_ndcg(found, query, grade, len(judged), DEPTH)
    return torch.stack([ndcg, binary[f"recall@{REACH}"], binary[f"mrr@{REACH}"]], dim=1).numpy()


class FoldedMix:
    """A weighted sum of scorers, each over its score deviation; no query has a say in the weights it is answered with.

    Args:
        parts: scorers; the last one, the model, is weighed against the others, which weigh 1.
        cases: the queries.
        folds: positions of queries; each part is answered with the weights that rank the others best.
        grid: weights tried.
        batch_size: queries scored at a time.
    """

    def __init__(
        self,
        parts: Sequence[Scorer],
        cases: Cases,
        folds: Sequence[NDArray[np.int64]],
        grid: Sequence[float],
        batch_size: int,
    ) -> None:
        self.name = "cross-validated: " + " + ".join(part.name for part in reversed(parts))
        self.folds = folds
        self.mixes = []
        for number in range(len(folds)):
            others = cases[np.sort(np.concatenate([part for i, part in enumerate(folds) if i != number]))]
            mix = Mix(self.name, [(part, 1.0) for part in parts])
            mix.calibrate([others.history(i) for i in range(len(others))], others.queries, batch_size)
            mix.weights = choose_weights(mix, others, grid, passes=len(parts), certainty=0, batch_size=batch_size)
            self.mixes.append(mix)

    def answer(self, judged: Judgements, cases: Cases, batch_size: int) -> Answers:
        """As `answer`, each query by the mix of its fold."""
        answers = [
            answer(mix, judged[fold], cases[fold], batch_size) for mix, fold in zip(self.mixes, self.folds, strict=True)
        ]
        order = np.argsort(np.concatenate(self.folds))
        metrics = np.concatenate([one.metrics for one in answers])[order]
        return Answers(self.name, metrics, np.concatenate([one.top for one in answers])[order])


def evaluate_search(
    models: Sequence[Scorer],
    training: TrainingData,
    judged: Judgements,
    config: SearchEvaluationConfig,
    settings: EvaluationConfig,
    seed: int,
    reworded: Mapping[str, Sequence[str]] | None = None,
    served: QueryFunnel | None = None,
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Evaluate a model beside scorers that need no training, and fused with some of them.

    Where it is known how a server fuses them, by what it would answer; otherwise with weights by cross-validation.

    Args:
        models: the model's scorers, the one that is fused last.
        training: what the others are fitted to.
        judged: answerable queries that the model did not learn from, Q of them.
        config: which others.
        settings: batch size and intervals.
        seed: of folds and intervals.
        reworded: the same queries in other words, name -> Q texts: what is lost when people ask so.
        served: the funnel that a server answers with, which did not learn from these queries; None for none.

    Returns:
        For `metrics.json`, and a row for each query, scorer and wording.
    """
    item_ids = [str(i) for i in training.items[Columns.ITEM_ID]]
    cases = judged_cases(judged, item_ids, [DEPTH])
    size = settings.batch_size
    baselines, left_out = fitted_baselines(config.baselines, training)
    scorers = [*models, *baselines.values()]
    parts = [*(baselines[name] for name in config.fused if name in baselines), models[-1]]
    fused = None
    if served is None and len(parts) > 1 and len(judged) >= config.folds:
        fused = FoldedMix(parts, cases, judged.folds(config.folds, seed), config.grid, size)

    def answers_to(asked: Cases) -> list[Answers]:
        found = [answer(scorer, judged, asked, size) for scorer in scorers]
        if served is not None:
            return [*found, answer_served(served, judged, asked)]
        return found if fused is None else [*found, fused.answer(judged, asked, size)]

    bootstrap = (settings.bootstrap_samples, settings.confidence, seed)
    answers = answers_to(cases)
    report: dict[str, Any] = {
        "queries": len(judged),
        "judgements": len(judged.pairs[0]),
        "scorers": _summaries(answers, bootstrap),
        "above": _above(answers, [baseline.name for baseline in baselines.values()], bootstrap),
        "served": None if served is None else {"row": served.name, "learnt_from": served.source},
        "cross_validated_weights": [] if fused is None else [mix.weights for mix in fused.mixes],
        "left_out": left_out,
        "reworded": {},
    }
    rows = [_rows(answers, judged, item_ids, "")]
    for name, queries in (reworded or {}).items():
        again = answers_to(replace(cases, queries=list(queries)))
        lost = [Answers(new.name, old.metrics - new.metrics, new.top) for old, new in zip(answers, again, strict=True)]
        report["reworded"][name] = {"scorers": _summaries(again, bootstrap), "lost": _summaries(lost, bootstrap)}
        rows.append(_rows(again, replace(judged, queries=list(queries)), item_ids, name))
    return report, pd.concat(rows, ignore_index=True)


def _summaries(answers: Sequence[Answers], bootstrap: tuple[int, float, int]) -> dict[str, Any]:
    return {one.name: with_intervals(one.metrics, METRICS, *bootstrap) for one in answers}


def _above(answers: Sequence[Answers], baselines: Sequence[str], bootstrap: tuple[int, float, int]) -> dict[str, Any]:
    """How far each scorer lies above the best baseline by NDCG, query by query."""
    if not baselines:
        return {}
    best = max((one for one in answers if one.name in baselines), key=lambda one: float(one.metrics[:, 0].mean()))
    above = [Answers(one.name, one.metrics - best.metrics, one.top) for one in answers if one is not best]
    return {"baseline": best.name, "scorers": _summaries(above, bootstrap)}


def _rows(answers: Sequence[Answers], judged: Judgements, item_ids: Sequence[str], wording: str) -> pd.DataFrame:
    """Why a figure is what it is: what each scorer put first for each query, and how that was judged."""
    rows = []
    for one in answers:
        for place, query in enumerate(judged.queries):
            grades = dict(zip(judged.rows[place].tolist(), judged.grades[place].tolist(), strict=True))
            top = one.top[place].tolist()
            rows.append(
                {
                    "query": query,
                    "wording": wording,
                    "scorer": one.name,
                    **dict(zip(METRICS, one.metrics[place].tolist(), strict=True)),
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


def print_search(report: Mapping[str, Any], confidence: float) -> None:
    """One row a scorer, best NDCG first; ± is half the width of the interval, and what other wordings cost."""
    wordings = report["reworded"]
    title = f"search: {report['queries']:,} judged queries, the whole catalogue ranked, {confidence:.0%} intervals"
    if report["served"] is not None:
        title += f"; served: as a server answers, by {report['served']['learnt_from']} queries"
    table = Table(title=title)
    for column in ("", *METRICS, *(f"{METRICS[0]}, {name}" for name in wordings)):
        table.add_column(column, justify="right" if column else "left")
    for name, metrics in sorted(report["scorers"].items(), key=lambda one: -one[1][METRICS[0]]["mean"]):
        others = [wordings[wording]["scorers"][name][METRICS[0]] for wording in wordings]
        cells = [*(metrics[metric] for metric in METRICS), *others]
        table.add_row(name, *(f"{cell['mean']:.4f} ±{(cell['high'] - cell['low']) / 2:.4f}" for cell in cells))
    Console().print(table)
