"""Lists that are good and not all alike: MMR, determinantal point processes, category quotas, duplicates."""

from towers.diversity.distance import intra_list_distance, mean_distance
from towers.diversity.diversify import METHODS, POOL, DiverseList, Diversity, DiversityConfig, Pool, diversify, unit

__all__ = [
    "METHODS",
    "POOL",
    "DiverseList",
    "Diversity",
    "DiversityConfig",
    "Pool",
    "diversify",
    "intra_list_distance",
    "mean_distance",
    "unit",
]
