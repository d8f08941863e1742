"""The run and the data of a build, and the check that they belong together, before anything heavy is imported."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from json import JSONDecodeError
from pathlib import Path
from typing import Any, Self

from data_prep.command import UsageError
from data_prep.dataset import Dataset
from data_prep.files import fingerprint, read_json, sha256

TOWERS_CURE, FUNNEL_CURE = "python -m towers.train", "python -m towers.train_funnel"

TRAINED_CROSS_ENCODER = "reranker"
"""Folder of a run that holds its cross-encoder."""

ALWAYS, NEVER = "always", "never"
CROSS_ENCODER_CHOICES = (ALWAYS, "if_better", NEVER)


@dataclass(frozen=True)
class RecordedGain:
    """The gain of a cross-encoder over the recall order, as its training recorded it.

    Attributes:
        cases: users or queries that it did not learn from.
        mean, low, high: of the difference in NDCG@10, with its interval.
    """

    cases: int
    mean: float
    low: float
    high: float

    @classmethod
    def read(cls, record: Mapping[str, Any]) -> Self:
        """Of the comparison in a training's record."""
        return cls(record["cases"], record["mean"], record["low"], record["high"])

    def __str__(self) -> str:
        return f"NDCG@10 {self.mean:+.4f} ({self.low:+.4f} … {self.high:+.4f})"


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
    compared: Mapping[str, RecordedGain] = field(default_factory=dict)


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
    trained_on = str(_mark(run, "dataset_fingerprint", TOWERS_CURE))
    towers = str(_mark(run, "fingerprint", TOWERS_CURE))
    dataset = Dataset.open(data or Path(_mark(run, "data", TOWERS_CURE)))
    if trained_on != dataset.fingerprint:
        raise UsageError(
            f"{run} was trained on data {trained_on}, but {dataset.path} is {dataset.fingerprint}; "
            "name the data it was trained on, or train again"
        )
    fingerprints = {"dataset": dataset.fingerprint, "run": towers}
    choice = choose_cross_encoder(run, towers, cross_encoder)
    if choice.folder is not None:
        fingerprints["cross_encoder"] = _files_mark(choice.folder)
    funnels: dict[str, Path | None] = {}
    for name in ("funnel", "query_funnel"):
        funnels[name] = _funnel(run / name, run, towers) if funnel else None
        if (folder := funnels[name]) is not None:
            fingerprints[name] = _files_mark(folder)
    return Inputs(dataset, run, choice, fingerprints=fingerprints, **funnels)


def _funnel(folder: Path, run: Path, towers: str) -> Path | None:
    """The folder of a funnel that was trained for these towers, where there is one."""
    if not folder.is_dir():
        return None
    _check_towers(folder, str(_mark(folder, "towers_fingerprint", FUNNEL_CURE)), run, towers, "funnel")
    return folder


def _files_mark(folder: Path) -> str:
    return fingerprint(*map(sha256, sorted(path for path in folder.rglob("*") if path.is_file())))


def _check_towers(folder: Path, made_for: str, run: Path, towers: str, what: str) -> None:
    if made_for != towers:
        raise UsageError(
            f"{folder} was trained for towers {made_for}, but {run} holds {towers}; "
            f"train the {what} again, or remove it"
        )


def choose_cross_encoder(run: Path, towers: str, publish: str) -> CrossEncoderChoice:
    """Whether to publish a run's cross-encoder, by its gain in training.

    Args:
        run: folder of the run.
        towers: its fingerprint.
        publish: `always`, `if_better` or `never`.

    Raises:
        UsageError: it was trained for other towers, or is damaged.
    """
    folder, cure = run / TRAINED_CROSS_ENCODER, "python -m towers.train_reranker"
    if publish == NEVER or not folder.is_dir():
        return CrossEncoderChoice(None, "none was trained" if publish != NEVER else "left out: cross_encoder=never")
    _check_towers(folder, str(_mark(folder, "towers_fingerprint", cure)), run, towers, "cross-encoder")
    result = _mark(folder, "result", cure)
    try:
        better = bool(result["better"])
        recorded = {kind: result[kind] for kind in ("users", "queries")}
        compared = {kind: RecordedGain.read(record) for kind, record in recorded.items() if record is not None}
    except (KeyError, TypeError) as error:
        raise UsageError(f"{folder / 'run.json'} is of another version; train the cross-encoder again") from error
    gains = ", ".join(f"{gain} on {gain.cases:,} {kind}" for kind, gain in compared.items())
    gains = f"{gains} over the recall order" if gains else "not compared with the recall order"
    if better or publish == ALWAYS:
        return CrossEncoderChoice(folder, f"published: {gains}", compared)
    why = f"left out, not better beyond chance: {gains} (cross_encoder=always publishes it)"
    return CrossEncoderChoice(None, why, compared)


def _mark(folder: Path, name: str, cure: str) -> Any:
    path = folder / "run.json"
    try:
        return read_json(path)[name]
    except FileNotFoundError as error:
        raise UsageError(f"no finished run in {folder} ({path.name} is missing); `{cure}` makes one") from error
    except (JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise UsageError(f"{path} is damaged or has no {name}; `{cure}` makes a new one") from error


def check_dim(run: Path, dim: int | None) -> None:
    """Refuse a length of vectors that a run was not trained for.

    Raises:
        UsageError: it is none of the run's.
    """
    if dim is None:
        return
    config = read_json(run / "run.json")["config"]
    trained = config["loss"]["dims"]
    if dim not in (*trained, config["tower"]["dim"]):
        cure = f"one of {trained}" if trained else "none; train with loss.dims=[32,64] for shorter ones"
        raise UsageError(f"dim: {run} was not trained to be cut to {dim}, but to {cure}")
