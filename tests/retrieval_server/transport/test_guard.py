"""A bug of ours: the caller gets an id, the log gets the story, the server goes on."""

import logging
from collections.abc import Sequence
from dataclasses import replace

import grpc
import numpy as np
import pytest
from numpy.typing import NDArray

from retrieval_server import RetrievalClient, RetrievalError
from retrieval_server.bundles.served_bundle import ServedBundle
from retrieval_server.runtime.escaping import OneLine, escape
from tests.retrieval_server.shop import MAX_HISTORY, ServerFor, item
from towers import History

SECRET = "password=hunter2\nERROR a forged line"


class Broken:
    """An encoder with a bug that shows only for histories."""

    max_history = MAX_HISTORY

    def __init__(self, whole: ServedBundle) -> None:
        self.whole = whole.user_encoder

    def encode(self, histories: Sequence[History], queries: Sequence[str]) -> NDArray[np.float32]:
        if len(histories[0].rows):
            raise RuntimeError(SECRET)
        return self.whole.encode(histories, queries)


@pytest.mark.parametrize("call", ["recall", "recommend"])
def test_a_bug_is_internal_with_an_error_id_and_its_text_stays_in_the_log(
    server_for: ServerFor, shop: ServedBundle, caplog: pytest.LogCaptureFixture, call: str
) -> None:
    bundle = replace(shop, user_encoder=Broken(shop))
    with server_for(bundle) as server, RetrievalClient(server.address) as client:
        with pytest.raises(RetrievalError) as failed:
            getattr(client, call)(history=[item(1)])
        assert client.recall(query="milk").item_ids, "the server goes on"
    assert failed.value.code is grpc.StatusCode.INTERNAL
    assert "hunter2" not in str(failed.value)
    assert len(failed.value.error_id) == 32
    assert failed.value.error_id in str(failed.value)
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    line = OneLine("%(message)s").format(record)
    assert failed.value.error_id in line
    assert SECRET.replace("\n", "\\n") in line
    assert len(line.splitlines()) == 1


def test_escaping_leaves_letters_of_all_scripts_and_shows_what_would_move_the_cursor() -> None:
    assert escape("חלב 牛奶 🥛 naïve") == "חלב 牛奶 🥛 naïve"
    assert escape("a\r\nb\x00\x1b[2J\u202ec\u2028\x85") == "a\\r\\nb\\x00\\x1b[2J\\u202ec\\u2028\\x85"
