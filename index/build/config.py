"""The typed configuration of `python -m index.build`; its values live in `conf/build.yaml`."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from data_prep.config import require
from data_prep.errors import UsageError
from index.build.inputs import CROSS_ENCODER_CHOICES
from index.calibration.settings import IndexSettings


@dataclass
class ExportConfig:
    """How the models are run that a bundle serves with.

    Attributes:
        enabled: whether user tower and cross-encoder are written as ONNX graphs; without, torch runs them.
        int8: whether the cross-encoder may be in int8.
        users: users on whose shortlists int8 is compared with float32.
        candidates: in each of them.
        max_ndcg_loss: the most NDCG@10 that int8 may cost where users went on to candidates.
        min_rank_correlation: Spearman's correlation that the two orders need where none did.
    """

    enabled: bool
    int8: bool
    users: int
    candidates: int
    max_ndcg_loss: float
    min_rank_correlation: float

    def __post_init__(self) -> None:
        for name in ("users", "candidates"):
            require(f"export.{name}", getattr(self, name), 1)


@dataclass
class BuildConfig:
    """Run and data to build from, the folder to build into, and gates that must hold.

    Attributes:
        run: folder of a training run.
        data: folder of the dataset it was trained on; null finds it.
        artifacts: folder of everything the commands make.
        bundles: folder of all versions and of the link `current`.
        dim: length that the towers' part of the vectors is cut to, one of those the run was trained for (`loss.dims`);
            null for all of it.
        index: how the index is chosen; a file of `conf/index/`.
        funnel: whether to publish the run's funnels, for users and for queries, as far as their training found them
            better than recall alone.
        fallbacks: lists of which one may answer users without history, by name; conf/fallbacks.
        recall_k: depth of index recall.
        recall_target: index recall that calibration aims for.
        recall_floor: index recall below which nothing is published.
        calibration_users: users whose vectors calibration searches with.
        bytes_per_item: the most bytes of memory that index and stored vectors may take for each item; null for any.
        trial_rows: items that several indexes are tried on; of a larger catalogue so many are drawn.
        kept_history: newest events remembered of each user, so that a caller need only name one; the towers read
            fewer, the others still count as seen.
        cross_encoder: whether to publish the run's cross-encoder: `if_better` than the recall order on users or queries
            that it did not learn from, `always` or `never`.
        warm: take vectors of unchanged items, and the index's training, from the current bundle if its model is the
            same one.
        changes_since: changes logged from then on are merged into the item table, ISO 8601; null for when the data
            were prepared.
        export: how the models are run.
        points_per_list: training vectors for each inverted list.
        threads: of FAISS and torch; null for one on each core.
        require_gpu: refuse to build without one.
        seed: of every sample drawn.
    """

    run: Path
    data: Path | None
    artifacts: Path
    bundles: Path
    dim: int | None
    index: Any
    recall_k: int
    recall_target: float
    recall_floor: float
    calibration_users: int
    bytes_per_item: float | None
    trial_rows: int
    kept_history: int
    cross_encoder: str
    funnel: bool
    fallbacks: dict[str, Any]
    warm: bool
    changes_since: str | None
    export: ExportConfig
    points_per_list: int
    threads: int | None
    require_gpu: bool
    seed: int

    def __post_init__(self) -> None:
        if self.cross_encoder not in CROSS_ENCODER_CHOICES:
            choices = ", ".join(CROSS_ENCODER_CHOICES)
            raise UsageError(f"cross_encoder must be one of {choices}, not {self.cross_encoder!r}")
        for name in ("recall_target", "recall_floor"):
            require(name, getattr(self, name), 0, 1)
        for name in ("recall_k", "calibration_users", "trial_rows", "kept_history", "points_per_list"):
            require(name, getattr(self, name), 1)
        if self.changes_since is not None:
            parse_time("changes_since", self.changes_since)
        if self.bytes_per_item is not None and self.bytes_per_item <= 0:
            raise UsageError(f"bytes_per_item must be above 0, or null for any, not {self.bytes_per_item}")
        if self.threads is not None:
            require("threads", self.threads, 1)

    @property
    def index_settings(self) -> IndexSettings:
        """How the index is trained, tried and calibrated."""
        return IndexSettings(
            recall_k=self.recall_k,
            recall_target=self.recall_target,
            bytes_per_item=self.bytes_per_item,
            trial_rows=self.trial_rows,
            points_per_list=self.points_per_list,
            require_gpu=self.require_gpu,
            seed=self.seed,
        )


def parse_time(name: str, text: str) -> datetime:
    """A moment as configured, in UTC where it does not say.

    Raises:
        UsageError: it is none; the message has the name.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"{name} must be a time such as 2026-11-24T08:00:00+00:00, not {text!r}") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
