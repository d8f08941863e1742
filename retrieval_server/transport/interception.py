"""Names for the types of a server interceptor, one of which is generic to the type checker and not to Python."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import grpc

if TYPE_CHECKING:
    Handler: TypeAlias = grpc.RpcMethodHandler[Any, Any]
else:
    Handler = grpc.RpcMethodHandler

Find: TypeAlias = Callable[[grpc.HandlerCallDetails], Handler | None]
