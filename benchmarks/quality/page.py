"""`docs/benchmarks.md` between its markers: tables, commands, circumstances. Every number comes from a result."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.quality.plan import QualityPlan
from benchmarks.quality.plot import draw
from benchmarks.quality.records import Result
from benchmarks.quality.speed import Speeds, speed_section
from benchmarks.quality.tables import HEADER, Row, comparison, rows_of, study_of, study_table, table
from data_prep.errors import UsageError

PAGE, PICTURE = "benchmarks.md", Path("images") / "quality.png"
BEGIN, END = "<!-- quality: written by python -m benchmarks.quality -->", "<!-- quality: end -->"
HEAD = """# Benchmarks

Measured by commands of this repository; nothing here was typed by hand.
"""


def write_page(results: list[Result], speeds: Speeds | None, plan: QualityPlan, docs: Path) -> None:
    """Replace the section between the markers, and the picture; the rest of the page stays.

    Args:
        results: of the quality benchmark.
        speeds: of `benchmarks.training_speed`, None where it was not measured.
        plan: the plan.
        docs: folder of the page.

    Raises:
        UsageError: the page has no such section any more, or a study has a column that no result holds.
    """
    parts = (
        [*_quality(results, plan, docs), *_studies(results, plan), *_circumstances(results, plan)] if results else []
    )
    section = "\n\n".join([*parts, *(speed_section(speeds) if speeds is not None else [])])
    replace_section(docs / PAGE, BEGIN, END, section)
    print(f"written to {docs / PAGE} and {docs / PICTURE}")


def replace_section(page: Path, begin: str, end: str, section: str) -> None:
    """Put a section between two lines of a page; a page that is not there is begun.

    Raises:
        UsageError: the page lacks one of the lines.
    """
    text = page.read_text(encoding="utf-8") if page.is_file() else f"{HEAD}\n{begin}\n{end}\n"
    before, found_begin, rest = text.partition(begin)
    _, found_end, after = rest.partition(end)
    if not found_begin or not found_end:
        raise UsageError(f"{page}: no section between {begin} and {end}; put the two lines where it shall stand")
    page.write_text(f"{before}{begin}\n{section}\n{end}{after}", encoding="utf-8")


def _quality(results: list[Result], plan: QualityPlan, docs: Path) -> Iterable[str]:
    rows: dict[str, list[Row]] = {name: rows_of(name, results, plan) for name in plan.datasets}
    rows = {name: own for name, own in rows.items() if own}
    yield "## Quality beside cost"
    yield (
        "    python -m benchmarks.quality\n\n"
        "trains every row below, with seeds 0, 1 and 2 unless others are asked for, and writes this section and the "
        "picture; the last column says how many there are yet. All rows share split, cases "
        "and evaluation: the whole catalogue is ranked for every test user, items of the history left out, ties by "
        "trec_eval's rule. Peers run in environments of their own; they see the log up to the test part, choose their "
        "number of epochs on the validation part, train once more on both, and hand back vectors, which our code ranks."
    )
    yield (
        "± is half of the 95 % bootstrap interval over users, averaged over seeds; σ the standard deviation of NDCG@10 "
        "over seeds. Seconds are the wall-clock time of the whole training command, from start to exit, choosing the "
        "epochs included, on a machine that others used at the same time and where trainings were paused for others; "
        "CPU s its processor time, which that hardly changes, and which the picture shows; peak memory is its largest "
        "resident set, MiB. Vectors of the texts are made once "
        "for a dataset and kept; that time stands below. Rows with – are not trained. Below a table stands how far our "
        "rows lie above the strongest baseline, each user compared with themself: all answer the same users, so that "
        "difference is surer than the intervals of the means."
    )
    if rows:
        draw({plan.datasets[name].title: [row.mark for row in own] for name, own in rows.items()}, docs / PICTURE)
        yield f"![NDCG@10 against processor seconds of training]({PICTURE.as_posix()})"
    for dataset, own in rows.items():
        yield f"### {plan.datasets[dataset].title}\n\n{table(HEADER, [row.cells() for row in own])}"
        if said := comparison(own, plan):
            yield said


def _studies(results: list[Result], plan: QualityPlan) -> Iterable[str]:
    for name, study in plan.studies.items():
        tables = {dataset: study_table(dataset, name, results, plan) for dataset in plan.datasets}
        if any(tables.values()):
            recipes = [recipe for recipe, wanted in plan.recipes.items() if name in (wanted.study, *wanted.also)]
            only = " ".join(f"--only :{recipe}" for recipe in recipes)
            yield f"## {study.title}\n\n    python -m benchmarks.quality {only}\n\n{study.explanation}"
        yield from (f"### {plan.datasets[key].title}\n\n{found}" for key, found in tables.items() if found)


def _circumstances(results: list[Result], plan: QualityPlan) -> Iterable[str]:
    machines = list(dict.fromkeys(r.machine for r in results))
    yield "## How quality was measured"
    yield (
        "Each training leaves a file in `benchmarks/quality/results`; rows name our commit they were measured at. "
        "Epochs are those of the seeds in their order. Machines: "
        + "; ".join(f"{number}. {machine}" for number, machine in enumerate(machines, start=1))
        + "."
    )
    lines = []
    for (name, dataset), own in _together(results).items():
        chosen = "; ".join(_chosen(r.notes) for r in own)
        for kind in ("blocks", "late"):
            found = [_weights(r.notes["weights"][kind]) for r in own if r.notes.get("weights", {}).get(kind)]
            chosen += f"; {kind}: {' / '.join(found)}" if found else ""
        if "text_seconds" in own[0].notes and study_of(name, plan) is None:
            chosen += f"; texts {own[0].notes['text_seconds']:,.0f} s"
        if "funnel_seconds" in own[0].notes:
            chosen += f"; funnel {own[0].notes['funnel_seconds']:,.0f} s"
        libraries = ", ".join(f"{k} {v}" for k, v in own[0].versions.items())
        facts = [(r.commit, r.finished[:10], machines.index(r.machine) + 1, r.threads, r.jobs) for r in own]
        lines.append([name, dataset, *(_listed(values) for values in zip(*facts, strict=True)), chosen, libraries])
    header = ["", "", "commit", "day", "machine", "threads", "at a time", "epochs or choice", "with"]
    yield table(header, lines, numbers=False)
    typed = [command for own in _together(results).values() for command in own[0].commands]
    yield "The commands of the first seed:\n\n```\n" + "\n".join(typed) + "\n```"


def _together(results: list[Result]) -> dict[tuple[str, str], list[Result]]:
    """The seeds of each recipe or peer on each dataset."""
    found: dict[tuple[str, str], list[Result]] = {}
    for result in sorted(results, key=lambda r: r.seed):
        found.setdefault((result.name, result.dataset), []).append(result)
    return found


def _chosen(notes: dict[str, Any]) -> str:
    if "chosen" in notes:
        return json.dumps(notes["chosen"]).replace('"', "").strip("{}")
    return f"{notes['epochs']}{' (time was up)' if notes.get('ran_out_of_time') else ''}"


def _weights(weights: dict[str, float]) -> str:
    return ", ".join(f"{name} {weight:.2g}" for name, weight in weights.items() if weight) or "none"


def _listed(values: Iterable[object]) -> str:
    return ", ".join(dict.fromkeys(str(value) for value in values))
