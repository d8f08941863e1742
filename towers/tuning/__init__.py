"""Sweeps and tuning of settings: the space, the trials and their study, and the tables and plots of both."""

from typing import TYPE_CHECKING

from data_prep.lazy_names import lazy_names

if TYPE_CHECKING:
    from towers.tuning.space import check_space, parse_space
    from towers.tuning.study import Study
    from towers.tuning.table import print_groups
    from towers.tuning.trials import Trial, TrialGroup, compare, gather

__all__ = [
    "Study",
    "Trial",
    "TrialGroup",
    "check_space",
    "compare",
    "gather",
    "parse_space",
    "print_groups",
]

__getattr__ = lazy_names(
    __name__,
    {
        "Study": "towers.tuning.study",
        "Trial": "towers.tuning.trials",
        "TrialGroup": "towers.tuning.trials",
        "check_space": "towers.tuning.space",
        "compare": "towers.tuning.trials",
        "gather": "towers.tuning.trials",
        "parse_space": "towers.tuning.space",
        "print_groups": "towers.tuning.table",
    },
)
