from .space import check_space as check_space
from .space import parse_space as parse_space
from .study import Study as Study
from .table import print_groups as print_groups
from .trials import Trial as Trial
from .trials import TrialGroup as TrialGroup
from .trials import compare as compare
from .trials import gather as gather
