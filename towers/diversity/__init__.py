"""Lists that are good and not all alike: MMR, determinantal point processes, category quotas, duplicates."""

from towers.diversity.distance import intra_list_distance, mean_distance
from towers.diversity.diversify import (
    METHODS,
    POOL,
    DiverseList,
    Diversity,
    DiversityConfig,
    Pool,
    diversify,
    standardised,
    unit,
)
from towers.diversity.greedy import Tiers, greedy

__all__ = [
    "METHODS",
    "POOL",
    "DiverseList",
    "Diversity",
    "DiversityConfig",
    "Pool",
    "Tiers",
    "diversify",
    "greedy",
    "intra_list_distance",
    "mean_distance",
    "standardised",
    "unit",
]
