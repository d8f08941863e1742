"""A gRPC server put together: services, interceptors, limits, and the one address it listens on."""

from concurrent.futures import ThreadPoolExecutor

import grpc

from retrieval_server.address import listen, resolve
from retrieval_server.config import ServeConfig
from retrieval_server.guard import Guard
from retrieval_server.retrieval.v1.retrieval_pb2_grpc import add_RetrievalServiceServicer_to_server
from retrieval_server.served_bundle import BundleSlot
from retrieval_server.service import SERVICE_NAME, RetrievalService
from retrieval_server.side_services import Health, SideServices, add_reflection
from retrieval_server.threads import limit_threads


class RetrievalServer:
    """A server that listens from the start and answers once a bundle is in its slot.

    Args:
        config: where to listen, and the limits.

    Attributes:
        address: where it listens, `host:port`.
        slot: where its requests take their bundle from.
        health: what it says about itself; NOT_SERVING until told otherwise.
        side: health and reflection.
        grpc_server: the transport.

    Raises:
        UsageError: the host cannot be resolved, or other machines can reach it and `allow_insecure` is not set.
        GateFailed: the address cannot be had, because it is in use or not this machine's.
    """

    def __init__(self, config: ServeConfig) -> None:
        host = resolve(config.host, config.allow_insecure)
        self.slot = BundleSlot()
        self.health = Health(SERVICE_NAME)
        self.side = SideServices(SERVICE_NAME)
        self.grpc_server = grpc.server(
            ThreadPoolExecutor(
                config.workers,
                thread_name_prefix="worker",
                initializer=limit_threads,
                initargs=(config.threads,),
            ),
            interceptors=[self.side, Guard(SERVICE_NAME)],
            maximum_concurrent_rpcs=config.max_concurrent_calls,
            options=[
                ("grpc.so_reuseport", 0),  # else a second server binds the same port and takes half the calls
                ("grpc.max_receive_message_length", config.max_message_bytes),
            ],
        )
        service = RetrievalService(self.slot, config.limits, config.rerank_candidates)
        add_RetrievalServiceServicer_to_server(service, self.grpc_server)
        self.health.add_to(self.grpc_server)
        if config.reflection:
            add_reflection(self.grpc_server, SERVICE_NAME, "grpc.health.v1.Health")
        self.address = listen(self.grpc_server, host, config.port)
