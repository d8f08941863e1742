"""iALS of implicit (https://github.com/benfred/implicit), its regularization and confidence chosen on validation."""

from itertools import product
from typing import Any

import numpy as np
import scipy.sparse as sp
from exchange import Answer, Material, Rows, serve
from implicit.als import AlternatingLeastSquares
from threadpoolctl import threadpool_limits


def matrix(histories: list[Rows], num_items: int) -> sp.csr_matrix:
    """Users by items, event counts, [U, N]."""
    users = np.repeat(np.arange(len(histories)), [len(h) for h in histories])
    ones = np.ones(len(users), np.float32)
    return sp.csr_matrix((ones, (users, np.concatenate(histories))), shape=(len(histories), num_items))


def train(counts: sp.csr_matrix, settings: dict[str, Any], seed: int) -> AlternatingLeastSquares:
    """One factorization."""
    model = AlternatingLeastSquares(**settings, random_state=seed)
    with threadpool_limits(1, "blas"):  # implicit threads by itself and asks for this
        model.fit(counts, show_progress=False)
    return model


def fit(material: Material, settings: dict[str, Any], seed: int) -> Answer:
    """Try the grid on validation, then factorize everything with the best."""
    counts = matrix(material.histories(with_valid=False), material.num_items)
    known = np.diff(counts.tocsc().indptr) > 0
    grid = settings.pop("grid")
    tried = []
    for values in product(*grid.values()):
        choice = dict(zip(grid, values, strict=True))
        model = train(counts, settings | choice, seed)
        score = material.ndcg(model.user_factors[material.valid_users], model.item_factors, known)
        tried.append((score, choice))
        print(choice, score, flush=True)
    score, best = max(tried, key=lambda found: found[0])
    counts = matrix(material.histories(with_valid=True), material.num_items)
    model = train(counts, settings | best, seed)
    known = np.diff(counts.tocsc().indptr) > 0
    notes = {"chosen": best, "validation": [found for found, _ in tried]}
    return Answer(model.user_factors[material.test_users], model.item_factors, known, notes)


if __name__ == "__main__":
    serve(fit)
