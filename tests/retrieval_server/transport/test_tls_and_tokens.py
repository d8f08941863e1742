"""TLS, mutual TLS, tokens and roles."""

import hashlib
import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from data_prep.command import UsageError
from retrieval_server import RetrievalClient, RetrievalError, Security
from retrieval_server.bundles.served_bundle import ServedBundle
from retrieval_server.config import ServeConfig, TlsConfig
from retrieval_server.transport.address import resolve
from retrieval_server.transport.server import RetrievalServer
from retrieval_server.transport.tls import server_credentials
from retrieval_server.transport.tokens import AccessTokens, Role
from tests.retrieval_server.certificates import Pair, authority, needs_openssl, signed
from tests.retrieval_server.shop import item

Open = Callable[..., AbstractContextManager[RetrievalServer]]

TOKENS = {"reader": "r-5f3a", "writer": "w-81bc", "admin": "a-99d0"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="module")
def ours(folder: Path) -> Pair:
    return authority(folder, "ours")


@pytest.fixture(scope="module")
def theirs(folder: Path) -> Pair:
    return authority(folder, "theirs")


@pytest.fixture(scope="module")
def server_pair(folder: Path, ours: Pair) -> Pair:
    return signed(folder, "server", ours, "IP:127.0.0.1")


@pytest.fixture
def open_server(config: ServeConfig, shop: ServedBundle, tmp_path: Path) -> Open:
    @contextmanager
    def opened(**changed: object) -> Iterator[RetrievalServer]:
        events = replace(config.events, folder=tmp_path / "events")
        server = RetrievalServer(replace(config, events=events, **changed))  # type: ignore[arg-type]
        server.grpc_server.start()
        server.slot.put(shop)
        server.health.serving()
        yield server
        server.stop(None)
        server.close()

    return opened


@pytest.fixture
def tokens_file(tmp_path: Path) -> Path:
    path = tmp_path / "tokens"
    lines = [f"{role} {hashlib.sha256(token.encode()).hexdigest()}  # {role}s" for role, token in TOKENS.items()]
    path.write_text("\n".join(["# who may what", "", *lines]))
    return path


def ask(server: RetrievalServer, security: Security) -> str:
    """The bundle's version, or the name of the status that was there instead."""
    with RetrievalClient(server.address, timeout=5, attempts=1, security=security) as client:
        try:
            return client.recall(history=[item(1)], k=3).bundle_version
        except RetrievalError as error:
            return error.code.name


@needs_openssl
def test_tls_answers_those_who_trust_the_authority_and_nobody_else(
    open_server: Open, shop: ServedBundle, server_pair: Pair, ours: Pair, theirs: Pair
) -> None:
    with open_server(tls=TlsConfig(server_pair.certificate, server_pair.key, None)) as server:
        assert ask(server, Security(authority=ours.certificate)) == shop.version
        assert ask(server, Security(authority=theirs.certificate)) == "UNAVAILABLE", "a wrong authority"
        assert ask(server, Security(tls=True)) == "UNAVAILABLE", "one that the system does not know"
        assert ask(server, Security()) == "UNAVAILABLE", "plain text"


@needs_openssl
def test_a_certificate_for_another_host_is_not_believed(open_server: Open, folder: Path, ours: Pair) -> None:
    elsewhere = signed(folder, "elsewhere", ours, "DNS:elsewhere.example")
    with open_server(tls=TlsConfig(elsewhere.certificate, elsewhere.key, None)) as server:
        assert ask(server, Security(authority=ours.certificate)) == "UNAVAILABLE"


@needs_openssl
def test_mutual_tls_answers_those_with_a_certificate_of_the_right_authority(
    open_server: Open, shop: ServedBundle, folder: Path, server_pair: Pair, ours: Pair, theirs: Pair
) -> None:
    right = signed(folder, "caller", ours, "DNS:caller")
    wrong = signed(folder, "stranger", theirs, "DNS:stranger")
    with open_server(tls=TlsConfig(server_pair.certificate, server_pair.key, ours.certificate)) as server:
        trusting = Security(authority=ours.certificate)
        assert ask(server, replace(trusting, certificate=right.certificate, key=right.key)) == shop.version
        assert ask(server, replace(trusting, certificate=wrong.certificate, key=wrong.key)) == "UNAVAILABLE"
        assert ask(server, trusting) == "UNAVAILABLE"


@needs_openssl
def test_certificates_that_cannot_be_used_are_refused_by_name(
    server_pair: Pair, ours: Pair, theirs: Pair, tmp_path: Path
) -> None:
    junk = tmp_path / "junk.pem"
    junk.write_text("no certificate")
    for tls, message in [
        (TlsConfig(tmp_path / "none", server_pair.key, None), r"tls\.certificate=.*No such file"),
        (TlsConfig(server_pair.certificate, theirs.key, None), r"tls\.key=.*its own key"),
        (TlsConfig(junk, server_pair.key, None), r"tls\.certificate=.*not a PEM certificate"),
        (TlsConfig(server_pair.certificate, server_pair.key, junk), r"tls\.client_ca=.*no PEM"),
        (TlsConfig(server_pair.certificate, None, None), r"tls\.certificate: .*both"),
        (TlsConfig(None, None, ours.certificate), r"tls\.client_ca: .*both"),
    ]:
        with pytest.raises(UsageError, match=message):
            server_credentials(tls)


