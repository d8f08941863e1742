"""What a build starts from, and the check that it belongs together, before anything heavy is imported."""

from dataclasses import dataclass
from json import JSONDecodeError
from pathlib import Path

from data_prep.command import UsageError
from data_prep.dataset import Dataset
from data_prep.files import fingerprint, read_json, sha256


@dataclass(frozen=True)
class Inputs:
    """What a build starts from, known to belong together.

    Attributes:
        dataset: the data.
        run: folder of the towers trained on it.
        reranker: folder of the reranker trained on those towers' candidates, if there is one.
        fingerprints: of each, by name.
    """

    dataset: Dataset
    run: Path
    reranker: Path | None
    fingerprints: dict[str, str]


def check_inputs(run: Path, data: Path | None) -> Inputs:
    """Refuse inputs that do not belong together, from their fingerprints alone.

    Args:
        run: folder of a training run.
        data: folder of a dataset; None for the one the run was trained on.

    Raises:
        UsageError: run, reranker or dataset is missing, or was not made from what lies before it; the message
            has both fingerprints.
    """
    trained_on = _mark(run, "dataset_fingerprint", "python -m towers.train")
    towers = _mark(run, "fingerprint", "python -m towers.train")
    dataset = Dataset.open(data or Path(_mark(run, "data", "python -m towers.train")))
    if trained_on != dataset.fingerprint:
        raise UsageError(
            f"{run} was trained on data {trained_on}, but {dataset.path} is {dataset.fingerprint}; "
            "name the data it was trained on, or train again"
        )
    fingerprints = {"dataset": dataset.fingerprint, "run": towers}
    reranker = run / "reranker"
    if not reranker.is_dir():
        return Inputs(dataset, run, None, fingerprints)
    mined_from = _mark(reranker, "towers_fingerprint", "python -m towers.train_reranker")
    if mined_from != towers:
        raise UsageError(
            f"{reranker} was trained for towers {mined_from}, but {run} holds {towers}; "
            "train the reranker again, or remove it"
        )
    files = sorted(path for path in reranker.rglob("*") if path.is_file())
    return Inputs(dataset, run, reranker, fingerprints | {"reranker": fingerprint(*map(sha256, files))})


def _mark(folder: Path, name: str, cure: str) -> str:
    path = folder / "run.json"
    try:
        return str(read_json(path)[name])
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
