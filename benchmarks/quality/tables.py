"""Lines of the page's tables: a scorer over its seeds, in its dataset's table or in a study's."""

from collections.abc import Iterable
from functools import partial
from statistics import mean, stdev
from typing import Any

from benchmarks.quality.plan import QualityPlan, StudyPlan
from benchmarks.quality.plot import METRIC, Mark
from benchmarks.quality.records import Result
from data_prep.errors import UsageError

COLUMNS = {"HR@10": "hit_rate@10", "NDCG@10": METRIC, "Recall@50": "recall@50"}
HEADER = ["", *COLUMNS, "σ", "coverage", "seconds", "CPU s", "peak MiB", "seeds"]
NOTHING = "–"
SEEDS = "seeds"
"""The path of a study's column that counts the seeds of a row."""


def table(header: list[str], lines: Iterable[list[str]], numbers: bool = True) -> str:
    """A table in Markdown; `numbers` are set to the right, but for the first column."""
    rule = ["---", *(["---:" if numbers else "---"] * (len(header) - 1))]
    return "\n".join(f"| {' | '.join(line)} |" for line in [header, rule, *lines])


class Row:
    """One line of a dataset's table: a scorer over its seeds.

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
            [r.cpu_seconds or r.seconds for r in results] if self.trained else None,
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
        rows = [r.rows[self.label] for r in self.results]
        cells = [f"**{self.label}**" if self.mark.kind == "ours" and self.trained else self.label]
        cells += [with_interval([row["metrics"][name] for row in rows]) for name in COLUMNS.values()]
        cells.append(f"{stdev(self.mark.quality):.4f}" if len(self.results) > 1 and self.trained else NOTHING)
        cells.append(f"{mean(row['beyond']['coverage'] for row in rows):.3f}")
        if not self.trained:
            return [*cells, NOTHING, NOTHING, NOTHING, NOTHING]
        return [
            *cells,
            f"{mean(r.seconds for r in self.results):,.0f}",
            _cpu(self.results),
            f"{max(r.peak_mb for r in self.results):,.0f}",
            str(len(self.results)),
        ]


def _cpu(results: list[Result]) -> str:
    taken = [r.cpu_seconds for r in results if r.cpu_seconds is not None]
    return f"{mean(taken):,.0f}" if taken else NOTHING


def rows_of(dataset: str, results: list[Result], plan: QualityPlan) -> list[Row]:
    """The lines of a dataset's table, best first; studies have their own."""
    rows = [
        Row(label, "peer" if owner in plan.peers else "ours", own)
        for (owner, label), own in _lines(dataset, None, results, plan).items()
    ]
    return sorted(rows, key=lambda row: -row.quality)


def comparison(rows: list[Row], plan: QualityPlan) -> str:
    """How far our rows lie above the strongest baseline, user by user; empty where it was not measured."""
    said = []
    names = {scorer: label for recipe in plan.recipes.values() for scorer, label in recipe.untrained.items()}
    for row in rows:
        for result in row.results:
            above = result.rows[row.label].get("above")
            if row.trained and above is not None:
                found, baseline = above[METRIC], names.get(above["baseline"], above["baseline"])
                interval = f"{found['low']:+.4f} to {found['high']:+.4f}"
                said.append(f"{row.label} {found['mean']:+.4f} ({interval}) from {baseline} with seed {result.seed}")
    return f"NDCG@10 user by user: {'; '.join(said)}." if said else ""


def study_of(name: str, plan: QualityPlan, label: str = "") -> str | None:
    """The study whose table shows a recipe, or one row of it; None for the main table."""
    if name not in plan.recipes:
        return None
    also = plan.recipes[name].also
    return next((study for study, rows in also.items() if label in rows.values()), plan.recipes[name].study)


def study_table(dataset: str, name: str, results: list[Result], plan: QualityPlan) -> str:
    """A study's table on one dataset, its lines as they stand in the plan; empty where nothing was measured.

    Raises:
        UsageError: no result holds a column.
    """
    study, found = plan.studies[name], _lines(dataset, name, results, plan)
    if not found:
        return ""
    lines = [_study_cells(label, own, study) for (_, label), own in sorted(found.items(), key=partial(_planned, plan))]
    for place, (heading, path) in enumerate(study.columns.items(), start=1):
        if all(line[place] == NOTHING for line in lines):
            raise UsageError(f"studies.{name}.columns.{heading}: no result on {dataset} holds {path}")
    return table(["", *study.columns], lines)


def with_interval(figures: list[dict[str, float]]) -> str:
    """Mean over the seeds ± half of the interval."""
    half = mean(figure["high"] - figure["low"] for figure in figures) / 2
    return f"{mean(figure['mean'] for figure in figures):.4f} ± {half:.4f}"


def _lines(
    dataset: str, study: str | None, results: list[Result], plan: QualityPlan
) -> dict[tuple[str, str], list[Result]]:
    """The results of each line of a study, or of the main table: (recipe or peer, label) -> one for each seed."""
    found: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        if result.dataset == dataset:
            for label in (label for label in result.rows if study_of(result.name, plan, label) == study):
                owner = "untrained" if label in result.untrained else result.name  # one line, whichever recipe says it
                found.setdefault((owner, label), []).append(result)
    return found


def _planned(plan: QualityPlan, line: tuple[tuple[str, str], list[Result]]) -> tuple[bool, int, int]:
    """Where a line of a study stands: as in the plan, trained scorers first."""
    (owner, label), results = line
    name = results[0].name
    recipe = plan.recipes[name]
    labels = [*recipe.rows.values(), *recipe.untrained.values()]
    labels += [label for rows in recipe.also.values() for label in rows.values()]
    return owner == "untrained", list(plan.recipes).index(name), labels.index(label) if label in labels else len(labels)


def _study_cells(label: str, results: list[Result], study: StudyPlan) -> list[str]:
    cells = [label]
    for path in study.columns.values():
        if path == SEEDS:
            cells.append(str(len(results)))
            continue
        found = [_figure(result, label, path) for result in results]
        known = [figure for figure in found if figure is not None]
        cells.append(_shown(known) if known else NOTHING)
    return cells


def _figure(result: Result, label: str, path: str) -> Any:
    """The value at a path in a row of a result, None where there is none."""
    value: Any = result.rows[label]
    if label not in result.untrained:
        value = value | {
            "seconds": result.seconds,
            "cpu_seconds": result.cpu_seconds,
            "peak_mb": result.peak_mb,
            "epochs": result.notes.get("epochs"),
        }
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _shown(figures: list[Any]) -> str:
    """Mean over the seeds, with its interval if it has one; shares with three decimals, larger ones with none."""
    if isinstance(figures[0], dict):
        return with_interval(figures)
    value = mean(figures)
    return f"{value:.3f}" if isinstance(value, float) and value <= 1 else f"{value:,.0f}"
