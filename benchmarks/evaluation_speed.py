"""Time and memory of ranking the whole catalogue for every test user, by the batch size.

    python -m benchmarks.evaluation_speed --run artifacts/quality/runs/<a run of beauty>

The user tower reads every history and the whole catalogue is ranked for each, as `python -m towers.evaluate` does for
the row *one vector*; item vectors are there already. Each batch size is a process of its own, which evaluates
`--rounds` times; the table has the median by the clock and by the processor, and how far the process's peak of resident
memory rose. The section of `docs/benchmarks.md` between its markers is written from that.
"""

import argparse
import multiprocessing
import resource
import time
from pathlib import Path
from statistics import median

import torch

from benchmarks.quality.machine import commit, machine
from benchmarks.quality.page import replace_section
from data_prep import Columns, Split
from towers.events import read_sequences_of
from towers.metrics import Cases, evaluate, mean_metrics
from towers.model import ONE_VECTOR, OneVectorModel, RunRecord, model_scorer

ROOT = Path(__file__).parents[1]
BEGIN, END = "<!-- benchmarks.evaluation_speed -->", "<!-- end -->"


def measured(run: Path, batch: int, threads: int, rounds: int) -> tuple[str, str]:
    """A line of the table, and who was evaluated."""
    torch.set_num_threads(threads)
    record, model = RunRecord.read(run), OneVectorModel.open(run)
    dataset = record.open_data()
    item_ids = [str(item_id) for item_id in dataset.items[Columns.ITEM_ID]]
    sequences = read_sequences_of(dataset, record.settings.log)
    cases = Cases.held_out(sequences, item_ids, Split.TEST, model.exclude_seen, [10, 50])
    scorer = model_scorer(ONE_VECTOR, model, dataset.items)
    before, clock, processor = _peak_mib(), [], []
    for _ in range(rounds):
        began, worked = time.perf_counter(), time.process_time()
        outcome = evaluate(scorer, cases, batch)
        clock.append(time.perf_counter() - began)
        processor.append(time.process_time() - worked)
    ndcg = mean_metrics(torch.from_numpy(outcome.metrics), cases)["ndcg@10"]
    figures = f"{median(clock):.1f} | {median(processor):.1f} | {_peak_mib() - before:.0f} | {ndcg:.4f}"
    return f"| {batch} | {figures} |", f"{len(cases):,} users, {len(item_ids):,} items"


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Measure every batch size and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--batches", default="64,256,1024", help="values of evaluation.batch_size")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    lines, who = [], ""
    for batch in map(int, asked.batches.split(",")):
        with multiprocessing.get_context("spawn").Pool(1) as alone:
            line, who = alone.apply(measured, (asked.run, batch, asked.threads, asked.rounds))
        lines.append(line)
    section = "\n".join(
        [
            f"{who}, {asked.threads} threads, median of {asked.rounds}; {machine()}; commit {commit()}.",
            "",
            "| `evaluation.batch_size` | seconds | CPU s | MiB more | NDCG@10 |",
            "|---:|---:|---:|---:|---:|",
            *lines,
        ]
    )
    replace_section(ROOT / "docs" / "benchmarks.md", BEGIN, END, f"\n{section}\n")
    print(section)


if __name__ == "__main__":
    main()
