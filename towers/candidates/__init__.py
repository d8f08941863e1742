"""Candidates of a request: recall channels, their fusion, pools of candidates, and the fallback for unknown users."""

from typing import TYPE_CHECKING

from data_prep.lazy_names import lazy_names

if TYPE_CHECKING:
    from towers.candidates.candidate_pool import TOWERS, Found, Pools, stretched
    from towers.candidates.fallback import Fallback
    from towers.candidates.funnel import Funnel
    from towers.candidates.fusion import FittedFusion

__all__ = ["TOWERS", "Fallback", "FittedFusion", "Found", "Funnel", "Pools", "stretched"]

__getattr__ = lazy_names(
    __name__,
    {
        "TOWERS": "towers.candidates.candidate_pool",
        "Fallback": "towers.candidates.fallback",
        "FittedFusion": "towers.candidates.fusion",
        "Found": "towers.candidates.candidate_pool",
        "Funnel": "towers.candidates.funnel",
        "Pools": "towers.candidates.candidate_pool",
        "stretched": "towers.candidates.candidate_pool",
    },
)
