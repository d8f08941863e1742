"""Graphs in a bundle: which of them run, the cost of int8, and when it is left alone."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from data_prep.command import GateFailed, UsageError, load_config
from index import Bundle
from index.build import export, write
from index.build.__main__ import build
from index.build.config import BuildConfig, ExportConfig
from index.build.export import Int8Loss, choose, compared, spearman
from index.build.report import BuildResult
from towers import CrossEncoder
from towers.events.history import History
from towers.modules.onnx_runtime import FLOAT32, INT8
from towers.modules.user_tower_onnx import GRAPH
from towers.ranking import CROSS_ENCODER
from towers.ranking.mining import Shortlist
from towers.ranking.onnx import export_cross_encoder, graph_path

LIMITS = ExportConfig(True, True, users=3, candidates=4, max_ndcg_loss=0.01, min_rank_correlation=0.9)
NOTHING = np.zeros(0, np.int64)


def shortlist(*grades: int) -> Shortlist:
    scores = np.zeros(len(grades), np.float32)
    return Shortlist("", np.arange(len(grades)), scores, np.array(grades), NOTHING, np.zeros(0, np.float32), NOTHING)


def scores(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def test_a_loss_by_hand() -> None:
    lists = [shortlist(0, 1, 0), shortlist(0, 0)]
    loss = compared(lists, [scores(1, 3, 2), scores(5, 4)], [scores(1, 2, 2.5), scores(5, 4.5)])
    # The relevant candidate falls from the first to the second place; the other list's order stays.
    assert (loss.shortlists, loss.with_relevant) == (2, 1)
    assert loss.ndcg_float32 == pytest.approx(1)
    assert loss.ndcg_int8 == pytest.approx(1 / np.log2(3))
    assert loss.largest_difference == 1
    assert loss.rank_correlation == pytest.approx((0.5 + 1) / 2)


def test_where_nothing_is_relevant_there_is_no_ndcg() -> None:
    loss = compared([shortlist(0, 0)], [scores(2, 1)], [scores(1, 2)])
    assert (loss.ndcg_float32, loss.ndcg_int8) == (None, None)
    assert loss.rank_correlation == pytest.approx(-1)


@pytest.mark.parametrize("seed", range(5))
def test_the_rank_correlation_is_spearmans(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = (rng.integers(0, 5, 12).astype(np.float32) for _ in range(2))
    assert spearman(first, second) == pytest.approx(spearmanr(first, second).statistic)


@pytest.mark.parametrize(
    ("loss", "precision", "named"),
    [
        (Int8Loss(9, 0.1, 0.5, 4, 0.300, 0.291), INT8, "is within export.max_ndcg_loss=0.01: NDCG@10 -0.0090"),
        (Int8Loss(9, 0.1, 0.5, 4, 0.300, 0.289), FLOAT32, "misses export.max_ndcg_loss=0.01: NDCG@10 -0.0110"),
        (Int8Loss(9, 0.1, 0.91, 0, None, None), INT8, "is within export.min_rank_correlation=0.9: nobody went on"),
        (Int8Loss(9, 0.1, 0.89, 0, None, None), FLOAT32, "misses export.min_rank_correlation=0.9"),
    ],
)
def test_int8_is_taken_where_its_loss_is_small(loss: Int8Loss, precision: str, named: str) -> None:
    served = choose(loss, LIMITS)
    assert served.precision == precision
    assert named in served.why


@pytest.fixture(scope="module")
def run(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny run, with a cross-encoder that its texts say something to."""
    run = tmp_path_factory.mktemp("runs") / "tiny"
    shutil.copytree(tiny_run, run)
    model = CrossEncoder.load(run / CROSS_ENCODER)
    torch.manual_seed(1)
    torch.nn.init.normal_(model.head.weight)
    model.save(run / CROSS_ENCODER)
    return run


Build = Callable[..., BuildResult]


