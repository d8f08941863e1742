"""Who learns from what: a global cut in time, and leave-one-out. Both are columns of the events table."""

from dataclasses import asdict, dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_prep.columns import Columns, Split
from data_prep.errors import GateFailed, UsageError

SPLIT_COLUMNS = {"temporal": Columns.SPLIT_TEMPORAL, "leave_one_out": Columns.SPLIT_LEAVE_ONE_OUT}
"""The column of each protocol."""


@dataclass
class SplitConfig:
    """How to split.

    Attributes:
        protocol: the protocol that training and evaluation use unless told otherwise, of `SPLIT_COLUMNS`.
        valid_fraction: share of the events in the temporal split's validation part.
        test_fraction: share of the events in its test part, the latest ones.
    """

    protocol: str
    valid_fraction: float
    test_fraction: float

    @property
    def column(self) -> str:
        """The protocol's column."""
        return SPLIT_COLUMNS[self.protocol]

    def check(self) -> None:
        """Raise `UsageError` where the config contradicts itself."""
        if self.protocol not in SPLIT_COLUMNS:
            raise UsageError(f"split.protocol must be one of {', '.join(SPLIT_COLUMNS)}, not '{self.protocol}'")
        if not (0 < self.valid_fraction < 1 and 0 < self.test_fraction < 1):
            raise UsageError("split.valid_fraction and split.test_fraction must lie between 0 and 1")
        if self.valid_fraction + self.test_fraction >= 1:
            raise UsageError("split.valid_fraction and split.test_fraction leave nothing to train on")

    def check_times(self, has_times: bool) -> None:
        """Raise `UsageError` where the protocol needs times and there are none."""
        if self.column == Columns.SPLIT_TEMPORAL and not has_times:
            raise UsageError(
                "the source has no times, so it cannot be cut in time: "
                "name the time column (source.event_columns.timestamp) or use split=leave_one_out"
            )


@dataclass(frozen=True)
class SplitOutcome:
    """The split, as the manifest describes it.

    Attributes:
        protocol: the default protocol.
        valid_fraction: as configured.
        test_fraction: as configured.
        valid_from: first instant of the temporal split's validation part, ISO, UTC; None without times.
        test_from: first instant of its test part.
        events: number of events in train, valid and test by protocol.
    """

    protocol: str
    valid_fraction: float
    test_fraction: float
    valid_from: str | None
    test_from: str | None
    events: dict[str, dict[str, int]] = field(default_factory=dict)

    @property
    def column(self) -> str:
        """The default protocol's column."""
        return SPLIT_COLUMNS[self.protocol]

    def as_json(self) -> dict[str, object]:
        """For the manifest."""
        return asdict(self)


def split(events: pd.DataFrame, has_times: bool, config: SplitConfig) -> tuple[pd.DataFrame, SplitOutcome]:
    """Add the split columns to events that are sorted by user and time.

    Args:
        events: shape [N, columns].
        has_times: whether `timestamp` means anything; without, there is only leave-one-out.
        config: checked already.

    Where there are no events at all, the parts are empty and there are no cuts.

    Raises:
        GateFailed: a part of the temporal split would be empty.
    """
    columns = {Columns.SPLIT_LEAVE_ONE_OUT: leave_one_out(events[Columns.USER_ID])}
    valid_from = test_from = None
    if events.empty:
        columns[Columns.SPLIT_TEMPORAL] = np.empty(0, np.int8)
    elif has_times:
        times = events[Columns.TIMESTAMP]
        valid_from, test_from = cuts(times, config.valid_fraction, config.test_fraction)
        columns[Columns.SPLIT_TEMPORAL] = temporal(times, valid_from, test_from)
    outcome = SplitOutcome(
        protocol=config.protocol,
        valid_fraction=config.valid_fraction,
        test_fraction=config.test_fraction,
        valid_from=valid_from.isoformat() if valid_from else None,
        test_from=test_from.isoformat() if test_from else None,
        events={name: _sizes(columns[column]) for name, column in SPLIT_COLUMNS.items() if column in columns},
    )
    if not events.empty:
        _require_parts(outcome)
    return events.assign(**columns), outcome


def leave_one_out(users: "pd.Series[str]") -> NDArray[np.int8]:
    """Each user's last event is test, the last but one valid, the rest train; fewer than three, all train.

    Args:
        users: user ids, each user's events together and oldest first, shape [N].

    Returns:
        `Split` values, shape [N].
    """
    codes, _ = pd.factorize(users)
    sizes = np.bincount(codes)
    from_end = np.cumsum(sizes)[codes] - np.arange(len(codes))  # [N], 1 for a user's last event
    result = np.full(len(codes), Split.TRAIN, dtype=np.int8)
    result[from_end == 1] = Split.TEST
    result[from_end == 2] = Split.VALID
    result[sizes[codes] < 3] = Split.TRAIN
    return result


def cuts(
    times: "pd.Series[pd.Timestamp]", valid_fraction: float, test_fraction: float
) -> tuple[pd.Timestamp, pd.Timestamp]:
    """The first instants of the validation and test parts: quantiles of the event times.

    Args:
        times: of the events, in any order, shape [N].
        valid_fraction: share of the events between the two cuts.
        test_fraction: share of the events from the second cut on.
    """
    ordered = np.sort(times.dt.tz_localize(None).to_numpy())
    last = len(ordered) - 1
    valid, test = (
        pd.Timestamp(ordered[min(last, round(len(ordered) * share))], tz="UTC")
        for share in (1 - valid_fraction - test_fraction, 1 - test_fraction)
    )
    return valid, test


def temporal(times: "pd.Series[pd.Timestamp]", valid_from: pd.Timestamp, test_from: pd.Timestamp) -> NDArray[np.int8]:
    """Train before `valid_from`, test from `test_from` on; events of one instant go to one side together.

    Returns:
        `Split` values, shape [N].
    """
    result = np.full(len(times), Split.TRAIN, dtype=np.int8)
    result[(times >= valid_from).to_numpy()] = Split.VALID
    result[(times >= test_from).to_numpy()] = Split.TEST
    return result


def _sizes(parts: NDArray[np.int8]) -> dict[str, int]:
    return {part.name.lower(): int((parts == part).sum()) for part in Split}


def _require_parts(outcome: SplitOutcome) -> None:
    sizes = outcome.events[outcome.protocol]
    empty = [part for part, size in sizes.items() if size == 0]
    if empty:
        raise GateFailed(
            f"the {outcome.protocol} split leaves {' and '.join(empty)} empty ({sizes}): "
            "there are too few events, or too many at one instant, or no user has three; "
            "try the other protocol (split=leave_one_out, split=temporal) or other fractions"
        )
