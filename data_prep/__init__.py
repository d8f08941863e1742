"""Raw logs in, canonical tables out. This room knows nothing of models.

`python -m data_prep` makes a `Dataset`; the other rooms open it. The house's foundations live here too: commands
and their exit codes (`command`), typed configuration (`config`), whole-or-absent files (`files`), `progress`.
"""

from data_prep.columns import Columns, Split
from data_prep.dataset import Dataset

__all__ = ["Columns", "Dataset", "Split"]
