from .bootstrap import Bootstrap as Bootstrap, Estimate as Estimate
from .cases import Cases as Cases, EvaluationBatches as EvaluationBatches, sample as sample
from .config import EvaluationConfig as EvaluationConfig, JudgementConfig as JudgementConfig
from .evaluation import Outcome as Outcome, Scorer as Scorer, evaluate as evaluate, mean_metrics as mean_metrics
from .judgement_split import (
    held_out_judgements as held_out_judgements,
    judgements_to_learn_from as judgements_to_learn_from,
)
from .judgements import Judgements as Judgements
from .paired import PairedComparison as PairedComparison
from .ranking_metrics import CUTOFF as CUTOFF, metric_names as metric_names
from .users_without_history import scores_without_history as scores_without_history
