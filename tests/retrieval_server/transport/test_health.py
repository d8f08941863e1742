"""Health and reflection, and the server before it is ready."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import grpc
import pytest
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from retrieval_server import RetrievalClient, RetrievalError
from retrieval_server.bundles.served_bundle import ServedBundle
from retrieval_server.config import ServeConfig
from retrieval_server.transport.retrieval_service import SERVICE_NAME
from retrieval_server.transport.server import RetrievalServer
from tests.retrieval_server.shop import Gated


@pytest.mark.parametrize("service", ["", SERVICE_NAME])
def test_a_server_says_serving_only_once_it_is_ready(
    server_not_ready: RetrievalServer, shop: ServedBundle, service: str
) -> None:
    with RetrievalClient(server_not_ready.address) as client:
        assert not client.is_serving(service)
        server_not_ready.slot.put(shop)
        server_not_ready.health.serving()
        assert client.is_serving(service)


def test_calls_to_a_server_that_is_loading_are_unavailable(server_not_ready: RetrievalServer) -> None:
    with RetrievalClient(server_not_ready.address) as client, pytest.raises(RetrievalError, match="loading") as refused:
        client.recall(query="milk")
    assert refused.value.code is grpc.StatusCode.UNAVAILABLE


def test_a_client_can_wait_until_a_server_serves(server_not_ready: RetrievalServer, shop: ServedBundle) -> None:
    with RetrievalClient(server_not_ready.address) as client, ThreadPoolExecutor(1) as pool:
        with pytest.raises(RetrievalError) as late:
            client.wait_until_serving(0.2)
        assert late.value.code is grpc.StatusCode.DEADLINE_EXCEEDED
        waiting = pool.submit(client.wait_until_serving, 30)
        server_not_ready.slot.put(shop)
        server_not_ready.health.serving()
        waiting.result(30)


def test_an_unknown_service_is_not_found(client: RetrievalClient) -> None:
    with pytest.raises(RetrievalError) as refused:
        client.is_serving("retrieval.v1.Nothing")
    assert refused.value.code is grpc.StatusCode.NOT_FOUND


def test_watchers_of_one_service_hear_of_changes(server_not_ready: RetrievalServer) -> None:
    with grpc.insecure_channel(server_not_ready.address) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(HealthCheckRequest(service=SERVICE_NAME), timeout=30)
        assert next(watch).status == HealthCheckResponse.NOT_SERVING
        server_not_ready.health.serving()
        assert next(watch).status == HealthCheckResponse.SERVING
        server_not_ready.health.stopping()
        assert next(watch).status == HealthCheckResponse.NOT_SERVING
        watch.cancel()


def test_health_answers_while_every_worker_is_busy(gated: Gated) -> None:
    with RetrievalClient(gated.server.address) as client, ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(client.recall, query="milk") for _ in range(8)]
        gated.encoder.wait_until_busy()
        assert client.is_serving()
        gated.encoder.open()
        assert all(call.result(30).item_ids for call in calls)


def reflect(server: RetrievalServer, request: reflection_pb2.ServerReflectionRequest) -> list[str]:
    with grpc.insecure_channel(server.address) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        (answer,) = stub.ServerReflectionInfo(iter([request]), timeout=30)
    return [service.name for service in answer.list_services_response.service]


def test_reflection_lists_every_service(server: RetrievalServer) -> None:
    services = reflect(server, reflection_pb2.ServerReflectionRequest(list_services=""))
    assert {SERVICE_NAME, "grpc.health.v1.Health"} <= set(services)


def test_reflection_can_be_turned_off(config: ServeConfig) -> None:
    server = RetrievalServer(replace(config, reflection=False))
    server.grpc_server.start()
    with pytest.raises(grpc.RpcError) as refused:
        reflect(server, reflection_pb2.ServerReflectionRequest(list_services=""))
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
    server.stop(None)
    server.close()