@needs_openssl
def test_an_address_that_others_can_reach_is_served_with_tls(open_server: Open, server_pair: Pair) -> None:
    with pytest.raises(UsageError, match=r"tls\.certificate"):
        resolve("0.0.0.0", secure=False)
    with open_server(tls=TlsConfig(server_pair.certificate, server_pair.key, None), host="0.0.0.0") as server:
        assert server.address.startswith("0.0.0.0:")


def client_of(server: RetrievalServer, security: Security) -> RetrievalClient:
    return RetrievalClient(server.address.replace("0.0.0.0", "127.0.0.1"), attempts=1, security=security)


OPERATIONS = ("status", "swap", "rollback", "upsert", "delete")


def attempt(client: RetrievalClient, call: str) -> grpc.StatusCode:
    calls: dict[str, Callable[[], object]] = {
        "recall": lambda: client.recall(query="milk", k=3),
        "stream": lambda: list(client.recommend_many([{"query": "milk"}])),
        "record": lambda: client.record_events([{"user_id": "u", "item_id": "i"}]),
        "status": client.status,
        "swap": lambda: client.swap("../no"),
        "rollback": client.rollback,
        "upsert": lambda: client.upsert_items([]),
        "delete": lambda: client.delete_items([]),
        "health": client.is_serving,
    }
    try:
        calls[call]()
    except RetrievalError as error:
        return error.code
    return grpc.StatusCode.OK


@pytest.mark.parametrize(
    ("token", "allowed"),
    [
        (TOKENS["reader"], {"recall", "stream", "health"}),
        (TOKENS["writer"], {"recall", "stream", "health", "record"}),
        (TOKENS["admin"], {"recall", "stream", "health", "record", *OPERATIONS}),
        ("wrong", {"health"}),
        ("", {"health"}),
    ],
)
def test_a_token_may_what_its_role_may(open_server: Open, tokens_file: Path, token: str, allowed: set[str]) -> None:
    refusal = grpc.StatusCode.PERMISSION_DENIED if token in TOKENS.values() else grpc.StatusCode.UNAUTHENTICATED
    with open_server(tokens=tokens_file) as server, client_of(server, Security(token=token)) as client:
        for call in ("recall", "stream", "record", *OPERATIONS, "health"):
            code = attempt(client, call)
            assert (code is refusal) == (call not in allowed), (call, code)


@pytest.mark.parametrize(
    "headers",
    [
        [("authorization", TOKENS["admin"])],
        [("authorization", f"bearer {TOKENS['admin']}")],
        [("authorization", f"Bearer {TOKENS['admin']} ")],
        [("authorization", f"Bearer {TOKENS['admin'][:-1]}")],
        [("authorization", "Bearer " + hashlib.sha256(TOKENS["admin"].encode()).hexdigest())],
        [("authorization", f"Bearer {TOKENS['admin']}"), ("authorization", "Bearer x")],
    ],
)
def test_what_is_nearly_a_token_is_none(open_server: Open, tokens_file: Path, headers: list[tuple[str, str]]) -> None:
    with open_server(tokens=tokens_file) as server, grpc.insecure_channel(server.address) as channel:
        call = channel.unary_unary("/retrieval.v1.AdminService/Status")
        with pytest.raises(grpc.RpcError) as refused:
            call(b"", metadata=headers, timeout=10)
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_tokens_are_in_no_log_and_no_representation(
    open_server: Open, tokens_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with open_server(tokens=tokens_file) as server:
        for token in ("wrong-but-secret", TOKENS["reader"]):
            security = Security(token=token)
            with RetrievalClient(server.address, attempts=1, security=security) as client:
                for call in ("recall", "status"):
                    attempt(client, call)
            assert token not in repr(security)
            assert token not in caplog.text


def test_without_tokens_strangers_are_no_admins_and_this_machine_is(open_server: Open) -> None:
    with open_server() as server, RetrievalClient(server.address, attempts=1) as client:
        assert attempt(client, "status") is grpc.StatusCode.OK
    with open_server(host="0.0.0.0", allow_insecure=True) as server, client_of(server, Security()) as client:
        assert attempt(client, "record") is grpc.StatusCode.OK
        assert attempt(client, "status") is grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.parametrize(
    "content",
    ["", "# nobody\n", "king " + "0" * 64, "admin 123", "admin secret-in-the-open", "admin " + "0" * 64 + " x"],
)
def test_a_file_of_tokens_that_makes_no_sense_is_refused_without_quoting_it(tmp_path: Path, content: str) -> None:
    path = tmp_path / "tokens"
    path.write_text(content)
    with pytest.raises(UsageError, match=f"tokens={path}") as refused:
        AccessTokens.read(path)
    assert "secret" not in str(refused.value)


def test_a_role_is_told_by_the_header(tokens_file: Path) -> None:
    tokens = AccessTokens.read(tokens_file)
    assert [tokens.role(f"Bearer {token}") for token in TOKENS.values()] == [Role.READER, Role.WRITER, Role.ADMIN]
    assert tokens.role("") is None
