"""`retrieval.v1.AdminService`: the calls of an operator."""

import time

import grpc

from index import UnfitItems
from retrieval_server.api.limits import Limits
from retrieval_server.api.validation import check_delete, check_upsert
from retrieval_server.bundles.item_columns import columns_of, refused
from retrieval_server.bundles.live_items import LiveItems
from retrieval_server.bundles.served_bundle import BundleSlot
from retrieval_server.bundles.swapping import SwapControl, SwapResult
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
        slot: holds the bundle that is being served.
        swaps: puts another one there.
        items: changes the items of the one that is there.
        skipped: damaged lines of the event log that the start skipped.
        limits: of a request.
    """

    def __init__(self, slot: BundleSlot, swaps: SwapControl, items: LiveItems, skipped: int, limits: Limits) -> None:
        self._slot = slot
        self._items = items
        self._limits = limits
        self._skipped = skipped
        self._swaps = swaps
        self._started = time.monotonic()

    def Status(self, request: StatusRequest, context: grpc.ServicerContext) -> StatusResponse:
        """The version that is being served."""
        bundle = self._slot.peek()
        live = bundle.live if bundle else None
        return StatusResponse(
            bundle_version=bundle.version if bundle else "",
            previous_version=self._swaps.previous,
            items=len(bundle.row_of) if bundle else 0,
            reranker=bundle is not None and bundle.cross_encoder is not None,
            uptime_seconds=time.monotonic() - self._started,
            swaps=self._swaps.count,
            skipped_event_lines=self._skipped,
            skipped_change_lines=live.damaged if live else 0,
            refused_changes=live.refused if live else 0,
        )

    def Swap(self, request: SwapRequest, context: grpc.ServicerContext) -> SwapResponse:
        """Serve another version."""
        return _answer(self._swaps.swap(request.version))

    def Rollback(self, request: RollbackRequest, context: grpc.ServicerContext) -> SwapResponse:
        """Serve the version before the last swap."""
        return _answer(self._swaps.rollback())

    def UpsertItems(self, request: UpsertItemsRequest, context: grpc.ServicerContext) -> UpsertItemsResponse:
        """Items put in."""
        check_upsert(request, self._limits)
        try:
            applied = self._items.upsert([columns_of(item) for item in request.items])
        except UnfitItems as unfit:
            raise refused(unfit) from unfit
        return UpsertItemsResponse(applied_count=applied.count, bundle_version=applied.version)

    def DeleteItems(self, request: DeleteItemsRequest, context: grpc.ServicerContext) -> DeleteItemsResponse:
        """Items taken out."""
        check_delete(request, self._limits)
        applied = self._items.delete(list(request.item_ids))
        return DeleteItemsResponse(
            applied_count=applied.count, bundle_version=applied.version, unknown_item_ids=applied.unknown
        )


def _answer(result: SwapResult) -> SwapResponse:
    return SwapResponse(bundle_version=result.version, previous_version=result.previous, seconds=result.seconds)
