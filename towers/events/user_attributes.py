"""Attributes of users (age band, income, country) as small integers, the model's vocabulary of them."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

UNKNOWN_VALUE = ""
"""Of a user whose attribute is not recorded."""

UNKNOWN_CODE = 0
"""Of such a user, and of a value that training never saw."""


class UserAttributes:
    """The attribute values seen in training, as codes from 1; 0 is any other.

    Args:
        values: column -> its known values.
    """

    def __init__(self, values: Mapping[str, Sequence[str]]) -> None:
        self.values = {column: list(known) for column, known in values.items()}
        self._codes = {
            column: {value: code for code, value in enumerate(known, start=1)} for column, known in values.items()
        }

    @classmethod
    def of(cls, attributes: Mapping[str, NDArray[np.object_]], users: NDArray[np.bool_]) -> "UserAttributes":
        """The vocabulary of the users marked in `users`, [U]; `attributes` are [U] values by column."""
        return cls({column: sorted(set(known[users]) - {UNKNOWN_VALUE}) for column, known in attributes.items()})

    @property
    def columns(self) -> list[str]:
        """Names of the attributes, in the order of their codes."""
        return list(self.values)

    @property
    def sizes(self) -> list[int]:
        """Number of codes of each attribute, the unknown one included."""
        return [len(known) + 1 for known in self.values.values()]

    def table(self, attributes: Mapping[str, NDArray[np.object_]], users: int) -> Tensor:
        """Codes of a whole log's users, [U] values by column -> [U, A]."""
        codes = np.full((users, len(self.values)), UNKNOWN_CODE, np.int64)
        for column, (name, known) in enumerate(self.values.items()):
            if name in attributes:
                codes[:, column] = pd.Index(known, dtype=object).get_indexer(pd.Index(attributes[name])) + 1
        return torch.from_numpy(codes)

    def codes(self, users: Sequence[Mapping[str, str]]) -> Tensor:
        """Codes of B users' attributes, B mappings of column to value -> [B, A]."""
        codes = [
            [known.get(user.get(column, UNKNOWN_VALUE), UNKNOWN_CODE) for column, known in self._codes.items()]
            for user in users
        ]
        return torch.tensor(codes, dtype=torch.int64).view(len(users), len(self._codes))
