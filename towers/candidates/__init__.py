"""Recall: candidates of several channels beside the towers, their fusion, and the funnel made of both.

Its names are imported when they are first asked for.
"""

from typing import TYPE_CHECKING

from data_prep.lazy_names import lazy_names

if TYPE_CHECKING:
    from towers.candidates.candidate_pool import TOWERS, CandidatePools, ChannelCandidates, rescaled
    from towers.candidates.config import FunnelConfig
    from towers.candidates.fallback import FALLBACK, Fallback
    from towers.candidates.fallback_choice import FallbackChoice, choose_fallback
    from towers.candidates.funnel import FUNNEL, QUERY_FUNNEL, Funnel
    from towers.candidates.funnel_record import FunnelRecord, FunnelResult
    from towers.candidates.fusion import FittedFusion
    from towers.candidates.query_funnel import QueryFunnel
    from towers.candidates.trained_run import TrainedRun

__all__ = [
    "FALLBACK",
    "FUNNEL",
    "QUERY_FUNNEL",
    "TOWERS",
    "CandidatePools",
    "ChannelCandidates",
    "Fallback",
    "FallbackChoice",
    "FittedFusion",
    "Funnel",
    "FunnelConfig",
    "FunnelRecord",
    "FunnelResult",
    "QueryFunnel",
    "TrainedRun",
    "choose_fallback",
    "rescaled",
]

__getattr__ = lazy_names(
    __name__,
    {
        "CandidatePools": "towers.candidates.candidate_pool",
        "ChannelCandidates": "towers.candidates.candidate_pool",
        "FALLBACK": "towers.candidates.fallback",
        "FUNNEL": "towers.candidates.funnel",
        "Fallback": "towers.candidates.fallback",
        "FallbackChoice": "towers.candidates.fallback_choice",
        "FittedFusion": "towers.candidates.fusion",
        "Funnel": "towers.candidates.funnel",
        "FunnelConfig": "towers.candidates.config",
        "FunnelRecord": "towers.candidates.funnel_record",
        "FunnelResult": "towers.candidates.funnel_record",
        "QUERY_FUNNEL": "towers.candidates.funnel",
        "QueryFunnel": "towers.candidates.query_funnel",
        "TOWERS": "towers.candidates.candidate_pool",
        "TrainedRun": "towers.candidates.trained_run",
        "choose_fallback": "towers.candidates.fallback_choice",
        "rescaled": "towers.candidates.candidate_pool",
    },
)
