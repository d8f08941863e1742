"""One server's life, from loading to draining, with signals that come when the test says so."""

import re
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from data_prep.command import ExitCode, UsageError
from retrieval_server import RetrievalClient, RetrievalError
from retrieval_server.config import ServeConfig
from retrieval_server.process.lifecycle import StopSignals
from retrieval_server.process.serve import serve


class Scripted(StopSignals):
    """Does what the test wants done while the server serves, then gives a signal."""

    def __init__(self, act: Callable[[], None], number: signal.Signals) -> None:
        super().__init__()
        self._act = act
        self._number = number

    def wait(self) -> signal.Signals:
        self._act()
        return self._number


@pytest.fixture
def installed() -> Iterator[StopSignals]:
    """The handlers of this very process, for the length of a test."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    stop = StopSignals()
    stop.install()
    yield stop
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, ExitCode.OK), (signal.SIGINT, ExitCode.INTERRUPTED)])
def test_a_server_serves_until_a_signal_which_decides_the_exit_code(
    config: ServeConfig,
    tiny_bundle: Path,
    capsys: pytest.CaptureFixture[str],
    number: signal.Signals,
    code: ExitCode,
) -> None:
    addresses: list[str] = []

    def ask() -> None:
        addresses.extend(re.findall(r"127\.0\.0\.1:\d+", capsys.readouterr().out))
        with RetrievalClient(addresses[0]) as client:
            assert client.is_serving()
            assert client.recall(query="anything", k=1).item_ids

    assert serve(replace(config, bundle=tiny_bundle), Scripted(ask, number)) is code
    with RetrievalClient(addresses[0]) as client, pytest.raises(RetrievalError, match="UNAVAILABLE"):
        client.is_serving()


def test_a_bundle_with_one_bit_flipped_is_refused(config: ServeConfig, tiny_bundle: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(tiny_bundle, damaged)
    vectors = damaged / "vectors.npy"
    content = bytearray(vectors.read_bytes())
    content[-1] ^= 1
    vectors.write_bytes(content)
    with pytest.raises(UsageError, match=str(vectors)):
        serve(replace(config, bundle=damaged), StopSignals())


def test_a_signal_that_comes_before_the_wait_is_not_lost(installed: StopSignals) -> None:
    installed.defer()
    signal.raise_signal(signal.SIGTERM)
    assert installed.wait() is signal.SIGTERM


@pytest.mark.parametrize(("number", "raised"), [(signal.SIGTERM, SystemExit), (signal.SIGINT, KeyboardInterrupt)])
def test_a_signal_while_nobody_is_served_ends_the_loading(
    installed: StopSignals, number: signal.Signals, raised: type[BaseException]
) -> None:
    with pytest.raises(raised):
        signal.raise_signal(number)
