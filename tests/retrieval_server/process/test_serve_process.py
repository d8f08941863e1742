"""The real command with a real bundle: what it prints, what it refuses, how it ends."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import grpc
import pandas as pd
import pytest

from data_prep.command import ExitCode
from retrieval_server import RetrievalClient
from retrieval_server.retrieval.v1.retrieval_pb2 import History, RecallRequest
from retrieval_server.retrieval.v1.retrieval_pb2_grpc import RetrievalServiceStub
from tests import processes
from tests.retrieval_server.shop import SECOND

ROOT = Path(__file__).parents[3]
MIB = 2**20
SERVING = re.compile(r"serving bundle (\S+) \(([\d,]+) items, (with|without) cross-encoder\) from (\S+) on (\S+:\d+),")


@dataclass
class Running:
    """A server process that said it was serving."""

    process: subprocess.Popen[str]
    banner: re.Match[str]

    @property
    def address(self) -> str:
        return self.banner[5]

    @property
    def port(self) -> str:
        return self.address.rsplit(":", 1)[1]

    def stop(self, number: signal.Signals = signal.SIGTERM, timeout: float = 120) -> tuple[int, str]:
        """Send a signal, wait for the end; its exit code and log."""
        self.process.send_signal(number)
        _, log = self.process.communicate(timeout=timeout)
        return self.process.returncode, log

    def peak_bytes(self) -> int:
        """The most memory the process ever had resident."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) * 1024


def mapped(process: int) -> list[str]:
    """A line for each part of a process's memory, the files mapped there named."""
    return Path(f"/proc/{process}/maps").read_text().splitlines()


def command(*overrides: str) -> list[str]:
    return [sys.executable, "-m", "retrieval_server", *overrides]


def refused(*overrides: str) -> tuple[int, str, float]:
    """Run a server that is expected not to start; its exit code, what it says, and the processor seconds it took."""
    before = os.times()
    ended = processes.run(command(*overrides), timeout=120)
    after = os.times()
    seconds = after.children_user + after.children_system - before.children_user - before.children_system
    return ended.returncode, ended.stderr, seconds


Start = Callable[..., Running]


