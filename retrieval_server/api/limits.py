"""Strings of requests checked against the limits, in bytes of UTF-8."""

from collections.abc import Iterator, Sequence

from retrieval_server.api.errors import Violation
from retrieval_server.config import Limits


def identifiers(field: str, values: Sequence[str], limits: Limits) -> Iterator[Violation]:
    """A violation for each identifier that is too long."""
    for place, value in enumerate(values):
        # The longest character takes four bytes: a short string need not be encoded to be measured.
        if len(value) * 4 > limits.id_bytes:
            yield from size(f"{field}[{place}]", value, limits.id_bytes, "limits.id_bytes")


def size(field: str, value: str, limit: int, name: str) -> Iterator[Violation]:
    """A violation for a string above a limit of that name."""
    found = len(value.encode())
    if found > limit:
        yield Violation(field, f"has {found} bytes in UTF-8; send at most {limit} ({name})")
