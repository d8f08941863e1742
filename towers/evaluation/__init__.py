"""Evaluation: a run beside baselines on held-out users and judged queries, its funnel stage by stage, and the tables.

Its names are imported when they are first asked for.
"""

from typing import TYPE_CHECKING

from data_prep.lazy_names import lazy_names

if TYPE_CHECKING:
    from towers.evaluation.evaluator import TWO_TOWERS, ModelScorers
    from towers.evaluation.report import METRICS, Estimates, EvaluationReport, FunnelReport, ScorerSummary, SearchReport
    from towers.evaluation.search import SearchEvaluationConfig, evaluate_search, with_typos, with_untuned_encoder
    from towers.evaluation.summaries import Catalogue, summarize

__all__ = [
    "METRICS",
    "TWO_TOWERS",
    "Catalogue",
    "Estimates",
    "EvaluationReport",
    "FunnelReport",
    "ModelScorers",
    "ScorerSummary",
    "SearchEvaluationConfig",
    "SearchReport",
    "evaluate_search",
    "summarize",
    "with_typos",
    "with_untuned_encoder",
]

__getattr__ = lazy_names(
    __name__,
    {
        "Estimates": "towers.evaluation.report",
        "Catalogue": "towers.evaluation.summaries",
        "EvaluationReport": "towers.evaluation.report",
        "FunnelReport": "towers.evaluation.report",
        "METRICS": "towers.evaluation.report",
        "ModelScorers": "towers.evaluation.evaluator",
        "ScorerSummary": "towers.evaluation.report",
        "SearchEvaluationConfig": "towers.evaluation.search",
        "SearchReport": "towers.evaluation.report",
        "TWO_TOWERS": "towers.evaluation.evaluator",
        "evaluate_search": "towers.evaluation.search",
        "summarize": "towers.evaluation.summaries",
        "with_typos": "towers.evaluation.search",
        "with_untuned_encoder": "towers.evaluation.search",
    },
)
