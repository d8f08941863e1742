"""`python -m data_prep`: a source's raw logs become a dataset in `artifacts/data/<name>/`."""

import logging
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pandas as pd

from data_prep.cleaning import Rule, clean, require_few_bad_rows
from data_prep.columns import Column, Columns
from data_prep.command import command, instantiate
from data_prep.dataset import Dataset, sort_events, write_tables
from data_prep.errors import GateFailed, UsageError
from data_prep.files import lock
from data_prep.judgements import sound_judgements
from data_prep.manifest import SCHEMA_VERSION, FileRecord, Manifest, TableRecord
from data_prep.report import report
from data_prep.splits import SplitConfig, SplitOutcome, split
from data_prep.tables import Source, Tables, among
from data_prep.validation import validate

log = logging.getLogger(__name__)


@dataclass
class PrepareConfig:
    """The configuration of `python -m data_prep`, filled from `conf/prepare.yaml`.

    Attributes:
        name: of the dataset.
        artifacts: folder of everything the commands make.
        source: a class of `data_prep.sources` and its arguments.
        cleaning: the rules, by a name of one's choice, in their order; null leaves one out.
        max_bad_rows: the largest tolerable share of rows that make no sense.
        split: protocol and sizes.
    """

    name: str
    artifacts: str
    source: Any
    cleaning: dict[str, Any]
    max_bad_rows: float
    split: SplitConfig


@command(PrepareConfig, "prepare")
def main(config: PrepareConfig) -> Manifest:
    """Prepare a dataset and report on its rows."""
    dataset = prepare(config)
    report(dataset)
    return dataset.manifest


def prepare(config: PrepareConfig) -> Dataset:
    """Load, clean, split, validate and write a dataset.

    Raises:
        UsageError: a wrong configuration, or files or columns that are not there.
        GateFailed: too many bad rows, nothing left, or a table that breaks a rule.
        Locked: the same dataset is being prepared elsewhere.
    """
    if config.name in ("", ".", "..") or Path(config.name).name != config.name:
        raise UsageError(f"name must be a plain folder name, not '{config.name}'")
    config.split.check()
    source: Source = instantiate(config.source)
    rules: list[Rule] = [instantiate(node) for node in config.cleaning.values() if node is not None]
    target = Path(config.artifacts, "data", config.name)
    with lock(target.with_name(f".{config.name}.lock"), f"prepare {target}"):
        log.info("loading %s", type(source).__name__)
        loaded = source.load()
        config.split.check_times(loaded.has_times)
        log.info("cleaning %s event rows", f"{loaded.rows_read:,}")
        cleaned = clean(loaded, rules)
        require_few_bad_rows(cleaned, config.max_bad_rows)
        _require_something(cleaned)
        if cleaned.judgements is not None:
            sound, left_out = sound_judgements(cleaned.judgements, cleaned.items, config.max_bad_rows)
            cleaned = replace(cleaned, judgements=sound, judgements_dropped=left_out)
        log.info("splitting and validating %s events", f"{len(cleaned.events):,}")
        events, outcome = split(sort_events(cleaned.events), cleaned.has_times, config.split)
        tables = _canonical(cleaned, events)
        validate(tables["items"], tables["events"], tables.get("users"), cleaned.has_times, tables.get("judgements"))
        log.info("writing %s", target)
        return write_tables(target, tables, lambda records: _describe(config, cleaned, tables, outcome, records))


def _require_something(tables: Tables) -> None:
    """Refuse logs of which nothing is left; only a source of judgements may have had none."""
    if tables.events.empty and (tables.rows_read or tables.judgements is None):
        gone = {**tables.bad_rows, **tables.dropped}
        reasons = ", ".join(f"{number:,} {reason}" for reason, number in gone.items() if number)
        raise GateFailed(f"no events are left of {tables.rows_read:,} rows ({reasons or 'there were none'})")


def _canonical(tables: Tables, events: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The tables in their final types and column order, as they are written."""
    first = [Columns.ITEM_ID, Columns.TITLE, Columns.TEXT]
    items = tables.items[first + [name for name in tables.items.columns if name not in first]]
    codes, names = pd.factorize(events[Columns.EVENT], sort=True)  # astype("category") takes ten times as long
    types = pd.Categorical.from_codes(codes, categories=pd.Index(names, dtype="str"))
    result = {"items": items, "events": events.assign(**{Columns.EVENT: types})}
    if tables.users is not None:
        present = among(tables.users[Columns.USER_ID], events[Columns.USER_ID])
        result["users"] = tables.users[present].reset_index(drop=True)
    if tables.judgements is not None:
        result["judgements"] = tables.judgements
    return result


def _describe(
    config: PrepareConfig,
    tables: Tables,
    written: dict[str, pd.DataFrame],
    outcome: SplitOutcome,
    records: dict[str, TableRecord],
) -> Manifest:
    return Manifest(
        schema_version=SCHEMA_VERSION,
        name=config.name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        source=cast(dict[str, Any], config.source),
        files=tuple(FileRecord.of(path, str(path)) for path in tables.files),
        has_times=tables.has_times,
        rows_read=tables.rows_read,
        bad_rows=tables.bad_rows,
        dropped=tables.dropped,
        items_dropped=tables.items_dropped,
        statistics=_statistics(written, tables.has_times),
        split=outcome,
        tables=records,
        judgements_dropped=tables.judgements_dropped,
    )


def _statistics(tables: dict[str, pd.DataFrame], has_times: bool) -> dict[str, Any]:
    items, events, judgements = tables["items"], tables["events"], tables.get("judgements")
    per_user = events[Columns.USER_ID].value_counts()
    times = events[Columns.TIMESTAMP]
    dated = has_times and len(events) > 0
    return {
        "users": len(per_user),
        "items": len(items),
        "items_with_events": int(events[Columns.ITEM_ID].nunique()),
        "items_named_by_id": int((items[Columns.TEXT] == items[Columns.ITEM_ID]).sum()),
        "events": len(events),
        "event_types": _counts(events[Columns.EVENT]),
        "events_per_user": {"median": float(per_user.median()), "max": int(per_user.max())} if len(events) else None,
        "first": times.min().isoformat() if dated else None,
        "last": times.max().isoformat() if dated else None,
        "judged_queries": 0 if judgements is None else int(judgements[Columns.QUERY].nunique()),
        "grades": {} if judgements is None else _counts(judgements[Columns.GRADE]),
    }


def _counts(values: Column) -> dict[str, int]:
    return {str(value): int(number) for value, number in values.value_counts().items()}
