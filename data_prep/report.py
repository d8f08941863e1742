"""The outcome on the terminal: rows read, left out and kept."""

from collections.abc import Mapping

from rich.box import SIMPLE
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from data_prep.columns import Columns
from data_prep.dataset import Dataset
from data_prep.manifest import Manifest

TITLES = 5
"""Most frequent items shown, so that one sees at a glance whether the titles are readable."""


WIDTH = 50
"""Columns a table takes at least, so that its title fits."""

LONGEST = 60
"""Letters of a title that are shown."""


def report(dataset: Dataset) -> None:
    """Print the outcome of a preparation to stdout."""
    manifest = dataset.manifest
    parts = [_contents(manifest)]
    if manifest.rows_read:
        parts = [_rows(manifest), *parts, _splits(manifest), _titles(dataset)]
    Console().print(Group(*parts))
    print(f"{dataset.path} ready, fingerprint {dataset.fingerprint}")


def _rows(manifest: Manifest) -> Table:
    table = Table(
        title=f"{manifest.name}: rows read, left out and kept",
        title_justify="left",
        box=SIMPLE,
        min_width=WIDTH,
        show_header=False,
    )
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_column(justify="right", style="dim")
    read = manifest.rows_read
    table.add_row("read", f"{read:,}", "")
    for kind, counts in [("bad", manifest.bad_rows), ("dropped", manifest.dropped)]:
        table.add_row(kind, f"-{sum(counts.values()):,}" if any(counts.values()) else "0", "")
        for reason, number in counts.items():
            if number:
                table.add_row(f"[not bold]  {reason}", f"-{number:,}", f"{number / read:.1%}")
    kept = manifest.statistics["events"]
    table.add_section()
    table.add_row("kept", f"{kept:,}", f"{kept / read:.1%}")
    return table


def _contents(manifest: Manifest) -> Table:
    figures = manifest.statistics
    table = Table(title="what there is", title_justify="left", box=SIMPLE, min_width=WIDTH, show_header=False)
    table.add_column(style="bold")
    table.add_column()
    table.add_row("users", f"{figures['users']:,}")
    items = f"{figures['items']:,} ({figures['items_with_events']:,} with events"
    if figures["items_named_by_id"]:
        items += f"; {figures['items_named_by_id']:,} have no text and go by their id"
    table.add_row("items", f"{items})")
    _add_dropped(table, manifest.items_dropped)
    if per_user := figures["events_per_user"]:
        types = ", ".join(f"{number:,} {name}" for name, number in figures["event_types"].items())
        table.add_row("events", types)
        table.add_row("events a user", f"median {per_user['median']:g}, most {per_user['max']:,}")
    if figures["first"]:
        table.add_row("time", " to ".join(figures[end][:16].replace("T", " ") for end in ("first", "last")) + " UTC")
    if grades := figures.get("grades"):
        graded = ", ".join(f"{number:,} of grade {grade}" for grade, number in sorted(grades.items(), reverse=True))
        table.add_row("judgements", f"{figures['judged_queries']:,} queries, {graded}")
    _add_dropped(table, manifest.judgements_dropped)
    return table


def _add_dropped(table: Table, dropped: Mapping[str, int]) -> None:
    for reason, number in dropped.items():
        if number:
            table.add_row("[not bold]  dropped", f"{number:,}: {reason}")


def _splits(manifest: Manifest) -> Table:
    table = Table(title="splits (* the default)", title_justify="left", box=SIMPLE, min_width=WIDTH)
    table.add_column("protocol")
    for part in ("train", "valid", "test"):
        table.add_column(part, justify="right")
    table.add_column("valid from")
    table.add_column("test from")
    cuts = [(cut or "")[:16].replace("T", " ") for cut in (manifest.split.valid_from, manifest.split.test_from)]
    for protocol, sizes in manifest.split.events.items():
        mark = " *" if protocol == manifest.split.protocol else ""
        numbers = [f"{sizes[part]:,}" for part in ("train", "valid", "test")]
        table.add_row(protocol + mark, *numbers, *(cuts if protocol == "temporal" else ()))
    return table


def _titles(dataset: Dataset) -> Table:
    counts = dataset.events[Columns.ITEM_ID].value_counts().head(TITLES)
    titles = dataset.items.set_index(Columns.ITEM_ID)[Columns.TITLE]
    table = Table(title="most frequent items", title_justify="left", box=SIMPLE, min_width=WIDTH, show_header=False)
    table.add_column(justify="right", no_wrap=True, min_width=6)
    table.add_column(no_wrap=True, style="dim", min_width=12, max_width=24)
    table.add_column(no_wrap=True)
    for item_id, number in counts.items():
        table.add_row(f"{number:,}", Text(str(item_id)), Text(str(titles.loc[str(item_id)])[:LONGEST]))
    return table
