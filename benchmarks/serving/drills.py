"""Drills of failures: each prints its figures and whether they are within its bar."""

import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import grpc
import numpy as np

from benchmarks.serving.load import closed_loop, method, open_loop
from benchmarks.serving.process import Running, echoing, serving
from index import Manifest
from retrieval_server import RetrievalClient, RetrievalError
from retrieval_server.retrieval.v1.retrieval_pb2 import RecallResponse

SECOND = "20990101T000000-0badcafe"
MIB = 2**20


@dataclass(frozen=True)
class Finding:
    """The outcome of a drill.

    Attributes:
        drill: its name.
        seen: the figures.
        bar: the bounds of the figures.
        passed: whether it did.
    """

    drill: str
    seen: str
    bar: str
    passed: bool


def overload(bundle: Path, name: str, messages: Sequence[bytes], seconds: float) -> list[Finding]:
    """Offer two and ten times the server's peak, then little again.

    An echo is offered ten times as much as well: delays there are of this process, not by any server.
    """
    findings = []
    with serving(bundle, "cache.entries=0") as server, echoing(len(messages[0])) as echo:
        peak = closed_loop(server.address, name, messages, callers=8, calls=2000).goodput
        own = open_loop(echo.address, name, messages, 10 * peak, seconds)
        findings.append(
            Finding(
                f"the load itself, {10 * peak:.0f}/s offered to an echo",
                f"p50 {own.percentile(50):.1f} ms, p99 {own.percentile(99):.1f} ms; {dict(own.codes)}",
                "p50 10 ms, or the rest says little of the server",
                own.percentile(50) <= 10,
            )
        )
        calm = open_loop(server.address, name, messages, 0.3 * peak, seconds)
        for times in (2, 10):
            crowd = open_loop(server.address, name, messages, times * peak, seconds, seed=times)
            share = crowd.goodput / peak
            ratio = crowd.percentile(99) / calm.percentile(99)
            refused = crowd.refused_percentile(50)
            only = set(crowd.codes) <= {"OK", "RESOURCE_EXHAUSTED"}
            findings.append(
                Finding(
                    f"{name}, {times} times its peak ({peak:.0f}/s)",
                    f"answered {100 * share:.0f}% of the peak, p99 {ratio:.1f} times that of 0.3 peak, refused within "
                    f"{refused:.0f} ms (half of them); {dict(crowd.codes)}",
                    "80%, 3 times, 50 ms, RESOURCE_EXHAUSTED",
                    share >= 0.8 and ratio <= 3 and not refused > 50 and only,
                )
            )
        after = open_loop(server.address, name, messages, 0.3 * peak, seconds, seed=3)
        back = after.percentile(50) / calm.percentile(50)
        findings.append(
            Finding(
                "calm again",
                f"p50 {back:.1f} times that before; {dict(after.codes)}",
                "all answered, 2 times",
                back <= 2 and set(after.codes) == {"OK"},
            )
        )
    return findings


