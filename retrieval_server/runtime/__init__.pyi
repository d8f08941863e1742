from .escaping import escape as escape, log_one_line_each as log_one_line_each
from .threads import limit_process as limit_process, on_core as on_core
