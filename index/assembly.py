"""From trained towers and a dataset to a published bundle: every step of a build, in order."""

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import faiss
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from data_prep.columns import Split
from data_prep.command import GateFailed
from data_prep.dataset import Dataset
from data_prep.files import require_space
from data_prep.progress import track
from index.bundle import POPULARITY
from index.calibrate import Calibration, calibrate
from index.config import BuildConfig
from index.factory import IndexChoice, make_index
from index.gates import check_items, check_vectors
from index.histories import Histories
from index.inputs import Inputs
from index.publish import new_bundle, switch_current
from index.report import BuildResult, as_json
from index.write import Contents, check_answers, name_version, write_contents
from towers import History, Model, ModelEncoder
from towers.history import Sequences
from towers.material import read_sequences

log = logging.getLogger(__name__)

USERS_AT_ONCE = 256
PROOFS = 8
"""Users whose answers are compared with those of the bundle as written, before it is published."""

HEADROOM = 256_000_000
"""Bytes asked for beyond what can be foreseen: text encoder, tokenizer, tables."""


@dataclass
class Stages:
    """Wall time of a build's stages, by the monotonic clock."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Time the block and log it."""
        start = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - start, 3)
        log.info("%s: %.1f s", name, self.seconds[name])


def assemble(config: BuildConfig, inputs: Inputs, choice: IndexChoice) -> BuildResult:
    """Build and publish a bundle.

    Args:
        config: the command's.
        inputs: run and data, which belong together.
        choice: how the index is chosen.

    Raises:
        GateFailed: unservable items, NaN vectors, index recall below the floor, no room; nothing is switched.
    """
    threads = config.threads or os.cpu_count() or 1
    torch.set_num_threads(threads)
    faiss.omp_set_num_threads(threads)
    stages = Stages()
    with stages("read"):
        model = Model.open(inputs.run)
        model = model if config.dim is None else model.cut(config.dim)
        items, sequences = _read(inputs.dataset, model.towers.users.attributes.columns)
        # Item vectors, the index, and at most as much again for what items say of users who had them.
        require_space(config.bundles, 3 * len(items) * model.dim * 4 + HEADROOM)
    with stages("encode items"):
        vectors = np.ascontiguousarray(model.item_vectors(items), np.float32)
        check_vectors(vectors, items, model.dim)
    with stages("index"):
        plan = choice.plan(len(items), model.dim)
        log.info("index %s: %s", plan.factory, plan.reason)
        index = make_index(plan, vectors, config.points_per_list, config.seed, config.require_gpu)
    with stages("encode users"):
        encoder = model.user_encoder(items, vectors)
        histories = Histories.collect(sequences, config.kept_history)
        users = _sample_users(encoder, histories, config.calibration_users, config.seed)
    with stages("calibrate"):
        calibration = calibrate(index, vectors, users, config.recall_k, config.recall_target)
        _check_recall(calibration, config.recall_floor)
    report = as_json(plan, calibration, config.recall_floor, stages.seconds)
    contents = Contents(inputs, model, items, vectors, plan, index, histories, calibration, report)
    version = name_version(contents)
    with stages("write"):
        with new_bundle(config.bundles, version) as folder:
            write_contents(folder, version, contents)
            check_answers(folder, contents, users[:PROOFS])
        switch_current(config.bundles, version)
    path = config.bundles / version
    return BuildResult(
        version=version,
        path=path,
        items=len(items),
        users=len(histories),
        dim=model.dim,
        plan=plan,
        calibration=calibration,
        floor=config.recall_floor,
        sizes=_sizes(path),
        seconds=stages.seconds,
    )


def _read(dataset: Dataset, attributes: list[str]) -> tuple[pd.DataFrame, Sequences]:
    items = dataset.items.reset_index(drop=True)
    check_items(items)
    sequences = read_sequences(dataset, "", attributes)
    training = sequences.rows[sequences.splits == Split.TRAIN]
    return items.assign(**{POPULARITY: np.bincount(training, minlength=len(items))}), sequences


def _sample_users(encoder: ModelEncoder, histories: Histories, size: int, seed: int) -> NDArray[np.float32]:
    """Vectors of users drawn at random, [U, D] or [U, K, D]; of a stranger where there are no users."""
    drawn = np.random.default_rng(seed).permutation(len(histories))[:size]
    sample = [histories.at(int(place)) for place in drawn] or [History.empty()]
    blocks = [sample[start : start + USERS_AT_ONCE] for start in range(0, len(sample), USERS_AT_ONCE)]
    return np.concatenate([encoder.encode(block, [""] * len(block)) for block in track(blocks, "Encoding users")])


def _check_recall(calibration: Calibration, floor: float) -> None:
    k = calibration.parameters.k
    if calibration.recall < floor:
        best = max(point.recall for point in calibration.curve)
        raise GateFailed(
            f"index recall@{k} is {calibration.recall:.4f}, below recall_floor={floor:g} (the best setting "
            f"tried reached {best:.4f}); nothing was published: fewer dims_per_code in conf/index, or index=exact"
        )
    if not calibration.reached:
        log.warning("no setting reached the target; index recall@%d is %.4f", k, calibration.recall)


def _sizes(folder: Path) -> dict[str, int]:
    """Bytes of a bundle's files, the folders in it taken together, largest first."""
    sizes: dict[str, int] = {}
    for path in folder.rglob("*"):
        if path.is_file():
            name = path.relative_to(folder).parts[0]
            sizes[name] = sizes.get(name, 0) + path.stat().st_size
    return dict(sorted(sizes.items(), key=lambda entry: -entry[1]))
