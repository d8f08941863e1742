"""Item features: columns of the items table beside the text, such as category, brand, price, given vectors.

Every feature maps all zeros to the zero vector. So zeros stand for "nothing is known": an unknown category, an item
without a picture, a query, which has no columns at all. (A missing price is a fact of its own, with a flag.)
"""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from data_prep.columns import Column, Columns
from data_prep.errors import UsageError
from towers.modules.item_columns import absent, column_of, log_prices, names_of
from towers.text.whitening import Whitening

UNKNOWN = 0  # code of a category that training did not see


@dataclass
class FeatureConfig:
    """Columns of the items table that enter item vectors beside the text.

    Attributes:
        categorical: columns of categories, an embedding for each value.
        price: whether the price enters.
        vectors: columns of given vectors, such as image embeddings, all of one length.
        dropout: share of the items whose category embeddings are left out in a training step.
    """

    categorical: list[str]
    price: bool
    vectors: list[str]
    dropout: float


@dataclass(frozen=True)
class FeatureSettings:
    """A saved feature but for its weights.

    Attributes:
        kind: of the feature, a name in `ItemFeatures.KINDS`.
        column: of the items table.
        vocabulary: known values, of a category.
        dropout: of a category's embedding.
        dim: length of a given vector.
    """

    kind: str
    column: str
    vocabulary: Sequence[str] = ()
    dropout: float = 0.0
    dim: int = 0


class ItemFeature(nn.Module):
    """One column's part in item vectors.

    Attributes:
        kind: name under which a saved feature is found again.
        column: of the items table.
    """

    kind: ClassVar[str]
    column: str

    @property
    @abstractmethod
    def settings(self) -> FeatureSettings:
        """The feature but for its weights."""

    @classmethod
    @abstractmethod
    def restore(cls, settings: FeatureSettings, width: int) -> Self:
        """The feature of `settings`, its weights and statistics still to be loaded."""

    @abstractmethod
    def read(self, column: Column) -> Tensor:
        """The column as numbers, [n, c]; a row of zeros where it says nothing."""

    @abstractmethod
    def forward(self, values: Tensor) -> Tensor:
        """The feature's part of item vectors: [n, c] -> [n, width]."""


class CategoryFeature(ItemFeature):
    """An embedding for each value that occurs in training; nothing for any other.

    Args:
        column: of the items table.
        width: length of an embedding.
        vocabulary: the known values.
        dropout: share of the items whose embedding is left out in a training step, so that items with values new since
            training get sound vectors.
    """

    kind = "category"

    def __init__(self, column: str, width: int, vocabulary: Sequence[str], dropout: float) -> None:
        super().__init__()
        self.column = column
        self.codes = {name: code for code, name in enumerate(vocabulary, UNKNOWN + 1)}
        self.dropout = dropout
        self.embedding = nn.Embedding(len(vocabulary) + 1, width, padding_idx=UNKNOWN)
        nn.init.zeros_(self.embedding.weight)  # a value says nothing until training has learnt what it says

    @classmethod
    def fit(cls, column: str, width: int, values: Column, dropout: float) -> Self:
        """Take the vocabulary from a column of training items."""
        return cls(column, width, sorted(set(names_of(values)) - {""}), dropout)

    @property
    def settings(self) -> FeatureSettings:
        return FeatureSettings(self.kind, self.column, vocabulary=list(self.codes), dropout=self.dropout)

    @classmethod
    def restore(cls, settings: FeatureSettings, width: int) -> Self:
        return cls(settings.column, width, settings.vocabulary, settings.dropout)

    def read(self, column: Column) -> Tensor:
        return torch.tensor([[self.codes.get(name, UNKNOWN)] for name in names_of(column)], dtype=torch.int64).view(
            -1, 1
        )

    def forward(self, values: Tensor) -> Tensor:
        vectors: Tensor = self.embedding(values[:, 0])  # [n, width]
        if self.training and self.dropout > 0:
            vectors = vectors * (torch.rand(len(values), 1, device=values.device) >= self.dropout)
        return vectors


class PriceFeature(ItemFeature):
    """The logarithm of the price and whether it is missing, through a linear layer.

    Args:
        column: of the items table.
        width: length of an item vector.
    """

    kind = "price"
    mean: Tensor
    deviation: Tensor

    def __init__(self, column: str, width: int) -> None:
        super().__init__()
        self.column = column
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("deviation", torch.ones(()))
        self.project = nn.Linear(2, width, bias=False)

    @classmethod
    def fit(cls, column: str, width: int, values: Column) -> Self:
        """Standardise by the prices of training items."""
        feature = cls(column, width)
        logs = log_prices(values)
        logs = logs[~np.isnan(logs)]
        if len(logs):
            feature.mean.fill_(float(logs.mean()))
            feature.deviation.fill_(float(logs.std()) or 1.0)  # one price for all: its deviation is no scale
        return feature

    @property
    def settings(self) -> FeatureSettings:
        return FeatureSettings(self.kind, self.column)

    @classmethod
    def restore(cls, settings: FeatureSettings, width: int) -> Self:
        return cls(settings.column, width)

    def read(self, column: Column) -> Tensor:
        logs = torch.from_numpy(log_prices(column)).float()
        missing = logs.isnan()
        standard = torch.where(missing, 0.0, (logs - self.mean) / self.deviation)
        return torch.stack([standard, missing.float()], dim=1)  # [n, 2]

    def forward(self, values: Tensor) -> Tensor:
        vectors: Tensor = self.project(values)
        return vectors


