"""`docs/benchmarks.md` between its markers: tables, commands, circumstances. Every number comes from a result."""

import json
import os
import platform
from collections.abc import Iterable
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from benchmarks.quality.plan import Plan
from benchmarks.quality.plot import METRIC, Mark, draw
from benchmarks.quality.results import Result
from data_prep.errors import UsageError

PAGE, PICTURE = "benchmarks.md", Path("images") / "quality.png"
BEGIN, END = "<!-- quality: written by python -m benchmarks.quality -->", "<!-- quality: end -->"
COLUMNS = {"HR@10": "hit_rate@10", "NDCG@10": METRIC, "Recall@50": "recall@50"}
HEAD = """# Benchmarks

Measured by commands of this repository; nothing here was typed by hand.
"""


def write_page(results: list[Result], plan: Plan, docs: Path) -> None:
    """Replace the section between the markers, and the picture; the rest of the page stays.

    Raises:
        UsageError: the page has no such section any more.
    """
    page = docs / PAGE
    text = page.read_text(encoding="utf-8") if page.is_file() else f"{HEAD}\n{BEGIN}\n{END}\n"
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise UsageError(f"{page}: no section between {BEGIN} and {END}; put the two lines where it shall stand")
    rows = {name: _rows(name, results, plan) for name in plan.datasets if any(r.dataset == name for r in results)}
    draw({plan.datasets[name].title: [row.mark for row in own] for name, own in rows.items()}, docs / PICTURE)
    section = "\n\n".join(_section(rows, results, plan))
    page.write_text(f"{before}{BEGIN}\n{section}\n{END}{after}", encoding="utf-8")
    print(f"written to {page} and {docs / PICTURE}")


class Row:
    """One line of a table: a scorer over its seeds.

    Args:
        label: its name.
        kind: "ours" or "peer".
        results: one for each seed.
    """

    def __init__(self, label: str, kind: str, results: list[Result]) -> None:
        self.label = label
        self.trained = label not in results[0].untrained
        self.results = results
        found = [self._metric(METRIC, part) for part in ("mean", "low", "high")]
        self.mark = Mark(
            label,
            kind,
            [r.seconds for r in results] if self.trained else None,
            found[0],
            mean(found[1]),
            mean(found[2]),
        )

    def _metric(self, name: str, part: str) -> list[float]:
        return [r.rows[self.label]["metrics"][name][part] for r in self.results]

    @property
    def quality(self) -> float:
        """Mean of NDCG@10 over the seeds."""
        return mean(self.mark.quality)

    def cells(self) -> list[str]:
        """Of the table."""
        cells = [f"**{self.label}**" if self.mark.kind == "ours" and self.trained else self.label]
        for name in COLUMNS.values():
            half = mean(b - a for a, b in zip(self._metric(name, "low"), self._metric(name, "high"), strict=True)) / 2
            cells.append(f"{mean(self._metric(name, 'mean')):.4f} ± {half:.4f}")
        cells.append(f"{stdev(self.mark.quality):.4f}" if len(self.results) > 1 and self.trained else "–")
        cells.append(f"{mean(r.rows[self.label]['beyond']['coverage'] for r in self.results):.3f}")
        if not self.trained:
            return [*cells, "–", "–", "–"]
        return [
            *cells,
            f"{mean(r.seconds for r in self.results):,.0f}",
            f"{max(r.peak_mb for r in self.results):,.0f}",
            str(len(self.results)),
        ]


def _rows(dataset: str, results: list[Result], plan: Plan) -> list[Row]:
    """The lines of a dataset's table, best first."""
    found: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        if result.dataset == dataset:
            for label in result.rows:
                owner = "untrained" if label in result.untrained else result.name  # one line, whichever recipe says it
                found.setdefault((owner, label), []).append(result)
    rows = [Row(label, "peer" if owner in plan.peers else "ours", own) for (owner, label), own in found.items()]
    return sorted(rows, key=lambda row: -row.quality)


def _section(rows: dict[str, list[Row]], results: list[Result], plan: Plan) -> Iterable[str]:
    yield "## Quality beside cost"
    yield (
        "    python -m benchmarks.quality\n\n"
        "trains every row below with every seed and writes this section and the picture. All rows share split, cases "
        "and evaluation: the whole catalogue is ranked for every test user, items of the history left out, ties by "
        "trec_eval's rule. Peers run in environments of their own; they see the log up to the test part, choose their "
        "number of epochs on the validation part, train once more on both, and hand back vectors, which our code ranks."
    )
    yield (
        "± is half of the 95 % bootstrap interval over users, averaged over seeds; σ the standard deviation of NDCG@10 "
        "over seeds. Seconds are the wall-clock time of the whole training command, from start to exit, choosing the "
        "epochs included; peak memory is its largest resident set, MiB. Vectors of the texts are made once "
        "for a dataset and kept; that time stands below. Rows with – are not trained."
    )
    yield f"![NDCG@10 against seconds of training]({PICTURE.as_posix()})"
    header = ["", *COLUMNS, "σ", "coverage", "seconds", "peak MiB", "seeds"]
    for dataset, own in rows.items():
        lines = [header, ["---", *["---:"] * (len(header) - 1)], *(row.cells() for row in own)]
        table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        yield f"### {plan.datasets[dataset].title}\n\n{table}"
    yield from _circumstances(results, plan)


def _circumstances(results: list[Result], plan: Plan) -> Iterable[str]:
    yield "### How it was measured"
    yield (
        f"On {platform.system()} {platform.machine()}, {os.cpu_count()} cores ({_processor()}), Python "
        f"{platform.python_version()}; {_listed(r.threads for r in results)} threads a training, "
        f"{_listed(r.jobs for r in results)} at a time; commit {_listed(r.commit for r in results)}; "
        f"{min(r.finished for r in results)[:10]} to {max(r.finished for r in results)[:10]}. Epochs are those of the "
        "seeds in their order."
    )
    lines = ["| | | epochs or choice | with |", "|---|---|---|---|"]
    for name in dict.fromkeys(r.name for r in results):
        for dataset in dict.fromkeys(r.dataset for r in results if r.name == name):
            own = [r for r in results if (r.name, r.dataset) == (name, dataset)]
            chosen = "; ".join(_chosen(r.notes) for r in own)
            if "text_seconds" in own[0].notes:
                chosen += f"; texts {own[0].notes['text_seconds']:,.0f} s"
            libraries = ", ".join(f"{k} {v}" for k, v in own[0].versions.items())
            lines.append(f"| {name} | {dataset} | {chosen} | {libraries} |")
    yield "\n".join(lines)
    firsts = {(r.dataset, r.name): r.commands for r in reversed(results)}
    typed = [command for commands in reversed(list(firsts.values())) for command in commands]
    yield "The commands of the first seed:\n\n```\n" + "\n".join(typed) + "\n```"


def _chosen(notes: dict[str, Any]) -> str:
    if "chosen" in notes:
        return json.dumps(notes["chosen"]).replace('"', "").strip("{}")
    return f"{notes['epochs']}{' (time was up)' if notes.get('ran_out_of_time') else ''}"


def _listed(values: Iterable[object]) -> str:
    return ", ".join(sorted({str(value) for value in values}))


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "processor unknown"
