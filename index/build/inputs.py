"""What a build starts from, and the check that it belongs together, before anything heavy is imported."""

from dataclasses import dataclass, field
from json import JSONDecodeError
from pathlib import Path
from typing import Any

from data_prep.command import UsageError
from data_prep.dataset import Dataset
from data_prep.files import fingerprint, read_json, sha256
from towers.model.run_record import RunRecord, check_towers

FUNNEL_CURE = "python -m towers.train_funnel"

ALWAYS, NEVER = "always", "never"
RERANKER_CHOICES = (ALWAYS, "if_better", NEVER)


@dataclass(frozen=True)
class RerankerChoice:
    """Whether a run's reranker is published.

    Attributes:
        folder: of the reranker; None where there is none, or it is left out.
        why: in words.
        compared: what its training found beside the recall order, by `users` and `queries`; empty for no reranker.
    """

    folder: Path | None
    why: str
    compared: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Inputs:
    """What a build starts from, known to belong together.

    Attributes:
        dataset: the data.
        run: folder of the towers trained on it.
        reranker: the reranker trained on those towers' candidates, and whether it is published.
        funnel: folder of the funnel trained for those towers; None where there is none, or it is not wanted.
        query_funnel: the same of the one for whoever asks by a query.
        fingerprints: of each, by name.
    """

    dataset: Dataset
    run: Path
    reranker: RerankerChoice
    funnel: Path | None
    query_funnel: Path | None
    fingerprints: dict[str, str]


def check_inputs(run: Path, data: Path | None, reranker: str, funnel: bool) -> Inputs:
    """Refuse inputs that do not belong together, from their fingerprints alone.

    Args:
        run: folder of a training run.
        data: folder of a dataset; None for the one the run was trained on.
        reranker: `always`, `if_better` or `never`: whether to publish the run's reranker.
        funnel: whether to publish the run's funnels.

    Raises:
        UsageError: run, reranker, funnel or dataset is missing, or was not made from what lies before it; the message
            has both fingerprints.
    """
    record = RunRecord.read(run)
    dataset, towers = record.open_data(data), record.fingerprint
    fingerprints = {"dataset": dataset.fingerprint, "run": towers}
    choice = choose_reranker(run, towers, reranker)
    if choice.folder is not None:
        fingerprints["reranker"] = _files_mark(choice.folder)
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
    trained_for = str(_mark(folder, "towers_fingerprint", FUNNEL_CURE))
    check_towers(folder, trained_for, towers, "train the funnel again, or remove it")
    return folder


def _files_mark(folder: Path) -> str:
    return fingerprint(*map(sha256, sorted(path for path in folder.rglob("*") if path.is_file())))


def choose_reranker(run: Path, towers: str, wanted: str) -> RerankerChoice:
    """Whether to publish a run's reranker, from what its training found.

    Args:
        run: folder of the run.
        towers: its fingerprint.
        wanted: `always`, `if_better` or `never`.

    Raises:
        UsageError: it was trained for other towers, or is damaged.
    """
    folder, cure = run / "cross_encoder", "python -m towers.train_ranker"
    if wanted == NEVER or not folder.is_dir():
        return RerankerChoice(None, "none was trained" if wanted != NEVER else "left out: reranker=never")
    trained_for = str(_mark(folder, "towers_fingerprint", cure))
    check_towers(folder, trained_for, towers, "train the reranker again, or remove it")
    result = _mark(folder, "result", cure)
    try:
        better = bool(result["better"])
        compared = {kind: result[kind] for kind in ("users", "queries") if result[kind] is not None}
        said = ", ".join(
            f"NDCG@10 {found['mean']:+.4f} ({found['low']:+.4f} … {found['high']:+.4f}) on {found['cases']:,} {kind}"
            for kind, found in compared.items()
        )
    except (KeyError, TypeError) as error:
        raise UsageError(f"{folder / 'run.json'} is of an earlier version; train the reranker again") from error
    said = f"{said or 'nothing'} beside the recall order"
    if better or wanted == ALWAYS:
        return RerankerChoice(folder, f"published: {said}", compared)
    return RerankerChoice(None, f"left out, not better beyond chance: {said} (reranker=always publishes it)", compared)


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
    settings = RunRecord.read(run).settings
    trained = settings.dims
    if dim not in (*trained, settings.dim):
        cure = f"one of {trained}" if trained else "none; train with loss.dims=[32,64] for shorter ones"
        raise UsageError(f"dim: {run} was not trained to be cut to {dim}, but to {cure}")