class VectorFeature(ItemFeature):
    """Given vectors, centred and whitened like text, through a linear layer and a learnt gate.

    The gate starts at one half, where its slope is greatest: the few epochs of a training are enough to open or shut
    it. Nearly shut it would starve the layer behind it of gradient just as long.

    Args:
        column: of the items table.
        width: length of an item vector.
        dim: length of a given vector.
    """

    kind = "vector"

    def __init__(self, column: str, width: int, dim: int) -> None:
        super().__init__()
        self.column = column
        self.dim = dim
        self.whitening = Whitening(dim)
        self.project = nn.Linear(dim, width, bias=False)
        self.gate = nn.Parameter(torch.zeros(()))

    @classmethod
    def fit(cls, column: str, width: int, values: Column) -> Self:
        """Whiten by the vectors of training items.

        Raises:
            UsageError: no item has a vector, or they differ in length.
        """
        present = [v for v in values if not absent(v)]
        lengths = sorted({len(v) for v in present if isinstance(v, np.ndarray | list | tuple)})
        if len(lengths) != 1 or any(not isinstance(v, np.ndarray | list | tuple) for v in present):
            raise UsageError(f"features.vectors: {column} must hold vectors of one length, found lengths {lengths}")
        feature = cls(column, width, lengths[0])
        feature.whitening.fit(np.stack([np.asarray(v, np.float32) for v in present]))
        return feature

    @property
    def settings(self) -> FeatureSettings:
        return FeatureSettings(self.kind, self.column, dim=self.dim)

    @classmethod
    def restore(cls, settings: FeatureSettings, width: int) -> Self:
        return cls(settings.column, width, settings.dim)

    def read(self, column: Column) -> Tensor:
        raw = self.whitening.mean.repeat(len(column), 1)  # the mean is whitened to zeros: nothing is known
        for row, value in enumerate(column):
            if absent(value):
                continue
            if len(value) != self.dim:
                raise UsageError(f"{self.column}: a vector of length {len(value)}, the model was trained on {self.dim}")
            raw[row] = torch.from_numpy(np.asarray(value, np.float32))
        whitened: Tensor = self.whitening(raw)
        return whitened

    def forward(self, values: Tensor) -> Tensor:
        vectors: Tensor = torch.sigmoid(self.gate) * self.project(values)
        return vectors


class ItemFeatures(nn.Module):
    """The sum of all features.

    Args:
        features: one for each column.
    """

    KINDS: ClassVar[dict[str, type[CategoryFeature] | type[PriceFeature] | type[VectorFeature]]] = {
        feature.kind: feature for feature in (CategoryFeature, PriceFeature, VectorFeature)
    }

    def __init__(self, features: Sequence[ItemFeature]) -> None:
        super().__init__()
        self.features = nn.ModuleList(features)

    @classmethod
    def fit(cls, config: FeatureConfig, items: pd.DataFrame, width: int) -> Self | None:
        """Features of a catalogue with vocabularies and statistics; None where no column is asked for.

        Args:
            config: which columns.
            items: the items that occur in training.
            width: length of an item vector without its prior.

        Raises:
            UsageError: a column is not there, or does not hold what it should.
        """
        features: list[ItemFeature] = []
        for column in config.categorical:
            values = column_of(items, column, "features.categorical")
            features.append(CategoryFeature.fit(column, width, values, config.dropout))
        if config.price:
            values = column_of(items, Columns.PRICE, "features.price")
            features.append(PriceFeature.fit(Columns.PRICE, width, values))
        for column in config.vectors:
            features.append(VectorFeature.fit(column, width, column_of(items, column, "features.vectors")))
        return cls(features) if features else None

    @property
    def settings(self) -> list[FeatureSettings]:
        """The features but for their weights, for `restore`."""
        return [feature.settings for feature in self._parts()]

    @classmethod
    def restore(cls, settings: Sequence[FeatureSettings], width: int) -> Self | None:
        """Features as `settings` describes them, with weights and statistics still to be loaded; None for none."""
        features = [cls.KINDS[each.kind].restore(each, width) for each in settings]
        return cls(features) if features else None

    def read(self, items: pd.DataFrame) -> list[Tensor]:
        """Values of the features of each item, a tensor [n, c] for each feature.

        Raises:
            UsageError: a column is not there.
        """
        return [f.read(column_of(items, f.column, "the model reads item features")) for f in self._parts()]

    def forward(self, values: Sequence[Tensor]) -> Tensor:
        """The features' part of item vectors: a tensor [n, c] for each feature -> [n, width]."""
        parts = [feature(value) for feature, value in zip(self.features, values, strict=True)]
        return torch.stack(parts).sum(dim=0)

    def _parts(self) -> list[ItemFeature]:
        return [feature for feature in self.features if isinstance(feature, ItemFeature)]


class FeatureTable(nn.Module):
    """Feature values of catalogue rows; rows behind the items are queries, of which no column says anything.

    Args:
        features: the features; None for a table without columns.
        items: the catalogue, N rows.
    """

    def __init__(self, features: ItemFeatures | None, items: pd.DataFrame) -> None:
        super().__init__()
        self.num_items = len(items)
        values = features.read(items) if features is not None else []
        self.names = [f"values_{number}" for number in range(len(values))]
        for name, value in zip(self.names, values, strict=True):
            nothing = value.new_zeros(1, value.shape[1])
            self.register_buffer(name, torch.cat([value, nothing]), persistent=False)  # [N + 1, c]

    def forward(self, rows: Tensor) -> list[Tensor]:
        """Values of item or query rows, [n] -> a tensor [n, c] for each feature."""
        rows = rows.clamp(max=self.num_items)
        return [self.get_buffer(name)[rows] for name in self.names]
