"""`python -m benchmarks.serving.echo BYTES`: a bare gRPC server, as fast as Python's gRPC goes with such answers."""

import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc


class Echo(grpc.GenericRpcHandler):
    """Answers every call with the same bytes, read and written as bytes."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    def service(self, handler_call_details: Any) -> Any:
        """One handler for whatever is called."""
        return grpc.unary_unary_rpc_method_handler(lambda request, context: self._answer)


if __name__ == "__main__":
    server = grpc.server(ThreadPoolExecutor(4), handlers=[Echo(bytes(int(sys.argv[1])))])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(f"echo on 127.0.0.1:{port},", flush=True)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    server.stop(None)
