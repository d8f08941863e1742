"""`retrieval.v1.AdminService`: what an operator asks of a running server."""

import time

import grpc

from index import UnfitItems
from retrieval_server.bundles.live_items import LiveItems
from retrieval_server.bundles.served_bundle import BundleSlot
from retrieval_server.bundles.swapping import Swapped, Swapping
from retrieval_server.config import Limits
from retrieval_server.pipeline.item_changes import check_delete, check_upsert, refused
from retrieval_server.retrieval.v1 import admin_pb2
from retrieval_server.retrieval.v1.admin_pb2 import (
    DeleteItemsRequest,
    DeleteItemsResponse,
    RollbackRequest,
    StatusRequest,
    StatusResponse,
    SwapRequest,
    SwapResponse,
    UpsertItemsRequest,
    UpsertItemsResponse,
)
from retrieval_server.retrieval.v1.admin_pb2_grpc import AdminServiceServicer

ADMIN_NAME: str = admin_pb2.DESCRIPTOR.services_by_name["AdminService"].full_name


class AdminService(AdminServiceServicer):
    """Answers operators.

    Args:
        slot: holds what is being served.
        swapper: puts something else there.
        items: changes the items of what is there.
        skipped: damaged lines of the event log that the start skipped.
        limits: of what one request may change.
    """

    def __init__(self, slot: BundleSlot, swapper: Swapping, items: LiveItems, skipped: int, limits: Limits) -> None:
        self._slot = slot
        self._items = items
        self._limits = limits
        self._skipped = skipped
        self._swapper = swapper
        self._started = time.monotonic()

    def Status(self, request: StatusRequest, context: grpc.ServicerContext) -> StatusResponse:
        """What is being served."""
        bundle = self._slot.peek()
        live = bundle.live if bundle else None
        return StatusResponse(
            bundle_version=bundle.version if bundle else "",
            previous_version=self._swapper.previous,
            items=len(bundle.row_of) if bundle else 0,
            reranker=bundle is not None and bundle.cross_encoder is not None,
            uptime_seconds=time.monotonic() - self._started,
            swaps=self._swapper.swaps,
            skipped_event_lines=self._skipped,
            skipped_change_lines=live.damaged if live else 0,
            refused_changes=live.refused if live else 0,
        )

    def Swap(self, request: SwapRequest, context: grpc.ServicerContext) -> SwapResponse:
        """Serve another version."""
        return _answer(self._swapper.swap(request.version))

    def Rollback(self, request: RollbackRequest, context: grpc.ServicerContext) -> SwapResponse:
        """Serve the version before the last swap."""
        return _answer(self._swapper.rollback())

    def UpsertItems(self, request: UpsertItemsRequest, context: grpc.ServicerContext) -> UpsertItemsResponse:
        """Items put in."""
        items = check_upsert(request, self._limits)
        try:
            applied = self._items.upsert(items)
        except UnfitItems as unfit:
            raise refused(unfit) from unfit
        return UpsertItemsResponse(applied_count=applied.count, bundle_version=applied.version)

    def DeleteItems(self, request: DeleteItemsRequest, context: grpc.ServicerContext) -> DeleteItemsResponse:
        """Items taken out."""
        applied = self._items.delete(check_delete(request, self._limits))
        return DeleteItemsResponse(
            applied_count=applied.count, bundle_version=applied.version, unknown_item_ids=applied.unknown
        )


def _answer(swapped: Swapped) -> SwapResponse:
    return SwapResponse(bundle_version=swapped.version, previous_version=swapped.previous, seconds=swapped.seconds)
