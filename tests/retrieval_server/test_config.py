"""The configuration: what the YAML says, and what is refused although its type is right."""

from dataclasses import replace

import pytest

from data_prep.command import GateFailed, UsageError, load_config
from retrieval_server import RetrievalClient
from retrieval_server.bundles.served_bundle import ServedBundle
from retrieval_server.config import ServeConfig, require_sound
from retrieval_server.transport.address import resolve
from retrieval_server.transport.server import RetrievalServer


def test_the_configuration_that_is_shipped_is_sound() -> None:
    require_sound(load_config(ServeConfig, "serve", []))


@pytest.mark.parametrize(
    "override",
    [
        "port=70000",
        "port=-1",
        "workers=0",
        "handlers=0",
        "threads=0",
        "max_concurrent_calls=0",
        "max_message_bytes=0",
        "lame_duck_seconds=99.0",
        "lame_duck_seconds=-1.0",
        "rerank.candidates=0",
        "rerank.candidates=201",
        "limits.k=0",
        "limits.history=0",
        "limits.candidates=0",
        "limits.query_bytes=-5",
        "limits.id_bytes=0",
        "admission.degrade_at=0.0",
        "admission.degrade_at=9.0",
        "budget_ms=0",
        "events.sync_seconds=-1.0",
    ],
)
def test_a_senseless_value_is_refused_by_name(override: str) -> None:
    key, _, value = override.partition("=")
    with pytest.raises(UsageError, match=f"^{key} must be .*{float(value):g}"):
        require_sound(load_config(ServeConfig, "serve", [override]))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "8.8.8.8"])
def test_an_address_that_others_can_reach_has_to_be_allowed(host: str) -> None:
    with pytest.raises(UsageError, match="allow_insecure=true"):
        resolve(host, secure=False)
    assert resolve(host, secure=True) == host


def test_a_host_that_does_not_exist_is_refused() -> None:
    with pytest.raises(UsageError, match=r"host=no\.such\.host\.invalid"):
        resolve("no.such.host.invalid", secure=False)


def test_localhost_is_this_machine() -> None:
    assert resolve("localhost", secure=False) in ("127.0.0.1", "::1")


def test_every_interface_is_served_when_allowed(config: ServeConfig, shop: ServedBundle) -> None:
    server = RetrievalServer(replace(config, host="0.0.0.0", allow_insecure=True))
    server.grpc_server.start()
    server.slot.put(shop)
    with RetrievalClient(server.address.replace("0.0.0.0", "127.0.0.1")) as client:
        assert client.recall(query="milk").item_ids
    server.stop(None)
    server.close()


def test_an_address_that_is_not_this_machines_is_refused_with_the_reason(config: ServeConfig) -> None:
    with pytest.raises(GateFailed, match=r"Cannot assign requested address: 8\.8\.8\.8:0"):
        RetrievalServer(replace(config, host="8.8.8.8", allow_insecure=True))


def test_an_address_in_use_is_refused(config: ServeConfig, server: RetrievalServer) -> None:
    port = int(server.address.rsplit(":", 1)[1])
    with pytest.raises(GateFailed, match=f"address in use: 127.0.0.1:{port}"):
        RetrievalServer(replace(config, port=port))
