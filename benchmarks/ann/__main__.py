"""Our index beside raw FAISS and other libraries, on the same vectors in one run.

    python -m benchmarks.ann --shared ../shared/data                     # everything in plan.yaml
    python -m benchmarks.ann --shared ../shared/data --only ours,scann   # a look: nothing is kept or written
    python -m benchmarks.ann --synthetic 105542 --only ours              # a look without the shared data, at any size
    python -m benchmarks.ann --report                                    # only write docs/benchmarks.md again

Vectors of texts and users are made once and kept under `artifacts`. What was measured is kept in
`benchmarks/ann/results`, which belongs to the repository; the section of `docs/benchmarks.md` between its markers and
the picture are written from it and from nothing else.
"""

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch

from benchmarks.ann.catalogue import encode, read_catalogue
from benchmarks.ann.contest import ContestFiles, python_for, run
from benchmarks.ann.page import write_page
from benchmarks.ann.plan import AnnPlan, ContenderPlan, read_plan
from benchmarks.ann.records import RESULTS, Results, keep, recorded
from benchmarks.ann.synthetic import synthetic
from benchmarks.ann.users import user_vectors
from benchmarks.quality.environments import MARK, python_of
from benchmarks.quality.machine import commit, machine
from benchmarks.quality.measure import ROOT
from data_prep.errors import CommandError, ExitCode, GateFailed, UsageError
from data_prep.files import read_json


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.ann", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared" / "data", help="folder of shared data")
    parser.add_argument("--only", metavar="NAME,NAME", help="contenders to look at; nothing is kept")
    parser.add_argument("--synthetic", type=int, metavar="N", help="made-up vectors instead; nothing is kept")
    parser.add_argument("--jobs", type=int, default=1, help="contenders that build side by side")
    parser.add_argument("--cache", type=Path, default=ROOT / "artifacts" / "cache" / "text", help="of text vectors")
    parser.add_argument(
        "--artifacts", type=Path, default=ROOT / "artifacts" / "ann", help="vectors, logs, environments"
    )
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder that keeps what was measured")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs")
    parser.add_argument("--report", action="store_true", help="run nothing, write the page from what was measured")
    return parser.parse_args()


def prepare(options: argparse.Namespace, plan: AnnPlan) -> ContestFiles:
    """Vectors of items and users, as files that every contender reads."""
    folder = options.artifacts.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    material = ContestFiles(folder / "vectors.npy", folder / "queries.npy", folder / "calibration.npy")
    if options.synthetic is not None:
        vectors, users = synthetic(options.synthetic, plan.users.users, plan.catalogue.dim, plan.users.seed)
    else:
        torch.set_num_threads(1)
        catalogue = read_catalogue(plan.catalogue, options.shared)
        vectors = encode(catalogue.texts, plan.catalogue, options.cache)
        users = user_vectors(catalogue, vectors, plan.users, folder / "users")
    np.save(material.vectors, vectors)
    np.save(material.users, users[: plan.users.calibration])
    np.save(material.queries, users[plan.users.calibration :])
    return material


def measure(options: argparse.Namespace, plan: AnnPlan, contenders: dict[str, ContenderPlan]) -> Results:
    """Measure contenders on this machine, now."""
    artifacts, material = options.artifacts.absolute(), prepare(options, plan)
    needed = {contender.environment for contender in contenders.values()}
    environments = {
        name: python_of(name, environment, artifacts / "envs")
        for name, environment in plan.environments.items()
        if name in needed
    }
    pythons = {name: python_for(contender, environments) for name, contender in contenders.items()}
    measured = run(contenders, pythons, material, plan.measure, artifacts / "logs", options.jobs)
    count, dim = np.load(material.vectors, mmap_mode="r").shape
    return Results(
        contenders=measured,
        vectors=count,
        dim=dim,
        queries=len(np.load(material.queries, mmap_mode="r")),
        command="python -m benchmarks.ann" + (f" --jobs {options.jobs}" if options.jobs > 1 else ""),
        commit=commit(),
        machine=machine(),
        versions={k: v for name in environments for k, v in _versions(artifacts / "envs" / name).items()},
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def main() -> None:
    """Measure, unless only a report is asked for; write the page.

    Raises:
        GateFailed: there is nothing to write.
        UsageError: a contender is not in the plan.
    """
    options, plan = arguments(), read_plan()
    names = list(plan.contenders) if options.only is None else options.only.split(",")
    if unknown := [name for name in names if name not in plan.contenders]:
        raise UsageError(f"--only {','.join(unknown)}: not one of {', '.join(plan.contenders)}")
    if not options.report:
        results = measure(options, plan, {name: plan.contenders[name] for name in names})
        if options.only is not None or options.synthetic is not None:
            show(results)
            return
        keep(results, options.results)
    kept = recorded(options.results)
    if kept is None:
        raise GateFailed(f"{options.results} holds no result: nothing was measured")
    write_page(kept, plan, options.docs)


def show(results: Results) -> None:
    """Print the figures of a look, one line a setting."""
    for name, contender in results.contenders.items():
        print(
            f"{name}: {contender.bytes_per_vector:,.0f} bytes, {contender.build_cpu_seconds:.1f} CPU-seconds to build"
        )
        for rate in contender.rates:
            print(
                f"  {contender.settings[rate.setting]} batch {rate.batch} threads {rate.threads}: "
                f"recall {contender.recalls[rate.setting]:.4f}, {rate.per_cpu_second:,.0f} queries per CPU-second"
            )


def _versions(environment: Path) -> dict[str, str]:
    versions: dict[str, str] = read_json(environment / MARK)["versions"]
    return versions


if __name__ == "__main__":
    try:
        main()
    except CommandError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(ExitCode.INTERRUPTED)
