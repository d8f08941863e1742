"""The linear item-item model in closed form: which items, had together, make another likely.

Source: Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019.
"""

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray


def linear_weights(matrix: sp.csr_array, regularization: float) -> NDArray[np.float32]:
    """Weights B of ridge regression from everybody's items to themselves, no item speaking for itself.

    With G = X^T X + regularization · I and P its inverse, B_ij = -P_ij / P_jj off the diagonal.

    Args:
        matrix: X, who had what at all, [U, N] of ones; memory is 12 bytes · N², time grows with N³.
        regularization: L2 penalty, in events.

    Returns:
        [N, N]; the scores of a user with items x are x @ B.
    """
    gram = torch.from_numpy((matrix.T @ matrix).toarray())  # [N, N]
    gram.diagonal().add_(regularization)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(gram))  # [N, N]
    weights = inverse.div_(-inverse.diagonal())
    weights.fill_diagonal_(0)
    # The inverse is stored by columns; products with sparse rows would copy the whole of it each time.
    return np.ascontiguousarray(weights.numpy())
