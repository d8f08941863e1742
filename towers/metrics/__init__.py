"""How well a scorer ranks: exact ranking metrics over the whole catalogue, cases, judgements, and their intervals."""

from typing import TYPE_CHECKING

from data_prep.lazy_names import lazy_names

if TYPE_CHECKING:
    from towers.metrics.bootstrap import Bootstrap, Estimate
    from towers.metrics.cases import Cases, EvaluationBatches, sample
    from towers.metrics.config import EvaluationConfig, JudgementConfig
    from towers.metrics.evaluation import Outcome, Scorer, evaluate, mean_metrics
    from towers.metrics.judgement_split import judged_to_judge_by, judged_to_learn_from
    from towers.metrics.judgements import Judgements
    from towers.metrics.paired import PairedComparison
    from towers.metrics.ranking_metrics import metric_names
    from towers.metrics.users_without_history import stranger_scores

__all__ = [
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
    "judged_to_judge_by",
    "judged_to_learn_from",
    "mean_metrics",
    "metric_names",
    "sample",
    "stranger_scores",
]

__getattr__ = lazy_names(
    __name__,
    {
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
        "judged_to_judge_by": "towers.metrics.judgement_split",
        "judged_to_learn_from": "towers.metrics.judgement_split",
        "mean_metrics": "towers.metrics.evaluation",
        "metric_names": "towers.metrics.ranking_metrics",
        "sample": "towers.metrics.cases",
        "stranger_scores": "towers.metrics.users_without_history",
    },
)
