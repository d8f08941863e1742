"""How well a scorer ranks: exact ranking metrics over the whole catalogue, cases, judgements, and their intervals."""

from typing import TYPE_CHECKING

from data_prep.lazy_names import lazy_names

if TYPE_CHECKING:
    from towers.metrics.bootstrap import Bootstrap, Estimate
    from towers.metrics.cases import Cases, EvaluationBatches, sample
    from towers.metrics.config import EvaluationConfig, JudgementConfig
    from towers.metrics.evaluation import Outcome, Scorer, evaluate, mean_metrics
    from towers.metrics.judgement_split import held_out_judgements, judgements_to_learn_from
    from towers.metrics.judgements import Judgements
    from towers.metrics.paired import PairedComparison
    from towers.metrics.ranking_metrics import CUTOFF, metric_names
    from towers.metrics.users_without_history import scores_without_history

__all__ = [
    "CUTOFF",
    "Bootstrap",
    "Cases",
    "Estimate",
    "EvaluationBatches",
    "EvaluationConfig",
    "JudgementConfig",
    "Judgements",
    "Outcome",
    "PairedComparison",
    "Scorer",
    "evaluate",
    "held_out_judgements",
    "judgements_to_learn_from",
    "mean_metrics",
    "metric_names",
    "sample",
    "scores_without_history",
]

__getattr__ = lazy_names(
    __name__,
    {
        "CUTOFF": "towers.metrics.ranking_metrics",
        "Bootstrap": "towers.metrics.bootstrap",
        "Estimate": "towers.metrics.bootstrap",
        "Cases": "towers.metrics.cases",
        "EvaluationBatches": "towers.metrics.cases",
        "EvaluationConfig": "towers.metrics.config",
        "JudgementConfig": "towers.metrics.config",
        "Judgements": "towers.metrics.judgements",
        "Outcome": "towers.metrics.evaluation",
        "PairedComparison": "towers.metrics.paired",
        "Scorer": "towers.metrics.evaluation",
        "evaluate": "towers.metrics.evaluation",
        "held_out_judgements": "towers.metrics.judgement_split",
        "judgements_to_learn_from": "towers.metrics.judgement_split",
        "mean_metrics": "towers.metrics.evaluation",
        "metric_names": "towers.metrics.ranking_metrics",
        "sample": "towers.metrics.cases",
        "scores_without_history": "towers.metrics.users_without_history",
    },
)
