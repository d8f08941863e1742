"""The address a server listens on: resolved, permitted, free, bound."""

import errno
import ipaddress
import os
import socket

import grpc

from data_prep.errors import GateFailed, UsageError


def resolve(host: str, secure: bool) -> str:
    """The first address of a host. (gRPC would take all of them, and be content if it gets any one.)

    Args:
        host: an address or a name.
        secure: whether an address that other machines can reach will do.

    Raises:
        UsageError: there is none, or other machines can reach it and that will not do.
    """
    try:
        addresses = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise UsageError(f"host={host}: cannot be resolved ({error}); give an address") from error
    address = str(addresses[0][4][0])
    if not (secure or is_loopback(address)):
        raise UsageError(
            f"host={host}: other machines can reach it and calls are neither encrypted nor authenticated; set "
            "tls.certificate and tls.key, listen on 127.0.0.1 behind a proxy, or set allow_insecure=true"
        )
    return address


def is_loopback(address: str) -> bool:
    """Whether only this machine can reach an address."""
    return ipaddress.ip_address(address).is_loopback


def require_free(address: str, port: int) -> None:
    """Find out early, and without holding on to it, whether an address can be listened on.

    Raises:
        GateFailed: it cannot; the message says why.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As gRPC does it: connections of an earlier server that are still winding down are no hindrance.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            reason = "address in use" if error.errno == errno.EADDRINUSE else os.strerror(error.errno or 0)
            raise GateFailed(f"{reason}: {_shown(address, port)}; set another port or host") from error


def listen(server: grpc.Server, address: str, port: int, credentials: grpc.ServerCredentials | None) -> str:
    """Bind a server to an address and a port, 0 for a free one; gives `address:port`.

    Args:
        server: the server.
        address: as `resolve` gave it.
        port: the port.
        credentials: for TLS, None for plain text.

    Raises:
        GateFailed: it cannot be had; the message says why.
    """
    try:
        shown = _shown(address, port)
        bound = server.add_secure_port(shown, credentials) if credentials else server.add_insecure_port(shown)
    except RuntimeError as error:
        require_free(address, port)  # gRPC keeps the reason to itself
        raise GateFailed(f"{_shown(address, port)} was in use a moment ago; try again") from error
    return _shown(address, bound)


def _shown(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
