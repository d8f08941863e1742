"""Servers over the small shop, reached through real gRPC on a free port."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import grpc
import numpy as np
import pytest

from data_prep.command import load_config
from index import Manifest
from index.search.filters import Attributes
from retrieval_server import RetrievalClient
from retrieval_server.api.limits import Limits
from retrieval_server.bundles.served_bundle import ServedBundle
from retrieval_server.config import ServeConfig
from retrieval_server.transport.server import RetrievalServer
from tests.retrieval_server.shop import (
    DIM,
    ITEMS,
    SECOND,
    ExactSearch,
    Gated,
    GatedEncoder,
    MeanEncoder,
    PlainCrossEncoder,
    ServerFor,
    attributes,
    item,
)
from towers import History


@pytest.fixture(scope="session")
def shop() -> ServedBundle:
    vectors = np.random.default_rng(7).standard_normal((ITEMS, DIM)).astype(np.float32)
    stored = History(rows=np.array([3, 4]), events=["view", "cart"], timestamps=np.array([1.0, 2.0]))
    row_of = {item(row): row for row in range(ITEMS)}
    return ServedBundle(
        version="20261122T141500-3f2a91bc",
        exclude_seen=True,
        row_of=row_of,
        item_ids=np.array([item(row) for row in range(ITEMS)], object),
        titles=np.array([f"Title {row} חלב 🥛" for row in range(ITEMS)], object),
        texts=np.array([f"text of item {row}" for row in range(ITEMS)], object),
        categories=attributes()["category"].astype(object).where(attributes()["category"].notna(), None).to_numpy(),
        vectors=vectors,
        index=ExactSearch(vectors),
        lighter_index=ExactSearch(vectors[: ITEMS // 2]),
        allowed=Attributes(attributes(), row_of).rows,
        user_encoder=MeanEncoder(vectors),
        cross_encoder=PlainCrossEncoder(),
        history={"ann": stored}.get,
    )


@pytest.fixture(scope="session")
def config(tmp_path_factory: pytest.TempPathFactory) -> ServeConfig:
    folder = tmp_path_factory.mktemp("events")
    overrides = [
        "port=0",
        "lame_duck_seconds=0",
        "handlers=4",
        f"events.folder={folder}",
        "admission.degrade_at=500",
        "admission.refuse_at=500",
    ]
    overrides += ["cache.entries=0"]  # tests look at what is computed; one is about what is kept
    loaded = load_config(ServeConfig, "serve", overrides)
    return replace(
        loaded, limits=replace(loaded.limits, k=100, candidates=30), rerank=replace(loaded.rerank, candidates=10)
    )


@pytest.fixture(scope="session")
def limits(config: ServeConfig) -> Limits:
    return config.limits


@pytest.fixture(scope="session")
def server_for(config: ServeConfig) -> ServerFor:
    @contextmanager
    def open_server(bundle: ServedBundle) -> Iterator[RetrievalServer]:
        server = RetrievalServer(config)
        server.grpc_server.start()
        server.serve(bundle)
        yield server
        server.stop(None)
        server.close()

    return open_server


@pytest.fixture(scope="session")
def bundles(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two sound versions and `current`, which names the first."""
    folder = tmp_path_factory.mktemp("bundles")
    first = tiny_bundle.resolve()
    shutil.copytree(first, folder / first.name)
    second = folder / SECOND
    shutil.copytree(first, second)
    replace(Manifest.read(first), version=second.name).write(second)
    (folder / "current").symlink_to(first.name)
    return folder


@pytest.fixture
def bundle_copies(bundles: Path, tmp_path: Path) -> Path:
    """Such a folder of a test's own, to change."""
    return shutil.copytree(bundles, tmp_path / "bundles", symlinks=True)


@pytest.fixture(scope="session")
def server(server_for: ServerFor, shop: ServedBundle) -> Iterator[RetrievalServer]:
    with server_for(shop) as opened:
        yield opened


@pytest.fixture(scope="session")
def client(server: RetrievalServer) -> Iterator[RetrievalClient]:
    with RetrievalClient(server.address) as opened:
        yield opened


@pytest.fixture
def channel(server: RetrievalServer) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(server.address) as opened:
        yield opened


@pytest.fixture
def gated(server_for: ServerFor, shop: ServedBundle) -> Iterator[Gated]:
    encoder = GatedEncoder(shop)
    with server_for(replace(shop, user_encoder=encoder)) as server:
        yield Gated(server, encoder)
        encoder.open()


@pytest.fixture
def server_not_ready(config: ServeConfig) -> Iterator[RetrievalServer]:
    """A server that has no bundle yet."""
    server = RetrievalServer(config)
    server.grpc_server.start()
    yield server
    server.stop(None)
    server.close()