def swaps(bundle: Path, name: str, messages: Sequence[bytes], calls: int) -> list[Finding]:
    """Swap twenty times between two versions while calls go on; offer a damaged one twenty times."""
    with tempfile.TemporaryDirectory() as place:
        folder = two_versions(bundle, Path(place))
        damaged = folder / "20990101T000000-damaged"
        shutil.copytree(folder / SECOND, damaged)
        vectors = damaged / "vectors.npy"
        content = bytearray(vectors.read_bytes())
        content[-1] ^= 1
        vectors.write_bytes(content)
        names = (SECOND, (folder / "current").resolve().name)
        with serving(folder / "current", "cache.entries=0") as server, RetrievalClient(server.address) as admin:
            before = closed_loop(server.address, name, messages, callers=4, calls=calls // 10)
            resident = server.resident()
            lasting = 45 * _timed(lambda: (admin.swap(SECOND), admin.rollback())) / 2
            with ThreadPoolExecutor(1) as pool:
                load = pool.submit(open_loop, server.address, name, messages, 0.3 * before.goodput, lasting, 0, True)
                seconds, refused = [], 0
                for number in range(20):
                    seconds.append(admin.swap(names[number % 2]).seconds)
                    try:
                        admin.swap(damaged.name)
                    except RetrievalError as error:
                        refused += error.code is grpc.StatusCode.FAILED_PRECONDITION
                started = time.monotonic()
                admin.rollback()
                back = time.monotonic() - started
                sample = load.result()
            versions = {RecallResponse.FromString(answer).bundle_version for answer in sample.answers}
            growth = server.resident() / resident
    return [
        Finding(
            f"20 swaps, 20 damaged versions and a rollback in {sum(sample.codes.values()):,} calls",
            f"{dict(sample.codes)}; {len(versions)} versions answered; {refused} of 20 refused; a swap took "
            f"{np.median(seconds):.1f} s, the rollback {back:.1f} s; memory {growth:.2f} times that before",
            "no error, each answer from one of two, 20 refused, 5 s, 1.1 times",
            set(sample.codes) == {"OK"} and versions == set(names) and refused == 20 and back <= 5 and growth <= 1.1,
        )
    ]


def connections(bundle: Path, name: str, messages: Sequence[bytes]) -> list[Finding]:
    """A thousand idle connections, and a thousand that talk nonsense."""
    with serving(bundle, "cache.entries=0") as server:
        rate = 0.3 * closed_loop(server.address, name, messages, callers=8, calls=2000).goodput
        alone = open_loop(server.address, name, messages, rate, 10.0)
        with ExitStack() as stack:
            for _ in range(1000):
                stack.enter_context(_connected(server))
            idle = open_loop(server.address, name, messages, rate, 10.0, seed=1)
        with ThreadPoolExecutor(1) as pool:
            load = pool.submit(open_loop, server.address, name, messages, rate, 10.0, 2)
            generator = np.random.default_rng(5)
            for number in range(1000):
                with _connected(server) as talker:
                    talker.sendall(b"GET / HTTP/1.1\r\n\r\n" if number % 2 else generator.bytes(200))
            junk = load.result()
    ratio = idle.percentile(99) / alone.percentile(99)
    return [
        Finding("1,000 idle connections", f"p99 {ratio:.2f} times; {dict(idle.codes)}", "1.5 times", ratio <= 1.5),
        Finding(
            "1,000 connections that talk nonsense", f"{dict(junk.codes)}", "no call fails", set(junk.codes) == {"OK"}
        ),
    ]


def first_calls(bundle: Path, name: str, messages: Sequence[bytes]) -> list[Finding]:
    """The first calls after the start beside those later on."""
    first = []
    for _ in range(5):
        with serving(bundle) as server, grpc.insecure_channel(server.address) as channel:
            grpc.channel_ready_future(channel).result(timeout=30)
            call = method(channel, name)
            first.append(_timed(lambda: call(messages[0], timeout=30)))  # noqa: B023
            later = [_timed(lambda: call(message, timeout=30)) for message in messages[1:200]]  # noqa: B023
    ratio = float(np.median(first)) / float(np.percentile(later, 99))
    return [
        Finding(
            "the first call", f"{ratio:.1f} times the p99 of later ones (median of 5 starts)", "2 times", ratio <= 2
        )
    ]


def soak(bundle: Path, name: str, messages: Sequence[bytes], calls: int) -> list[Finding]:
    """Many calls: memory, threads and descriptors at ten moments."""
    with serving(bundle) as server:
        # As many callers as there are handlers: threads are made when they are first needed.
        closed_loop(server.address, name, messages, callers=16, calls=calls // 10)
        resident, threads, descriptors, codes = [server.resident()], [server.threads()], [server.descriptors()], set()
        for _ in range(10):
            codes |= set(closed_loop(server.address, name, messages, callers=4, calls=calls // 10).codes)
            resident.append(server.resident())
            threads.append(server.threads())
            descriptors.append(server.descriptors())
    slope = float(np.polyfit(np.arange(11) * calls / 10, resident, 1)[0]) * 10_000 / MIB
    return [
        Finding(
            f"{calls:,} calls",
            f"memory grew {slope:.2f} MiB every 10,000; threads {threads[0]} to {threads[-1]}, descriptors "
            f"{descriptors[0]} to {descriptors[-1]}; codes {sorted(codes)}",
            "1 MiB, as many, as many, OK",
            slope <= 1 and threads[-1] <= threads[0] and descriptors[-1] <= descriptors[0] and codes == {"OK"},
        )
    ]


def two_versions(bundle: Path, place: Path) -> Path:
    """A folder with a bundle, the same under another name, and `current`, which names the first."""
    first = bundle.resolve()
    for name in (first.name, SECOND):
        shutil.copytree(first, place / name)
    replace(Manifest.read(first), version=SECOND).write(place / SECOND)
    (place / "current").symlink_to(first.name)
    return place


def _connected(server: Running) -> socket.socket:
    host, port = server.address.rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout=30)


def _timed(work: Callable[[], object]) -> float:
    started = time.monotonic()
    work()
    return time.monotonic() - started
