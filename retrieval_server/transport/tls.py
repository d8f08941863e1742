"""TLS of a server: its certificate, and for mutual TLS the authority of its callers' certificates."""

import ssl
from pathlib import Path

import grpc

from data_prep.errors import UsageError
from retrieval_server.config import TlsConfig


def server_credentials(tls: TlsConfig) -> grpc.ServerCredentials | None:
    """Credentials of a server that speaks TLS, None for one in plain text.

    Raises:
        UsageError: a file is missing or no PEM, key and certificate do not belong together, or one is given alone.
    """
    if tls.certificate is None or tls.key is None:
        for name in ("certificate", "key", "client_ca"):
            if getattr(tls, name) is not None:
                raise UsageError(f"tls.{name}: TLS needs both tls.certificate and tls.key")
        return None
    certificate, key = _read("certificate", tls.certificate), _read("key", tls.key)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(tls.certificate, tls.key)
    except (ssl.SSLError, ValueError) as error:
        raise UsageError(
            f"tls.certificate={tls.certificate}, tls.key={tls.key}: not a PEM certificate and its own key ({error})"
        ) from error
    if tls.client_ca is None:
        return grpc.ssl_server_credentials([(key, certificate)])
    authority = _read("client_ca", tls.client_ca)
    try:
        context.load_verify_locations(tls.client_ca)
    except ssl.SSLError as error:
        raise UsageError(f"tls.client_ca={tls.client_ca}: no PEM certificate ({error})") from error
    return grpc.ssl_server_credentials([(key, certificate)], authority, require_client_auth=True)


def _read(name: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"tls.{name}={path}: {error.strerror}") from error