@pytest.fixture(scope="module")
def built(run: Path, tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Build:
    def make(*overrides: str) -> BuildResult:
        bundles = tmp_path_factory.mktemp("bundles")
        line = [
            f"run={run}",
            f"data={tiny_data}",
            f"bundles={bundles}",
            "threads=1",
            "cross_encoder=always",
            *overrides,
        ]
        return build(load_config(BuildConfig, "build", line))

    return make


def reranked(bundle: Bundle, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Scores of some items by a bundle's cross-encoder, and by torch."""
    assert bundle.cross_encoder is not None
    texts, recalled = list(bundle.texts[np.arange(6)]), np.zeros(6, np.float32)
    exact = CrossEncoder.load(folder / "cross_encoder").score("milk", texts, recalled)
    return bundle.cross_encoder.score("milk", texts, recalled), exact


def test_a_bundle_serves_with_its_graphs_nearly_as_torch_would_and_says_what_that_costs(built: Build) -> None:
    result = built()
    bundle = Bundle.load(result.path)
    towers = bundle.user_encoder.towers
    assert towers.last != towers.users.last
    users = [bundle.histories.at(user) for user in range(3)] + [History.empty()]
    queries = ["", "fresh bread", "", "milk"]
    encoded = bundle.user_encoder.encode(users, queries)
    towers.last = towers.users.last
    np.testing.assert_allclose(encoded, bundle.user_encoder.encode(users, queries), atol=1e-4)

    coarse, exact = reranked(bundle, result.path)
    assert 0 < np.abs(coarse - exact).max() < 0.1
    runs = json.loads((result.path / "report.json").read_text())["cross_encoder_runs"]
    assert runs["precision"] == INT8
    assert runs["loss"]["shortlists"] > 0
    assert 0 < runs["loss"]["largest_difference"] < 0.1
    assert runs["loss"]["rank_correlation"] > 0.9
    assert not graph_path(result.path / "cross_encoder", FLOAT32).exists(), "one graph is enough"


@pytest.fixture
def no_tower(monkeypatch: pytest.MonkeyPatch) -> None:
    """Builds without the user tower's graph, which takes seconds to write."""
    monkeypatch.setattr(write, "export_user_tower", lambda *_: None)


@pytest.mark.usefixtures("no_tower")
def test_float32_is_kept_where_int8_costs_too_much(built: Build) -> None:
    result = built("export.max_ndcg_loss=-1", "export.min_rank_correlation=2", "export.users=3")
    assert result.served is not None
    assert (result.served.precision, result.served.loss is None) == (FLOAT32, False)
    assert not graph_path(result.path / "cross_encoder", INT8).exists()
    scored, exact = reranked(Bundle.load(result.path), result.path)
    np.testing.assert_allclose(scored, exact, atol=1e-4)


def test_without_graphs_torch_serves(built: Build) -> None:
    result = built("export.enabled=false")
    bundle = Bundle.load(result.path)
    assert result.served is not None
    assert result.served.precision == ""
    assert not (result.path / "model" / GRAPH).exists()
    assert bundle.user_encoder.towers.last == bundle.user_encoder.towers.users.last
    scored, exact = reranked(bundle, result.path)
    np.testing.assert_array_equal(scored, exact)


@pytest.mark.usefixtures("no_tower")
def test_a_graph_that_scores_otherwise_is_not_published(built: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    def of_another_model(folder: Path) -> None:
        original = CrossEncoder.load(folder)
        other = CrossEncoder.load(folder)
        torch.nn.init.normal_(next(other.backbone.parameters()))
        other.save(folder)
        export_cross_encoder(folder)
        original.save(folder)

    monkeypatch.setattr(export, "export_cross_encoder", of_another_model)
    with pytest.raises(GateFailed, match=r"transformer\.float32\.onnx scores .* beside what torch does"):
        built()


def test_limits_are_checked_by_name() -> None:
    with pytest.raises(UsageError, match=r"export\.users must be at least 1, not 0"):
        replace(LIMITS, users=0)