@pytest.fixture(scope="module")
def start(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Starts servers over the tiny bundle on free ports, and ends those that the tests leave."""
    events = tmp_path_factory.mktemp("events")

    def start_one(*overrides: str) -> Running:
        arguments = command(f"bundle={tiny_bundle}", "port=0", f"events.folder={events}", *overrides)
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = running.enter_context(processes.started(arguments, **pipes))
        assert process.stdout is not None and process.stderr is not None
        line = process.stdout.readline()
        banner = SERVING.match(line)
        assert banner, line + process.stderr.read()
        return Running(process, banner)

    with ExitStack() as running:
        yield start_one


@pytest.fixture(scope="module")
def shared(start: Start) -> Running:
    """A server for the tests that do not end it."""
    return start()


def first_items(tiny_bundle: Path, count: int) -> list[str]:
    return pd.read_parquet(tiny_bundle / "items.parquet")["item_id"].head(count).tolist()


def test_health_turns_at_once_and_a_second_signal_ends_the_process_at_once(start: Start) -> None:
    lame_duck = 30
    running = start(f"lame_duck_seconds={lame_duck}", "grace_seconds=60")
    with RetrievalClient(running.address) as client:
        running.process.send_signal(signal.SIGTERM)
        asked = time.monotonic()
        while client.is_serving():
            assert time.monotonic() - asked < lame_duck / 10, "at once, beside the time in which calls are still taken"
        assert client.recall(query="still here").item_ids, "calls are taken for a while yet"
    code, _ = running.stop(timeout=5)
    assert code == ExitCode.INTERRUPTED


def test_the_line_at_start_says_what_is_served_and_where(shared: Running, tiny_bundle: Path) -> None:
    items = len(pd.read_parquet(tiny_bundle / "items.parquet"))
    assert shared.banner[2] == f"{items:,}"
    assert shared.banner[4] == str(tiny_bundle.resolve())
    with RetrievalClient(shared.address) as client:
        assert client.is_serving(), "once the line is out, the server is ready"
        answer = client.recall(history=first_items(tiny_bundle, 2), k=3)
    assert answer.bundle_version == shared.banner[1]


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs Linux's account of a process's memory")
def test_the_version_of_the_start_is_let_go_of_once_another_is_served(start: Start, bundle_copies: Path) -> None:
    running = start(f"bundle={bundle_copies / 'current'}")
    first = running.banner[1]
    with RetrievalClient(running.address) as client:
        assert any(first in line for line in mapped(running.process.pid))
        assert client.swap(SECOND).bundle_version == SECOND
        within = time.monotonic() + 60
        while any(first in line for line in mapped(running.process.pid)):
            assert time.monotonic() < within, "the first version is still in memory"
        assert any(SECOND in line for line in mapped(running.process.pid))


def test_a_second_server_on_the_same_port_is_refused(shared: Running, tiny_bundle: Path) -> None:
    code, message, _ = refused(f"bundle={tiny_bundle}", f"port={shared.port}")
    assert code == ExitCode.GATE_FAILED
    assert message == f"error: address in use: 127.0.0.1:{shared.port}; set another port or host\n"
    with RetrievalClient(shared.address) as client:
        assert client.is_serving()


def test_a_compressed_bomb_is_refused_without_being_unpacked(shared: Running) -> None:
    with grpc.insecure_channel(shared.address, options=[("grpc.max_send_message_length", -1)]) as channel:
        call = channel.unary_unary("/retrieval.v1.RetrievalService/Recall")
        before = shared.peak_bytes()
        with pytest.raises(grpc.RpcError) as refusal:
            call(bytes(200 * MIB), timeout=60, compression=grpc.Compression.Gzip)
    assert refusal.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert shared.peak_bytes() - before <= 32 * MIB


def test_sigterm_under_load_loses_no_call_in_flight(start: Start, tiny_bundle: Path) -> None:
    running = start("grace_seconds=30.0", "admission.refuse_at=200")
    item_ids = first_items(tiny_bundle, 20)
    with grpc.insecure_channel(running.address) as channel:
        stub = RetrievalServiceStub(channel)
        requests = [
            RecallRequest(query=f"call {number}", k=5, history=History(item_ids=[item_ids[number % 20]]))
            for number in range(200)
        ]
        calls = [stub.Recall.future(request, timeout=60) for request in requests]
        calls[0].result()
        code, log = running.stop()
        assert sum(len(call.result().item_ids) == 5 for call in calls) == 200
    assert code == ExitCode.OK
    assert "every call in flight was answered" in log


def test_sigterm_while_loading_ends_the_process_in_order(
    tiny_bundle: Path, tmp_path: Path, start_process: Callable[..., subprocess.Popen[str]]
) -> None:
    arguments = command(f"bundle={tiny_bundle}", "port=0", f"events.folder={tmp_path}")
    process = start_process(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stderr is not None
    assert any("loading" in line for line in process.stderr)
    process.send_signal(signal.SIGTERM)
    out, log = process.communicate(timeout=60)
    assert (process.returncode, out) == (ExitCode.OK, "")
    assert "Traceback" not in log


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("limits.kk=5", "kk"),
        ("port=many", "port"),
        ("workers=0", "workers must be at least 1"),
        ("workers=2", "event_store=redis"),
        ("bundle=no/such/folder", "bundle=no/such/folder"),
        ("host=0.0.0.0", "allow_insecure=true"),
    ],
)
def test_a_wrong_option_is_refused_by_name_within_two_seconds(override: str, named: str) -> None:
    code, message, seconds = refused("port=0", "bundle=.", override)
    assert code == ExitCode.USAGE
    assert named in message
    assert "Traceback" not in message
    assert seconds < 2


def test_a_folder_that_is_no_bundle_is_refused_within_two_seconds(tmp_path: Path) -> None:
    code, message, seconds = refused(f"bundle={tmp_path}", "port=0")
    assert code == ExitCode.USAGE
    assert f"error: no bundle in {tmp_path}" in message
    assert seconds < 2
