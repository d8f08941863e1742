from .space import check_space as check_space, parse_space as parse_space
from .study import Study as Study
from .table import print_groups as print_groups, print_trials as print_trials
from .trials import Trial as Trial, TrialGroup as TrialGroup, compare as compare, gather as gather
