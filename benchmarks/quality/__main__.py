"""Our recipes and their peers on the same splits, judged by the same code.

    python -m benchmarks.quality                                     # everything in plan.yaml, three seeds
    python -m benchmarks.quality --only beauty: --seeds 0            # one dataset, one seed
    python -m benchmarks.quality --only beauty:recbole-sasrec        # one row
    python -m benchmarks.quality --report                            # only write docs/benchmarks.md

Each training is kept as a small file in `benchmarks/quality/results`, which belongs to the repository; a job that
was measured with the same code and settings is not run again, so an interrupted benchmark goes on where it
was, on any machine. At the end the section of `docs/benchmarks.md` between its markers and the plot are written from
all of these files and nothing else, whatever commit they are of; the page names it. `--report` needs no data.
"""

import argparse
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.quality.datasets import QualityDataset, prepare
from benchmarks.quality.environments import python_of
from benchmarks.quality.measure import ROOT
from benchmarks.quality.page import write_page
from benchmarks.quality.plan import Job, QualityPlan, jobs, read_plan
from benchmarks.quality.records import RESULTS, Result, find, keep, recorded
from benchmarks.quality.runs import QualityBench, run_job
from benchmarks.quality.speed import read_speeds
from data_prep import Dataset
from data_prep.command import load_config
from data_prep.errors import CommandError, ExitCode, GateFailed
from towers.evaluate import EvaluateConfig


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", action="append", default=[], metavar="DATASET:NAME", help="may be repeated")
    parser.add_argument("--seeds", default="0,1,2", help="as in 0,1,2; the first also evaluates untrained scorers")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="numerical threads of each training")
    parser.add_argument("--jobs", type=int, default=1, help="trainings side by side; more than one blurs the times")
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared" / "data", help="folder of shared data")
    parser.add_argument("--artifacts", type=Path, default=ROOT / "artifacts" / "quality", help="runs, data, logs")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the measurements")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs")
    parser.add_argument("--report", action="store_true", help="run nothing, write the page from all that was measured")
    parser.add_argument("--any-commit", action="store_true", help="keep measurements of other code and settings")
    return parser.parse_args()


def measure(wanted: list[Job], bench: QualityBench, data: dict[str, QualityDataset], any_commit: bool) -> bool:
    """Run the jobs that have no result yet; whether all have one now. A job that fails is told and left out."""

    def one(job: Job) -> Result | None:
        prepared = data[job.dataset]
        found = find(job, bench.marks(job, prepared.dataset.fingerprint), bench.results, any_commit)
        if found is not None:
            return found
        print(f"{job.key} seed {job.seed}: running", flush=True)
        try:
            result = run_job(job, bench, prepared)
        except CommandError as error:
            print(f"{job.key} seed {job.seed}: FAILED: {error}", file=sys.stderr, flush=True)
            return None
        keep(result, bench.results)
        for label, row in result.rows.items():
            figures = "  ".join(f"{k} {row['metrics'][k]['mean']:.4f}" for k in ("hit_rate@10", "ndcg@10"))
            cost = "" if label in result.untrained else f"  {result.seconds:.0f} s  {result.peak_mb:.0f} MB"
            print(f"{job.key} seed {job.seed}: {label}: {figures}{cost}", flush=True)
        return result

    with ThreadPoolExecutor(bench.jobs) as pool:
        done = list(zip(wanted, pool.map(one, wanted), strict=True))
    for job, result in done:
        if result is None:
            print(f"{job.key} seed {job.seed}: not measured", file=sys.stderr)
    return all(result is not None for _, result in done)


def run_missing(asked: argparse.Namespace, plan: QualityPlan) -> bool:
    """Prepare datasets and environments and measure the jobs; whether all of them have a result now."""
    wanted = jobs(plan, [int(seed) for seed in asked.seeds.split(",")], asked.only)
    evaluation = load_config(EvaluateConfig, "evaluate", ["run=none", "data=none"]).evaluation
    bench = QualityBench(plan, asked.artifacts, asked.results, asked.threads, asked.jobs, evaluation)
    data = {
        name: QualityDataset(
            Dataset.open(prepare(name, plan, asked.shared, asked.artifacts)),
            list(evaluation.cutoffs),
            evaluation.validation_users,
        )
        for name in dict.fromkeys(job.dataset for job in wanted)
    }
    for name in dict.fromkeys(plan.peers[job.name].environment for job in wanted if job.name in plan.peers):
        python_of(name, plan.environments[name], bench.artifacts / "envs")
    return measure(wanted, bench, data, asked.any_commit)


def main() -> None:
    """Run the jobs without a result, unless only a report is asked for; write the page.

    Raises:
        GateFailed: there is nothing to write.
    """
    asked = arguments()
    plan = read_plan()
    complete = asked.report or run_missing(asked, plan)
    results, speeds = recorded(plan, asked.results), read_speeds(asked.results)
    if not results and speeds is None:
        raise GateFailed(f"{asked.results} holds no result: nothing was measured")
    write_page(results, speeds, plan, asked.docs)
    sys.exit(ExitCode.OK if complete else ExitCode.GATE_FAILED)


if __name__ == "__main__":
    try:
        main()
    except CommandError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("interrupted; the same command goes on", file=sys.stderr)
        sys.exit(ExitCode.INTERRUPTED)
