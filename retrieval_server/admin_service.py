"""`retrieval.v1.AdminService`: what an operator asks of a running server."""

import time

import grpc

from retrieval_server.retrieval.v1 import admin_pb2
from retrieval_server.retrieval.v1.admin_pb2 import (
    RollbackRequest,
    StatusRequest,
    StatusResponse,
    SwapRequest,
    SwapResponse,
)
from retrieval_server.retrieval.v1.admin_pb2_grpc import AdminServiceServicer
from retrieval_server.served_bundle import BundleSlot
from retrieval_server.swapping import Swapped, Swapping

ADMIN_NAME: str = admin_pb2.DESCRIPTOR.services_by_name["AdminService"].full_name


class AdminService(AdminServiceServicer):
    """Answers operators.

    Args:
        slot: holds what is being served.
        swapper: puts something else there.
        skipped: damaged lines of the event log that the start skipped.
    """

    def __init__(self, slot: BundleSlot, swapper: Swapping, skipped: int) -> None:
        self._slot = slot
        self._skipped = skipped
        self._swapper = swapper
        self._started = time.monotonic()

    def Status(self, request: StatusRequest, context: grpc.ServicerContext) -> StatusResponse:
        """What is being served."""
        bundle = self._slot.peek()
        return StatusResponse(
            bundle_version=bundle.version if bundle else "",
            previous_version=self._swapper.previous,
            items=len(bundle.item_ids) if bundle else 0,
            reranker=bundle is not None and bundle.reranker is not None,
            uptime_seconds=time.monotonic() - self._started,
            swaps=self._swapper.swaps,
            skipped_event_lines=self._skipped,
        )

    def Swap(self, request: SwapRequest, context: grpc.ServicerContext) -> SwapResponse:
        """Serve another version."""
        return _answer(self._swapper.swap(request.version))

    def Rollback(self, request: RollbackRequest, context: grpc.ServicerContext) -> SwapResponse:
        """Serve the version before the last swap."""
        return _answer(self._swapper.rollback())


def _answer(swapped: Swapped) -> SwapResponse:
    return SwapResponse(bundle_version=swapped.version, previous_version=swapped.previous, seconds=swapped.seconds)
