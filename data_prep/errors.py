"""The exit codes of every command, and the errors that lead to them."""

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit code of a command's process; 1 also follows an unforeseen exception, after its traceback."""

    OK = 0
    GATE_FAILED = 1
    USAGE = 2
    LOCKED = 3
    INTERRUPTED = 130


class CommandError(Exception):
    """An error the user can act on: its message is shown alone, without a traceback."""

    exit_code: ExitCode = ExitCode.GATE_FAILED


class GateFailed(CommandError):
    """A quality gate failed, or the data or the disk made the work impossible."""

    exit_code = ExitCode.GATE_FAILED


class UsageError(CommandError):
    """A wrong configuration, or an input that does not fit the rest."""

    exit_code = ExitCode.USAGE


class Locked(CommandError):
    """Another process holds a folder that this command has to write."""

    exit_code = ExitCode.LOCKED
