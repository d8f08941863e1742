"""`python -m benchmarks.serving load|drills|soak|shop`."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.quality.machine import commit, machine
from benchmarks.serving import ceilings, drills, plot, shop
from benchmarks.serving.load import LoadSample, closed_loop, method, open_loop
from benchmarks.serving.process import Running, serving
from index.bundle import HISTORIES, ITEMS, Histories
from retrieval_server.client.requests import recall_request, recommend_request
from retrieval_server.retrieval.v1.retrieval_pb2 import RecallResponse, RecommendResponse

K = 100
MANY = 1000
"""Items that calls of the overload ask for: long calls, so that ten times as many are not beyond a load in Python."""

CANDIDATES = 30
BATCH = 8
CALLERS = 16
TURNS = 3
"""Times that parts and calls are measured, in turns; the turn of the median ratio counts."""

UNHURRIED = ("admission.degrade_at=1000", "admission.refuse_at=1000", "budget_ms=30000")
"""Settings of a server that leaves nothing out and refuses nobody."""

SHARES = (0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 1.0, 1.2, 1.5)
MESSAGES = 2000


def requests(bundle: Path, name: str, k: int = K) -> list[bytes]:
    """Requests with the histories of the bundle's users, the newest 50 events of each, spelled out."""
    import pandas as pd

    histories = Histories.load(bundle / HISTORIES)
    item_ids = pd.read_parquet(bundle / ITEMS, columns=["item_id"])["item_id"].to_numpy()
    made = []
    for place in range(min(MESSAGES, len(histories))):
        history = histories.at(place).last(50)
        who = {
            "history": item_ids[history.rows].tolist(),
            "events": list(history.events),
            "timestamps": history.timestamps.tolist(),
        }
        request = (
            recall_request(**who, k=k) if name == "Recall" else recommend_request(**who, k=10, candidates=CANDIDATES)
        )
        made.append(request.SerializeToString())
    return made


