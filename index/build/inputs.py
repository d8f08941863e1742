"""The run and the data of a build, and the check that they belong together, before anything heavy is imported."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from data_prep.command import UsageError
from data_prep.dataset import Dataset
from data_prep.files import fingerprint, sha256
from towers.candidates import FunnelRecord
from towers.metrics import PairedComparison
from towers.model import RunRecord
from towers.ranking import CROSS_ENCODER, CrossEncoderRecord

ALWAYS, NEVER = "always", "never"
CROSS_ENCODER_CHOICES = (ALWAYS, "if_better", NEVER)


@dataclass(frozen=True)
class CrossEncoderChoice:
    """Whether a run's cross-encoder is published.

    Attributes:
        folder: of the cross-encoder; None where there is none, or it is left out.
        why: in words.
        compared: its gain over the recall order, by `users` and `queries`; empty where it was not compared.
    """

    folder: Path | None
    why: str
    compared: Mapping[str, PairedComparison] = field(default_factory=dict)


@dataclass(frozen=True)
class Inputs:
    """The run and the data of a build, known to belong together.

    Attributes:
        dataset: the data.
        run: folder of the towers trained on it.
        cross_encoder: the cross-encoder trained on those towers' candidates, and whether it is published.
        funnel: folder of the funnel trained for those towers; None where there is none, or none is to be published.
        query_funnel: the same of the one for requests with a query.
        fingerprints: of each, by name.
    """

    dataset: Dataset
    run: Path
    cross_encoder: CrossEncoderChoice
    funnel: Path | None
    query_funnel: Path | None
    fingerprints: dict[str, str]


def check_inputs(run: Path, data: Path | None, cross_encoder: str, funnel: bool) -> Inputs:
    """Refuse inputs that do not belong together, from their fingerprints alone.

    Args:
        run: folder of a training run.
        data: folder of a dataset; None for the one the run was trained on.
        cross_encoder: `always`, `if_better` or `never`: whether to publish the run's cross-encoder.
        funnel: whether to publish the run's funnels.

    Raises:
        UsageError: run, cross-encoder, funnel or dataset is missing, or was not made from what lies before it; the
            message has both fingerprints.
    """
    record = RunRecord.read(run)
    dataset, towers = record.open_data(data), record.fingerprint
    fingerprints = {"dataset": dataset.fingerprint, "run": towers}
    choice = choose_cross_encoder(run, towers, cross_encoder)
    if choice.folder is not None:
        fingerprints["cross_encoder"] = _files_mark(choice.folder)
    funnels: dict[str, Path | None] = {}
    for name in ("funnel", "query_funnel"):
        funnels[name] = _funnel(run / name, towers) if funnel else None
        if (folder := funnels[name]) is not None:
            fingerprints[name] = _files_mark(folder)
    return Inputs(dataset, run, choice, fingerprints=fingerprints, **funnels)


def _funnel(folder: Path, towers: str) -> Path | None:
    """The folder of a funnel that was trained for these towers, where there is one."""
    if not folder.is_dir():
        return None
    FunnelRecord.read(folder).check(folder, towers)
    return folder


def _files_mark(folder: Path) -> str:
    return fingerprint(*map(sha256, sorted(path for path in folder.rglob("*") if path.is_file())))


def choose_cross_encoder(run: Path, towers: str, publish: str) -> CrossEncoderChoice:
    """Whether to publish a run's cross-encoder, by its gain in training.

    Args:
        run: folder of the run.
        towers: its fingerprint.
        publish: `always`, `if_better` or `never`.

    Raises:
        UsageError: it was trained for other towers, or is damaged.
    """
    folder = run / CROSS_ENCODER
    if publish == NEVER or not folder.is_dir():
        return CrossEncoderChoice(None, "none was trained" if publish != NEVER else "left out: cross_encoder=never")
    record = CrossEncoderRecord.read(folder)
    record.check(folder, towers)
    result = record.result
    compared = {kind: gain for kind, gain in (("users", result.users), ("queries", result.queries)) if gain is not None}
    gains = ", ".join(
        f"NDCG@10 {gain.mean:+.4f} ({gain.low:+.4f} … {gain.high:+.4f}) on {gain.cases:,} {kind}"
        for kind, gain in compared.items()
    )
    gains = f"{gains} over the recall order" if gains else "not compared with the recall order"
    if result.better or publish == ALWAYS:
        return CrossEncoderChoice(folder, f"published: {gains}", compared)
    why = f"left out, not better beyond chance: {gains} (cross_encoder=always publishes it)"
    return CrossEncoderChoice(None, why, compared)


def check_dim(run: Path, dim: int | None) -> None:
    """Refuse a length of vectors that a run was not trained for.

    Raises:
        UsageError: it is none of the run's.
    """
    if dim is None:
        return
    settings = RunRecord.read(run).settings
    trained = settings.dims
    if dim not in (*trained, settings.dim):
        cure = f"one of {trained}" if trained else "none; train with loss.dims=[32,64] for shorter ones"
        raise UsageError(f"dim: {run} was not trained to be cut to {dim}, but to {cure}")
