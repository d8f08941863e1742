"""A user as a weighted bag of items."""

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp

from towers.history import History


def recency_profiles(histories: Sequence[History], num_items: int, decay: float) -> sp.csr_array:
    """Histories as sparse rows, the newest event weighing 1, the one before `decay`, then decay^2, …

    Args:
        histories: B histories.
        num_items: N.
        decay: between 0 (the last item alone) and 1 (all alike).

    Returns:
        [B, N]; an item's repeats add up.
    """
    lengths = [len(h.rows) for h in histories]
    weights = [float(decay) ** np.arange(n - 1, -1, -1) for n in lengths]
    columns = np.concatenate([h.rows for h in histories]) if histories else np.zeros(0, np.int64)
    data = np.concatenate(weights).astype(np.float32) if weights else np.zeros(0, np.float32)
    users = np.repeat(np.arange(len(histories)), lengths)
    return sp.csr_array((data, (users, columns)), shape=(len(histories), num_items))
