"""Several processes behind one port: one answer for all, swapped together, replaced when one dies, drained."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from data_prep.command import ExitCode
from retrieval_server import RetrievalClient, RetrievalError
from tests import processes
from tests.retrieval_server.process.test_serve_process import SERVING, command, mapped, refused
from tests.retrieval_server.shop import SECOND

pytest.importorskip("redis", reason="the package redis comes with the extra `redis`")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        shutil.which("redis-server") is None, reason="no redis-server here: apt-get install redis-server"
    ),
]

ASKED = 12  # connections: that all of them meet the same one of two workers has a chance of 1 in 2,048


class Server:
    """Two workers over two versions."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert self.process.stdout is not None and self.process.stderr is not None
        self.line = self.process.stdout.readline()
        banner = SERVING.match(self.line)
        assert banner, self.line + self.process.stderr.read()
        self.version, self.address = banner[1], banner[5]

    def clients(self) -> list[RetrievalClient]:
        return [RetrievalClient(self.address, attempts=5) for _ in range(ASKED)]

    def versions(self) -> set[str]:
        """What is answered over new connections, which the system spreads over the workers."""
        found = set()
        for client in self.clients():
            with client:
                found.add(client.recall(query="anything", k=1).bundle_version)
        return found

    def workers(self) -> set[int]:
        """Process ids; the server has another child, Python's own keeper of shared resources."""
        lists = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        children = {int(child) for tasks in lists for child in tasks.read_text().split()}
        return {child for child in children if b"spawn_main" in command_line(child)}


def command_line(process: int) -> bytes:
    """Of a process; nothing when it has just ended."""
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    arguments = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    arguments += ["--dir", str(tmp_path_factory.mktemp("redis"))]
    with processes.started(arguments, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert any("Ready to accept connections" in line for line in process.stdout)
        yield f"redis://127.0.0.1:{port}/0"


@pytest.fixture(scope="module")
def server(bundles: Path, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    arguments = command(
        f"bundle={bundles / 'current'}",
        "port=0",
        "workers=2",
        "handlers=2",
        f"events.folder={tmp_path_factory.mktemp('events')}",
        "event_store=redis",
        f"event_store.url={redis_url}",
        "event_store.timeout_seconds=5.0",
        "metrics.port=0",
    )
    with processes.started(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        yield Server(process)


def test_the_line_at_start_says_how_many_there_are(server: Server) -> None:
    assert "2 workers of 2 handlers" in server.line
    assert server.line.count("/metrics") == 2
    assert len(server.workers()) == 2


def test_what_one_worker_records_all_see(server: Server, bundles: Path) -> None:
    clients = server.clients()
    known = clients[0].recall(query="anything", k=1).item_ids[0]
    clients[0].record_events([{"user_id": "new", "item_id": known}])
    answers = [client.recall(user_id="new", k=3) for client in clients]
    assert not any(answer.fallback_reason for answer in answers)
    assert len({tuple(answer.item_ids) for answer in answers}) == 1
    for client in clients:
        client.close()


def test_what_one_worker_changes_all_see(server: Server) -> None:
    clients = server.clients()
    clients[0].upsert_items([{"item_id": "put in", "text": "green tea"}])
    for client in clients:
        while "put in" not in client.recall(query="green tea", k=100).item_ids:
            assert server.process.poll() is None
    clients[0].delete_items(["put in"])
    for client in clients:
        while "put in" in client.recall(query="green tea", k=100).item_ids:
            assert server.process.poll() is None
        client.close()


def test_a_swap_is_everywhere_or_nowhere_and_a_rollback_too(server: Server, bundles: Path) -> None:
    with RetrievalClient(server.address) as client:
        victim = bundles / SECOND / "vectors.npy"
        sound = victim.read_bytes()
        victim.write_bytes(sound[:-1])
        with pytest.raises(RetrievalError, match="is still being served"):
            client.swap(SECOND)
        victim.write_bytes(sound)
        assert server.versions() == {server.version}
        assert client.swap(SECOND).bundle_version == SECOND
        assert server.versions() == {SECOND}
        wait_until(
            lambda: not any(server.version in line for worker in server.workers() for line in mapped(worker)),
            "a worker has the version before still in memory",
        )
        assert client.status().previous_version == server.version
        assert client.rollback().bundle_version == server.version
        assert server.versions() == {server.version}


def test_a_version_that_one_worker_cannot_load_stays_in_the_memory_of_none(server: Server) -> None:
    victim, other = server.workers()
    wait_until(lambda: not any(SECOND in line for line in mapped(other)), "left from the swap before")
    os.kill(victim, signal.SIGSTOP)
    try:
        with answering_client(server.address) as client, ThreadPoolExecutor(1) as pool:
            wish = pool.submit(client.swap, SECOND)
            wait_until(lambda: any(SECOND in line for line in mapped(other)), "the other one has not begun")
            os.kill(victim, signal.SIGKILL)
            assert "died" in str(wish.exception(timeout=60))
    finally:
        with suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
    wait_until(lambda: not any(SECOND in line for line in mapped(other)), "the version is still in memory")
    with RetrievalClient(server.address) as client:
        wait_until(lambda: swapped(client, SECOND), "nobody took the dead one's place")
        client.rollback()
    assert server.versions() == {server.version}


def answering_client(address: str) -> RetrievalClient:
    """A connection to a worker that answers, where another one does not."""
    while True:
        client = RetrievalClient(address, timeout=2, attempts=1)
        with suppress(RetrievalError):
            client.status()
            return client
        client.close()


def swapped(client: RetrievalClient, version: str) -> bool:
    """Ask for a version; false while a worker is being started."""
    try:
        return client.swap(version).bundle_version == version
    except RetrievalError:
        return False


def wait_until(true: Callable[[], bool], otherwise: str) -> None:
    """Within a minute."""
    within = time.monotonic() + 60
    while not true():
        assert time.monotonic() < within, otherwise
        time.sleep(0.2)  # each refusal is a line in a log that nobody reads meanwhile


def test_a_worker_that_dies_is_replaced_and_the_others_go_on(server: Server) -> None:
    before = server.workers()
    victim = min(before)
    os.kill(victim, signal.SIGKILL)
    assert server.versions() == {server.version}, "calls go on"
    while len(server.workers() - {victim}) < 2:
        assert server.process.poll() is None
    assert server.versions() == {server.version}


def test_a_second_server_on_the_port_is_refused(server: Server, bundles: Path, tmp_path: Path) -> None:
    port = server.address.rsplit(":", 1)[1]
    code, message, _ = refused(f"bundle={bundles / 'current'}", f"port={port}", f"events.folder={tmp_path}")
    assert (code, "address in use" in message) == (ExitCode.GATE_FAILED, True)


def test_sigterm_drains_all_of_them(server: Server) -> None:
    clients = server.clients()
    server.process.send_signal(signal.SIGTERM)
    assert all(client.recall(query="still here", k=1).item_ids for client in clients), "within the lame duck time"
    _, log = server.process.communicate(timeout=60)
    assert server.process.returncode == ExitCode.OK
    assert log.count("every call in flight was answered") == 2
    assert not server.workers()
