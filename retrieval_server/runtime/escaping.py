"""Strings from outside made safe to print: on a terminal, and on the one line that a log record may take."""

import json
import logging
import re
from datetime import UTC, datetime

_UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # control characters: newlines, escape sequences
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # marks that turn the direction of what follows
    "\u2028\u2029]"  # line and paragraph separators
)


def escape(text: str) -> str:
    r"""Show control and direction characters as Python would write them, and everything else as it is.

    >>> escape("milk\nERROR all lost")
    'milk\\nERROR all lost'
    """
    return _UNPRINTABLE.sub(lambda match: match.group().encode("unicode_escape").decode("ascii"), text)


class OneLine(logging.Formatter):
    """Formats a record, traceback included, as one line, whatever the strings in it contain."""

    def format(self, record: logging.LogRecord) -> str:
        """The record's line, without the newline at its end."""
        return escape(super().format(record))


class JsonLine(logging.Formatter):
    """Formats a record as one JSON object: time (UTC), level, logger, then its message, or the fields of a call."""

    def format(self, record: logging.LogRecord) -> str:
        """The record's line, without the newline at its end."""
        fields: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
        }
        call = getattr(record, "call", None)
        fields |= call if call is not None else {"message": record.getMessage()}
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields)


def log_one_line_each(as_json: bool) -> None:
    """Have every handler of the process's log print one line a record.

    Args:
        as_json: whether a line is a JSON object rather than text for people.
    """
    text = OneLine("%(asctime)s %(levelname)s %(name)s: %(message)s")
    for handler in logging.getLogger().handlers:
        handler.setFormatter(JsonLine() if as_json else text)
