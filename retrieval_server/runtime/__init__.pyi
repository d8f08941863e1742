from .escaping import escape as escape
from .escaping import log_one_line_each as log_one_line_each
from .threads import limit_process as limit_process
from .threads import on_core as on_core
