"""The error of a call, as a Python exception."""

from typing import Any, cast

import grpc
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RequestInfo
from google.rpc.status_pb2 import Status

DETAILS = "grpc-status-details-bin"
"""Where in the trailing metadata google.rpc.Status travels."""

_CODES = {code.value[0]: code for code in grpc.StatusCode}


class RetrievalError(Exception):
    """A call that was not answered.

    Args:
        code: the status.
        message: of the error.
        details: google.rpc details, packed.

    Attributes:
        code: the status.
        fields: violations of the request's fields, by field path ("" for the whole).
        reason: distinguishes errors of one status, "" when the server did not get to say.
        error_id: where to look in the server's log, "" unless the fault is the server's.
    """

    def __init__(self, code: grpc.StatusCode, message: str, details: Any = ()) -> None:
        super().__init__(f"{code.name}: {message}")
        self.code = code
        self.fields: dict[str, str] = {}
        self.reason = ""
        self.error_id = ""
        for detail in details:
            bad_request, request_info, info = BadRequest(), RequestInfo(), ErrorInfo()
            if detail.Unpack(bad_request):
                self.fields = {v.field: v.description for v in bad_request.field_violations}
            elif detail.Unpack(request_info):
                self.error_id = request_info.request_id
            elif detail.Unpack(info):
                self.reason = info.reason

    @classmethod
    def of(cls, error: grpc.RpcError) -> "RetrievalError":
        """The error of a call that failed, sync or async."""
        call = cast(Any, error)  # what a stub raises is the call as well, though its type does not say so
        for key, value in call.trailing_metadata() or ():
            if key == DETAILS:
                return cls(call.code(), call.details(), Status.FromString(value).details)
        return cls(call.code(), call.details() or "")

    @classmethod
    def in_stream(cls, status: Status) -> "RetrievalError":
        """The error that stands in an answer's place."""
        return cls(_CODES[status.code], status.message, status.details)
