"""The reranker that teaches the towers, and what it must not have learnt."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from data_prep.dataset import Dataset
from data_prep.errors import UsageError
from data_prep.files import fingerprint, read_json, sha256
from towers.config import TrainConfig
from towers.run import RUN


@dataclass(frozen=True)
class Teacher:
    """A reranker that teaches, and the run it belongs to.

    Attributes:
        folder: the reranker's, or that of one of its folds.
        run: the first run, whose towers find the candidates.
        fingerprint: of the reranker and the towers.
        judgements: whether judged queries taught either of them.
        better: whether the reranker was found better than the recall order beyond chance.
    """

    folder: Path
    run: Path
    fingerprint: str
    judgements: bool
    better: bool

    @classmethod
    def of(cls, config: TrainConfig, dataset: Dataset) -> Self | None:
        """The teacher that a training asks for; None where it asks for none.

        Where the training holds a fold of the judged queries out, it is the reranker that has not learnt from them.

        Raises:
            UsageError: there is no such reranker, or it has learnt what the towers are to be judged by.
        """
        folder = config.distillation.reranker
        if folder is None:
            return None
        marks, first = _marks(folder, dataset)
        _check_split(config, first["config"])
        part, learnt = "", False
        if dataset.judgements is not None:
            judged = _judgements(first["config"])
            part = _part(config, folder, marks["config"], judged)
            learnt = bool(marks["config"]["judged"]["folds"] or judged["rate"])
        files = sorted(path for path in (folder / part).iterdir() if path.is_file())
        own = fingerprint(first["fingerprint"], *(sha256(path) for path in files))
        return cls(folder / part, folder.parent, own, learnt, marks["result"]["better"])

    @property
    def described(self) -> dict[str, Any]:
        """For `run.json`."""
        return {"reranker": str(self.folder), "fingerprint": self.fingerprint, "judgements": self.judgements}


def _marks(folder: Path, dataset: Dataset) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is noted of a reranker and of its run."""
    if not (folder / RUN).is_file():
        raise UsageError(
            f"distillation.reranker: no trained reranker in {folder} ({RUN} is missing); "
            "python -m towers.train_reranker trains one"
        )
    run = folder.parent
    marks, first = read_json(folder / RUN), read_json(run / RUN) if (run / RUN).is_file() else {}
    if "towers_fingerprint" not in marks or first.get("fingerprint") != marks["towers_fingerprint"]:
        raise UsageError(
            f"distillation.reranker: {folder} is no reranker of the towers in {run}, which are to find what it reads; "
            "name a folder that python -m towers.train_reranker wrote into its run"
        )
    if first["dataset_fingerprint"] != dataset.fingerprint:
        raise UsageError(
            f"distillation.reranker: {folder} was trained on data {first['dataset_fingerprint']}, {dataset.path} is "
            f"{dataset.fingerprint}; train a first run and its reranker on this data"
        )
    return marks, first


def _check_split(config: TrainConfig, first: dict[str, Any]) -> None:
    """Refuse a first run for which other events were held out: its reranker may have learnt what is to be found."""
    for name in ("protocol", "cold_share", *(["seed"] if config.cold_share else [])):
        own = getattr(config, name)
        if first[name] != own:
            raise UsageError(
                f"distillation.reranker: its run was trained with {name}={first[name]}, this one is to be with {own}; "
                "the same is needed, so that the reranker has not learnt what these towers are judged by"
            )


def _judgements(first: dict[str, Any]) -> dict[str, Any]:
    """What a run learnt of judged queries, with its seed; runs of before there were any learnt nothing."""
    return {"seed": first["seed"], "rate": 0, **first.get("judgements", {})}


def _part(config: TrainConfig, folder: Path, reranker: dict[str, Any], first: dict[str, Any]) -> str:
    """Which of a reranker's folds has not learnt from the queries that are held out; "" for the whole reranker."""
    own = config.judgements
    if own.held_out is None:
        return ""
    number, wanted = own.held_out, (own.folds, config.seed)
    if first["rate"] and (first["held_out"] != number or (first["folds"], first["seed"]) != wanted):
        raise UsageError(
            f"judgements.held_out: the run of distillation.reranker has learnt from queries of fold {number}; train it "
            "with judgements.rate=0, or with the same judgements and seed"
        )
    folds = (reranker["judged"]["folds"], reranker["seed"])
    if not folds[0]:
        return ""
    if first["rate"] or folds != wanted or not (folder / f"fold-{number}").is_dir():
        raise UsageError(
            f"judgements.held_out: {folder} has learnt from queries of fold {number}; train it for a run with "
            f"judgements.rate=0, with judged.folds={own.folds} judged.keep_folds=true seed={config.seed}, or with "
            "judged.folds=0"
        )
    return f"fold-{number}"