def load(options: argparse.Namespace) -> int:
    """Latency against offered load, beside the bound by its parts."""
    results: dict[str, object] = {"machine": machine(), "commit": commit(), "command": " ".join(sys.argv[1:])}
    curves: dict[str, list[LoadSample]] = {}
    for name in options.methods:
        messages = requests(options.bundle, name)
        # The ceiling is of whole answers, so nothing may be left out of them or refused however many callers there are.
        with serving(options.bundle, "cache.entries=0", *UNHURRIED, *options.overrides) as server:
            size = answer_bytes(server.address, name, messages[0])
            closed_loop(server.address, name, messages, CALLERS, options.calls // 4)
            turns = [turn(server, options, name, messages, size) for _ in range(TURNS)]
            parts, bound, spent, closed = sorted(turns, key=lambda one: one[1] / one[2])[TURNS // 2]
        with serving(options.bundle, "cache.entries=0", *options.overrides) as server:
            curves[name] = [
                open_loop(server.address, name, messages, share * closed.goodput, options.seconds) for share in SHARES
            ]
        print(f"\n{name}: {closed.goodput:.0f}/s with {CALLERS} callers, {1000 * spent:.2f} CPU-ms a call")
        ratios = ", ".join(f"{bound / spent:.2f}" for _, bound, spent, _ in turns)
        print(f"  the parts alone {1000 * bound:.2f}: reached {bound / spent:.2f} of their bound ({ratios})")
        costs = ", ".join(f"{part} {1000 * seconds:.2f}" for part, seconds in vars(parts).items())
        print(f"  {costs} CPU-ms, in batches of {BATCH}; a pair is one candidate in the cross-encoder")
        print(f"  {'offered/s':>10}{'answered/s':>12}{'p50 ms':>9}{'p99 ms':>9}{'refused':>9}")
        for sample in curves[name]:
            print(
                f"  {sample.offered:>10.0f}{sample.goodput:>12.0f}{sample.percentile(50):>9.1f}"
                f"{sample.percentile(99):>9.1f}{len(sample.refusals):>9}"
            )
        results[name] = {
            "closed": closed.goodput,
            "cpu_seconds": spent,
            "bound": bound,
            "parts": vars(parts),
            "open": [[s.offered, s.goodput, s.percentile(50), s.percentile(99), len(s.refusals)] for s in curves[name]],
        }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "load.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    plot.curves(curves, options.out / "load.png")
    return 0


def turn(
    server: Running, options: argparse.Namespace, name: str, messages: list[bytes], size: int
) -> tuple[ceilings.Ceilings, float, float, LoadSample]:
    """The parts, their bound in CPU-seconds a call, those of a call, and the calls; one right after another."""
    parts = ceilings.measure(options.bundle, messages[0], size, K, BATCH, CANDIDATES)
    before = server.cpu_seconds()
    closed = closed_loop(server.address, name, messages, CALLERS, options.calls, keep=True)
    spent = (server.cpu_seconds() - before) / len(closed.latencies)
    whole(name, closed)
    return parts, parts.recall() if name == "Recall" else parts.recommend(CANDIDATES), spent, closed


def whole(name: str, sample: LoadSample) -> None:
    """Go on only if every call was answered and nothing was left out of any answer.

    Raises:
        SystemExit: a call was refused, or an answer says that it was cut down.
    """
    kind = RecallResponse if name == "Recall" else RecommendResponse
    cut = sum(bool(kind.FromString(answer).degraded) for answer in sample.answers)
    if sample.refusals or cut:
        raise SystemExit(f"{name}: {len(sample.refusals)} calls refused, {cut} answers cut down: {dict(sample.codes)}")


def answer_bytes(address: str, name: str, message: bytes) -> int:
    """Size of an answer."""
    import grpc

    with grpc.insecure_channel(address) as channel:
        return len(method(channel, name)(message, timeout=30))


def drill(options: argparse.Namespace) -> int:
    """Every drill, or the soak alone; the exit code says whether all were within their bars."""
    messages = requests(options.bundle, "Recall")
    if options.what == "soak":
        findings = drills.soak(options.bundle, "Recall", messages, options.calls)
    else:
        run: dict[str, Callable[[], list[drills.Finding]]] = {
            "overload": lambda: drills.overload(
                options.bundle, "Recall", requests(options.bundle, "Recall", MANY), options.seconds
            ),
            "swaps": lambda: drills.swaps(options.bundle, "Recall", messages, options.calls),
            "connections": lambda: drills.connections(options.bundle, "Recall", messages),
            "first": lambda: drills.first_calls(options.bundle, "Recall", messages),
        }
        findings = [finding for name in options.only or run for finding in run[name]()]
    print(f"{machine()}, commit {commit()}")
    for finding in findings:
        print(f"{'ok  ' if finding.passed else 'NOT '} {finding.drill}: {finding.seen} (bar: {finding.bar})")
    return 0 if all(finding.passed for finding in findings) else 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the measurements of the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__)
    parser.add_argument("what", choices=["load", "drills", "soak", "shop"])
    parser.add_argument("--bundle", type=Path, default=Path("artifacts/serving/bundles/current"))
    parser.add_argument("--folder", type=Path, default=Path("artifacts/serving"), help="of the made-up shop")
    parser.add_argument("--items", type=int, default=100_000, help="of the made-up shop")
    parser.add_argument("--dim", type=int, default=128, help="of the made-up shop's vectors")
    parser.add_argument("--methods", nargs="+", default=["Recall", "Recommend"], choices=["Recall", "Recommend"])
    parser.add_argument("--only", nargs="+", choices=["overload", "swaps", "connections", "first"], help="drills")
    parser.add_argument("--calls", type=int, default=4000, help="of the closed loop, or of the soak")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each offered load")
    parser.add_argument("--overrides", nargs="*", default=[], help="of the server: handlers=8")
    parser.add_argument("--out", type=Path, default=Path("artifacts/serving/results"))
    options = parser.parse_args(arguments)
    if options.what == "shop":
        print(shop.make(options.folder, options.items, options.dim))
        return 0
    return load(options) if options.what == "load" else drill(options)


if __name__ == "__main__":
    sys.exit(main())
