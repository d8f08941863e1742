"""Calls on a clock, and calls as fast as they are answered."""

import gc
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any

import grpc
import numpy as np

PATIENCE = 30.0
"""Seconds after which a call that is not answered counts as lost."""


@dataclass
class LoadSample:
    """Latencies and codes of some calls.

    Attributes:
        offered: calls a second that were made.
        seconds: from the first call to the last answer.
        latencies: seconds from when a call was due to its answer, of those that were answered.
        refusals: the same of those that were refused.
        codes: how many ended in each status.
        answers: the answers, if they were kept.
    """

    offered: float
    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    refusals: list[float] = field(default_factory=list)
    codes: Counter[str] = field(default_factory=Counter)
    answers: list[bytes] = field(default_factory=list)

    @property
    def goodput(self) -> float:
        """Answers a second."""
        return len(self.latencies) / self.seconds

    def percentile(self, percent: float) -> float:
        """Of the answered calls, in milliseconds."""
        return float(np.percentile(self.latencies, percent)) * 1000 if self.latencies else float("nan")

    def refused_percentile(self, percent: float) -> float:
        """Of the refused calls, in milliseconds."""
        return float(np.percentile(self.refusals, percent)) * 1000 if self.refusals else float("nan")


@contextmanager
def uncollected() -> Iterator[None]:
    """Keep the garbage collector out of a measurement: over all that is imported here it takes a quarter of a second,
    in which no call is made and no answer taken, and then all at once."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def method(channel: grpc.Channel, name: str) -> Any:
    """A call that sends and gets bytes: packing and parsing are not the server's."""
    return channel.unary_unary(f"/retrieval.v1.RetrievalService/{name}")


def open_loop(
    address: str, name: str, messages: Sequence[bytes], rate: float, seconds: float, seed: int = 0, keep: bool = False
) -> LoadSample:
    """Make calls at random moments, as many callers who know nothing of each other do, whether or not answers come.

    A call is late from the moment it was due, not from when this process got to it.

    Args:
        address: of the server.
        name: of the call.
        messages: to be sent in turn.
        rate: calls a second.
        seconds: for how long.
        seed: of the moments.
        keep: whether to keep the answers.
    """
    due = np.cumsum(np.random.default_rng(seed).exponential(1 / rate, max(1, int(rate * seconds))))
    ended: SimpleQueue[tuple[float, Any]] = SimpleQueue()
    sample = LoadSample(rate)
    with grpc.insecure_channel(address) as channel, uncollected():
        call = method(channel, name)
        call(messages[0], timeout=PATIENCE)
        started = time.monotonic()
        for number, moment in enumerate(due):
            pause = started + moment - time.monotonic()
            if pause > 0:
                time.sleep(pause)
            future = call.future(messages[number % len(messages)], timeout=PATIENCE)
            future.add_done_callback(lambda done, at=started + moment: ended.put((time.monotonic() - at, done)))
        for _ in due:
            latency, done = ended.get()
            code = done.code()
            sample.codes[code.name] += 1
            (sample.latencies if code is grpc.StatusCode.OK else sample.refusals).append(latency)
            if keep and code is grpc.StatusCode.OK:
                sample.answers.append(done.result())
        sample.seconds = time.monotonic() - started
    return sample


def closed_loop(
    address: str,
    name: str,
    messages: Sequence[bytes],
    callers: int,
    calls: int,
    between: Callable[[int], None] = lambda number: None,
    keep: bool = False,
) -> LoadSample:
    """Make calls as fast as some callers are answered.

    Args:
        address: of the server.
        name: of the call.
        messages: to be sent in turn.
        callers: who ask one after another.
        calls: how many in all.
        between: done before each call of the first caller, with the number of calls it made.
        keep: whether to keep the answers.
    """
    sample = LoadSample(float("inf"))

    def ask(caller: int) -> list[tuple[float, str]]:
        answered = []
        with grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
            call = method(channel, name)
            for number in range(calls // callers):
                if caller == 0:
                    between(number)
                began = time.monotonic()
                try:
                    answer = call(messages[(number * callers + caller) % len(messages)], timeout=PATIENCE)
                    if keep:
                        sample.answers.append(answer)
                    code = "OK"
                except grpc.RpcError as error:
                    code = error.code().name
                answered.append((time.monotonic() - began, code))
        return answered

    started = time.monotonic()
    with ThreadPoolExecutor(callers) as pool, uncollected():
        for answered in pool.map(ask, range(callers)):
            for latency, code in answered:
                sample.codes[code] += 1
                (sample.latencies if code == "OK" else sample.refusals).append(latency)
    sample.seconds = time.monotonic() - started
    return sample
