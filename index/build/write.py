"""The files of a bundle: written from the contents that a build made, then read back."""

from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version as installed_version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_prep.columns import Columns
from data_prep.errors import GateFailed
from data_prep.files import fingerprint, write_json
from index.build.config import BuildConfig
from index.build.export import ServedCrossEncoder, Shortlisting, export_cross_encoder_of
from index.build.inputs import Inputs
from index.build.report import REPORT, BuildReport
from index.bundle.bundle import Bundle
from index.bundle.change_log import Merged
from index.bundle.manifest import FORMAT, IndexRecord, Manifest, records
from index.bundle.parts import CROSS_ENCODER, MODEL, BundleParts
from index.calibration.curve_plot import CURVE, draw_curve
from index.calibration.index_trials import ChosenIndex
from towers import OneVectorModel
from towers.candidates import TOWERS
from towers.events import Sequences
from towers.modules import export_user_tower

LIBRARIES = ("faiss-cpu", "faiss-gpu", "numpy", "pandas", "pyarrow", "torch", "sentence-transformers", "onnxruntime")


@dataclass(frozen=True)
class Contents:
    """Everything a bundle is written from.

    Attributes:
        parts: all that is served.
        inputs: run and data that the build started from.
        model: towers and blocks.
        changes: the part of the log of changes that the items hold.
        chosen: the index, the reason for it, and how it is searched.
        sequences: the log, over the items.
        report: decisions, and their reasons.
    """

    parts: BundleParts
    inputs: Inputs
    model: OneVectorModel
    changes: Merged | None
    chosen: ChosenIndex
    sequences: Sequences
    report: BuildReport


def name_version(contents: Contents) -> str:
    """`20261122T141500-3f2a91bc`: UTC now, and eight digits that stand for the contents."""
    marks = [f"{name}={mark}" for name, mark in sorted(contents.inputs.fingerprints.items())]
    digest = sha256(contents.parts.vectors.data).hexdigest()
    chosen, fallback = contents.chosen, contents.parts.fallback
    marks.append("fallback=" + (TOWERS if fallback is None else fallback.name))
    held = fingerprint(*marks, chosen.plan.factory, chosen.stored.form, str(chosen.calibration.parameters), digest)
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{held[:8]}"


def write_contents(folder: Path, version: str, contents: Contents, config: BuildConfig) -> ServedCrossEncoder | None:
    """Fill a new bundle's folder; the manifest comes last.

    Args:
        folder: where to.
        version: its name.
        contents: all that is written.
        config: how the models are to be run.

    Returns:
        how the cross-encoder is run; None where there is none.

    Raises:
        GateFailed: a graph computes otherwise than its model.
    """
    contents.parts.write(folder)
    served = _export(folder, contents, config)
    runs = {"cross_encoder_runs": None if served is None else asdict(served)}
    write_json(folder / REPORT, contents.report.as_json() | runs)
    draw_curve(folder / CURVE, contents.chosen.calibration, contents.chosen.trials)
    replace(_manifest(version, contents), files=records(folder)).write(folder)
    for path in folder.rglob("*"):  # some libraries write files that only their owner can read
        path.chmod(0o755 if path.is_dir() else 0o644)
    return served


def _export(folder: Path, contents: Contents, config: BuildConfig) -> ServedCrossEncoder | None:
    """Write the graphs; how the cross-encoder is run, None where there is none."""
    parts = contents.parts
    has_cross_encoder = parts.cross_encoder is not None
    if not config.export.enabled:
        return ServedCrossEncoder("", "torch: export.enabled=false") if has_cross_encoder else None
    export_user_tower(parts.user_encoder.towers.users, folder / MODEL)
    if not has_cross_encoder:
        return None
    shortlisting = Shortlisting(parts, contents.sequences, contents.model.exclude_seen)
    return export_cross_encoder_of(folder / CROSS_ENCODER, shortlisting, config.export, config.seed)


def check_answers(folder: Path, contents: Contents, users: NDArray[np.float32]) -> None:
    """Load a written bundle as a server would, and refuse it unless it answers as its contents do.

    Raises:
        GateFailed: some user gets other items or another vector.
        BundleError: it does not load.
    """
    parts, k = contents.parts, contents.chosen.calibration.parameters.k
    built = parts.index.search(users, k)
    bundle = Bundle.load(folder)
    loaded = bundle.index.search(users, k)
    if any(not np.array_equal(a.rows, b.rows) for a, b in zip(built, loaded, strict=True)):
        raise GateFailed(f"{folder} does not answer as the index it was written from; nothing was published")
    histories = [parts.histories.at(user) for user in range(min(len(users), len(parts.histories)))]
    queries = [str(title) for title in bundle.items[Columns.TITLE].iloc[: len(histories)]]
    queries += [""] * (len(histories) - len(queries))
    expected = parts.user_encoder.encode(histories, queries)
    if not np.allclose(bundle.user_encoder.encode(histories, queries), expected, atol=1e-5):
        raise GateFailed(f"{folder} does not encode users as the model it was written from; nothing was published")


def _manifest(version: str, contents: Contents) -> Manifest:
    calibration, plan, parts = contents.chosen.calibration, contents.chosen.plan, contents.parts
    return Manifest(
        format=FORMAT,
        version=version,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        metric=contents.model.metric,
        dim=contents.model.dim,
        items=len(parts.items),
        users=len(parts.histories),
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
