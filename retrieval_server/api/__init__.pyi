from .budget import Budget as Budget
from .errors import CallError as CallError, InvalidRequest as InvalidRequest
from .limits import Limits as Limits
from .requester import Requester as Requester
