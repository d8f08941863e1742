"""Reading of search texts: the same in training, evaluation and serving, since it travels with the model."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Self

from towers.text.tokenization import normalized


@dataclass(frozen=True)
class QueryText:
    """Normalises search texts before anything else reads them; see `normalized`.

    Attributes:
        lower: whether case says nothing.
    """

    lower: bool

    def __call__(self, text: str) -> str:
        """A search text as the model reads it; "" for one of spaces and control characters."""
        return normalized(text, self.lower)

    @property
    def settings(self) -> dict[str, bool]:
        """The attributes, as they are stored with a model."""
        return asdict(self)

    @classmethod
    def load(cls, settings: Mapping[str, bool]) -> Self:
        """From its `settings`."""
        return cls(**settings)
