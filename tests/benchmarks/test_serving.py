"""The load generator: every call is made and counted, whatever becomes of it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import torch

from benchmarks.serving import ceilings
from benchmarks.serving.load import LoadSample, closed_loop, open_loop
from towers import CrossEncoder, InputTemplate
from towers.ranking.cross_encoder import small_backbone


@dataclass
class Picky(grpc.GenericRpcHandler):
    """Echoes, and refuses every third call."""

    seen: list[bytes] = field(default_factory=list)

    def service(self, handler_call_details: Any) -> Any:
        def answer(request: bytes, context: grpc.ServicerContext) -> bytes:
            self.seen.append(request)
            if len(self.seen) % 3 == 0:
                context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "enough")
            return request

        return grpc.unary_unary_rpc_method_handler(answer)


@pytest.fixture
def picky() -> Picky:
    return Picky()


@pytest.fixture
def address(picky: Picky) -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(1), handlers=[picky])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None)


def test_an_open_loop_makes_the_calls_of_its_rate_and_counts_what_became_of_them(picky: Picky, address: str) -> None:
    sample = open_loop(address, "Recall", [b"a", b"b"], rate=1000, seconds=0.06, keep=True)
    assert len(picky.seen) == 1 + 60, "one to connect with"
    assert sample.codes == {"OK": 40, "RESOURCE_EXHAUSTED": 20}
    assert (len(sample.latencies), len(sample.refusals), len(sample.answers)) == (40, 20, 40)
    assert set(sample.answers) <= {b"a", b"b"}
    assert sample.goodput == pytest.approx(40 / sample.seconds)


def test_a_closed_loop_shares_its_calls_among_its_callers(picky: Picky, address: str) -> None:
    begun: list[int] = []
    sample = closed_loop(address, "Recall", [b"a", b"b", b"c", b"d"], callers=2, calls=30, between=begun.append)
    assert begun == list(range(15))
    assert sample.codes == {"OK": 20, "RESOURCE_EXHAUSTED": 10}
    assert {message: picky.seen.count(message) for message in (b"a", b"b", b"c", b"d")} == {
        b"a": 8,
        b"b": 8,
        b"c": 7,
        b"d": 7,
    }


def test_percentiles_are_of_the_answered_calls_in_milliseconds() -> None:
    sample = LoadSample(10.0, seconds=2.0, latencies=[0.001, 0.002, 0.003, 0.004, 0.005], refusals=[0.5])
    assert sample.percentile(50) == pytest.approx(3)
    assert sample.refused_percentile(50) == pytest.approx(500)
    assert sample.goodput == 2.5


def test_the_raw_reading_gives_what_the_server_reads_without_its_memory(
    tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone, tokenizer = small_backbone(tiny_encoder.parent / "bert", layers=1, width=32)
    model = CrossEncoder(backbone, tokenizer, 24, InputTemplate(None, 3, event_types=False), recall_weight=0.5).eval()
    torch.nn.init.normal_(model.head.weight)
    texts, recalled = [f"{'rye ' * (n % 5)}bread {n}" for n in range(70)], np.linspace(1, -1, 70, dtype=np.float32)
    expected = model.score("green tea", texts, recalled)
    monkeypatch.setattr(model, "_pairs", object())  # of no use to anybody
    np.testing.assert_array_equal(ceilings._read(model, "green tea", texts, recalled), expected)
