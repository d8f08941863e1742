from .evaluator import TWO_TOWERS as TWO_TOWERS, ModelScorers as ModelScorers
from .report import (
    METRICS as METRICS,
    Estimates as Estimates,
    EvaluationReport as EvaluationReport,
    FunnelReport as FunnelReport,
    ScorerSummary as ScorerSummary,
    SearchReport as SearchReport,
)
from .search import (
    SearchEvaluationConfig as SearchEvaluationConfig,
    evaluate_search as evaluate_search,
    with_typos as with_typos,
    with_untuned_encoder as with_untuned_encoder,
)
from .summaries import Catalogue as Catalogue, summarize as summarize
