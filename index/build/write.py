"""The files of a bundle: written from what a build made, then read back."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_prep.columns import Columns
from data_prep.errors import GateFailed
from data_prep.files import fingerprint, write_json
from data_prep.vector_file import save_vectors
from index.build.config import BuildConfig
from index.build.export import Material, ServedReranker, export_reranker
from index.build.inputs import Inputs
from index.build.report import REPORT
from index.bundle.bundle import (
    HISTORIES,
    INDEX,
    ITEMS,
    MAPPED_ITEMS,
    MODEL,
    RENDERED,
    RERANKER,
    SCALE,
    STORED,
    VECTORS,
    Bundle,
)
from index.bundle.change_log import Merged
from index.bundle.histories import Histories
from index.bundle.item_file import save_items
from index.bundle.manifest import FORMAT, IndexRecord, Manifest, records
from index.calibration.curve_plot import CURVE, draw_curve
from index.calibration.index_trials import ChosenIndex
from towers import CrossEncoder, Funnel, ModelEncoder, OneVectorModel
from towers.candidates.candidate_pool import TOWERS
from towers.candidates.fallback import FALLBACK, Fallback
from towers.candidates.funnel import FUNNEL, QUERY_FUNNEL
from towers.events.history import Sequences
from towers.modules.user_tower_onnx import export_user_tower

LIBRARIES = ("faiss-cpu", "faiss-gpu", "numpy", "pandas", "pyarrow", "torch", "sentence-transformers", "onnxruntime")


@dataclass(frozen=True)
class Contents:
    """Everything a bundle is written from.

    Attributes:
        inputs: what the build started from.
        model: towers and blocks.
        items: item table with popularity; row order is index order.
        vectors: [N, D] of those items.
        changes: what of the log of changes the items hold.
        chosen: the index, why it, and how it is searched.
        sequences: the log, over those items.
        histories: what is known of users.
        funnel: over those items; None for recall alone.
        query_funnel: the same for whoever asks by a query.
        fallback: over those items; None where strangers get the towers' own answer.
        report: contents of `report.json`, but for how the reranker is run.
    """

    inputs: Inputs
    model: OneVectorModel
    items: pd.DataFrame
    vectors: NDArray[np.float32]
    changes: Merged | None
    chosen: ChosenIndex
    sequences: Sequences
    histories: Histories
    funnel: Funnel | None
    query_funnel: Funnel | None
    fallback: Fallback | None
    report: Mapping[str, Any]


def name_version(contents: Contents) -> str:
    """`20261122T141500-3f2a91bc`: UTC now, and eight digits that stand for what the bundle holds."""
    marks = [f"{name}={mark}" for name, mark in sorted(contents.inputs.fingerprints.items())]
    digest = sha256(contents.vectors.data).hexdigest()
    chosen, fallback = contents.chosen, contents.fallback
    marks.append("fallback=" + (TOWERS if fallback is None else fallback.name))
    held = fingerprint(*marks, chosen.plan.factory, chosen.stored.form, str(chosen.calibration.parameters), digest)
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{held[:8]}"


def write_contents(folder: Path, version: str, contents: Contents, config: BuildConfig) -> ServedReranker | None:
    """Fill a new bundle's folder; the manifest comes last.

    Args:
        folder: where to.
        version: its name.
        contents: what of.
        config: how the models are to be run.

    Returns:
        how the reranker is run; None where there is none.

    Raises:
        GateFailed: a graph does not compute what its model does.
    """
    users = contents.model.user_encoder(contents.items, contents.vectors)
    users.save(folder / MODEL)
    contents.model.item_encoder(contents.items, contents.vectors, users).save(folder / MODEL)
    if contents.inputs.reranker.folder is not None:
        _write_reranker(folder / RERANKER, contents.inputs.reranker.folder, contents.items)
    for name, funnel in ((FUNNEL, contents.funnel), (QUERY_FUNNEL, contents.query_funnel)):
        if funnel is not None:
            funnel.save(folder / name)
    if contents.fallback is not None:
        contents.fallback.save(folder / FALLBACK)
    served = _export(folder, contents, users, config)
    contents.items.to_parquet(folder / ITEMS, index=False)
    save_items(folder / MAPPED_ITEMS, contents.items)
    contents.histories.save(folder / HISTORIES)
    save_vectors(folder / VECTORS, contents.vectors)
    if contents.chosen.stored.form != "float32":
        save_vectors(folder / STORED, contents.chosen.stored.numbers)
        save_vectors(folder / SCALE, contents.chosen.stored.scale)
    faiss.write_index(contents.chosen.index, os.fspath(folder / INDEX))
    write_json(folder / REPORT, {**contents.report, "reranker_runs": None if served is None else asdict(served)})
    draw_curve(folder / CURVE, contents.chosen.calibration, contents.chosen.trials)
    replace(_manifest(version, contents), files=records(folder)).write(folder)
    for path in folder.rglob("*"):  # some libraries write files that only their owner can read
        path.chmod(0o755 if path.is_dir() else 0o644)
    return served


def _export(folder: Path, contents: Contents, users: ModelEncoder, config: BuildConfig) -> ServedReranker | None:
    """Write the graphs; how the reranker is run, None where there is none."""
    has_reranker = contents.inputs.reranker.folder is not None
    if not config.export.enabled:
        return ServedReranker("", "torch: export.enabled=false") if has_reranker else None
    export_user_tower(users.towers.users, folder / MODEL)
    if not has_reranker:
        return None
    material = Material(contents.model, contents.items, contents.vectors, contents.sequences, contents.histories)
    return export_reranker(folder / RERANKER, material, config.export, config.seed)


def _write_reranker(folder: Path, trained: Path, items: pd.DataFrame) -> None:
    """Copy a reranker without those of its folds, and write what it reads of items where that is not their text."""
    shutil.copytree(trained, folder, ignore=lambda _, names: [name for name in names if name.startswith("fold-")])
    input_template = CrossEncoder.load(folder).input_template
    if input_template.template is not None:
        save_items(folder / RENDERED, pd.DataFrame({Columns.TEXT: input_template.items(items)}))


def check_answers(folder: Path, contents: Contents, users: NDArray[np.float32]) -> None:
    """Load a written bundle as a server would, and refuse it unless it answers as what it was written from.

    Raises:
        GateFailed: some user gets other items or another vector.
        BundleError: it does not load.
    """
    k = contents.chosen.calibration.parameters.k
    built = contents.chosen.searched.search(users, k)
    bundle = Bundle.load(folder)
    loaded = bundle.index.search(users, k)
    if any(not np.array_equal(a.rows, b.rows) for a, b in zip(built, loaded, strict=True)):
        raise GateFailed(f"{folder} does not answer as the index it was written from; nothing was published")
    histories = [contents.histories.at(place) for place in range(min(len(users), len(contents.histories)))]
    queries = [str(title) for title in bundle.items[Columns.TITLE].iloc[: len(histories)]]
    queries += [""] * (len(histories) - len(queries))
    expected = contents.model.user_encoder(contents.items, contents.vectors).encode(histories, queries)
    if not np.allclose(bundle.user_encoder.encode(histories, queries), expected, atol=1e-5):
        raise GateFailed(f"{folder} does not encode users as the model it was written from; nothing was published")


def _manifest(version: str, contents: Contents) -> Manifest:
    calibration, plan = contents.chosen.calibration, contents.chosen.plan
    return Manifest(
        format=FORMAT,
        version=version,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        metric=contents.model.metric,
        dim=contents.model.dim,
        items=len(contents.items),
        users=len(contents.histories),
        exclude_seen=contents.model.exclude_seen,
        index=IndexRecord(plan.factory, plan.reason, plan.vectors, calibration.parameters, calibration.recall),
        fingerprints=contents.inputs.fingerprints,
        changes=contents.changes,
        libraries=_libraries(),
        files={},
    )


def _libraries() -> dict[str, str]:
    versions = {}
    for name in LIBRARIES:
        try:
            versions[name] = installed_version(name)
        except PackageNotFoundError:
            continue  # one of the two faiss packages is always absent
    return versions
