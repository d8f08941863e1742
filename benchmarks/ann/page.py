"""`docs/benchmarks.md` between its markers: the picture, the table, the circumstances. Every number is a result's."""

from collections.abc import Iterable
from pathlib import Path

from benchmarks.ann.plan import AnnPlan
from benchmarks.ann.plot import Curve, draw
from benchmarks.ann.records import Contender, Results
from benchmarks.quality.page import PAGE, replace_section
from benchmarks.quality.tables import table

PICTURE = Path("images") / "ann.png"
BEGIN, END = "<!-- ann: written by python -m benchmarks.ann -->", "<!-- ann: end -->"


def write_page(results: Results, plan: AnnPlan, docs: Path) -> None:
    """Replace the section between the markers, and the picture; the rest of the page stays.

    Args:
        results: of the last whole run.
        plan: the plan.
        docs: folder of the page.

    Raises:
        UsageError: the page has no such section any more.
    """
    named = {name: results.contenders[name] for name in plan.contenders if name in results.contenders}
    curves = [_curve(contender, name, plan) for name, contender in named.items()]
    draw(curves, plan.measure, docs / PICTURE)
    replace_section(docs / PAGE, BEGIN, END, "\n\n".join(_paragraphs(results, named, plan)))
    print(f"written to {docs / PAGE} and {docs / PICTURE}")


def _curve(contender: Contender, name: str, plan: AnnPlan) -> Curve:
    batch = max(plan.measure.batches)
    speeds = [contender.rate(position, batch, 1).per_cpu_second for position in range(len(contender.settings))]
    planned = plan.contenders[name]
    return Curve(planned.label, planned.kind, contender.recalls, speeds, contender.bytes_per_vector)


def _paragraphs(results: Results, named: dict[str, Contender], plan: AnnPlan) -> Iterable[str]:
    m, users = plan.measure, plan.users
    yield "## Searching: ours beside other libraries"
    yield (
        f"    {results.command}\n\n"
        f"searches {results.vectors:,} vectors of real product texts (fashion, beauty, sports, electronics, gifts, "
        f"groceries; multilingual USE, whitened as the towers whiten, the {results.dim} directions of most variance, "
        f"unit length) by inner product, k = {m.k}. The {results.queries:,} queries are vectors of a user tower that "
        "was trained over these items; they lie off the items' manifold. Half are of users held out of its training, "
        "half of made-up users with articles of one fashion section each, read by the same tower. Ours was calibrated "
        f"on {users.calibration:,} other such users; the other libraries' settings are picked on the very queries "
        "that are measured."
    )
    yield (
        f"Index recall@{m.k} is the share of the {m.k} places that are filled as well as exact search fills its last "
        f"one. Every library is a process of its own and takes turns with the others: medians of {m.rounds} turns. "
        "Queries per CPU-second count the processor time of all threads, queries per second the clock's, which other "
        f"work on the machine slows down. The table has each one's fastest setting of recall {m.recall_floor} or more "
        "(the best, where none reaches it); threads are the caller's, each library keeps to one thread a call. "
        "Bytes are of all that a search may touch."
    )
    yield f"![Index recall against queries per CPU-second]({PICTURE.as_posix()})"
    yield table(_header(plan), [_line(contender, name, plan) for name, contender in named.items()])
    libraries = ", ".join(f"{name} {version}" for name, version in results.versions.items())
    yield f"{results.machine}; {libraries}; commit {results.commit}; {results.finished[:10]}."


def _header(plan: AnnPlan) -> list[str]:
    m = plan.measure
    cells = [f"batch {batch}, {_threads(threads)}" for threads in m.threads for batch in m.batches]
    return ["", "setting", f"recall@{m.k}", *(f"queries/CPU-s (/s), {cell}" for cell in cells), "bytes", "build CPU-s"]


def _line(contender: Contender, name: str, plan: AnnPlan) -> list[str]:
    m = plan.measure
    position = contender.chosen(m.recall_floor, max(m.batches))
    label = plan.contenders[name].label
    rates = [contender.rate(position, batch, threads) for threads in m.threads for batch in m.batches]
    return [
        f"**{label}**" if plan.contenders[name].kind == "ours" else label,
        ", ".join(f"{key} {value}" for key, value in contender.settings[position].items()) or "–",
        f"{contender.recalls[position]:.3f}",
        *(f"{rate.per_cpu_second:,.0f} ({rate.per_second:,.0f})" for rate in rates),
        f"{contender.bytes_per_vector:,.0f}",
        f"{contender.build_cpu_seconds:,.1f}",
    ]


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"
