"""Raw logs in, canonical tables out. This package knows nothing of models.

`python -m data_prep` makes a `Dataset`; the other packages open it. The foundations of all packages lie here too:
commands (`command`) and their exit codes (`errors`), typed configuration (`config`), files that are whole or absent
(`files`), vectors on disk (`vector_file`) and tables that grow (`grown_table`), `progress` on the terminal.

Public names of the other packages and their rooms stand in an `__init__.pyi` and are imported when first asked for, so
that a wrong command is refused before torch is loaded.
"""

from data_prep.columns import Columns, Split
from data_prep.dataset import Dataset

__all__ = ["Columns", "Dataset", "Split"]
