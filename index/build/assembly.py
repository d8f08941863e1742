"""From trained towers and a dataset to a published bundle: every step of a build, in order."""

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Self

import faiss
import numpy as np
import torch
from numpy.typing import NDArray

from data_prep.command import GateFailed
from data_prep.dataset import Dataset
from data_prep.files import fingerprint, require_space
from data_prep.progress import track
from index.build.catalogue import Catalogue, Comparison, LoggedChanges, compare, same_items
from index.build.config import BuildConfig, parse_time
from index.build.encoding import EncodedItems, Reuse, clear_working, encode_catalogue
from index.build.inputs import Inputs
from index.build.model_recall import model_recall
from index.build.previous_bundle import PreviousBundle
from index.build.report import BuildReport, BuildResult, Origin, channels_of
from index.build.users_without_history import decide
from index.build.write import Contents, check_answers, name_version, write_contents
from index.bundle.change_log import CHANGES, ChangeLog
from index.bundle.histories import Histories
from index.bundle.parts import BundleParts
from index.bundle.publication import disk_full_said, new_bundle, switch_current
from index.calibration.calibration import Calibration
from index.calibration.index_choice import IndexChoice
from index.calibration.index_trials import ChosenIndex, choose_index, take_over
from index.search.factory import Plan
from towers import CrossEncoder, Funnel, History, ModelEncoder, OneVectorModel
from towers.model import RunRecord

log = logging.getLogger(__name__)

USERS_AT_ONCE = 256
PROOFS = 8
"""Users whose answers are compared with those of the bundle as written, before it is published."""

HEADROOM = 256_000_000
"""Bytes asked for beyond the foreseeable: text encoder, tokenizer, tables."""


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


@dataclass(frozen=True)
class Sources:
    """All that a bundle is built from, read.

    Attributes:
        run: its record.
        model: towers and blocks.
        changes: logged changes of the items.
        catalogue: items and the log over them.
        plans: indexes worth trying.
        funnel, query_funnel: over those items; None where recall alone does as well.
        previous: the bundle before; None where there is none.
        same_model: whether vectors and training of that bundle can be taken over.
    """

    run: RunRecord
    model: OneVectorModel
    changes: LoggedChanges
    catalogue: Catalogue
    plans: list[Plan]
    funnel: Funnel | None
    query_funnel: Funnel | None
    previous: PreviousBundle | None
    same_model: bool

    @classmethod
    def read(cls, config: BuildConfig, inputs: Inputs, choice: IndexChoice) -> Self:
        """Read run, dataset, changes and the bundle before.

        Raises:
            GateFailed: unservable items, or no room for their vectors.
        """
        run = RunRecord.read(inputs.run)
        model = OneVectorModel.open(inputs.run)
        model = model if config.dim is None else model.cut(config.dim)
        changes = _logged_changes(config, inputs.dataset)
        catalogue = Catalogue.read(inputs.dataset, run.settings.log, changes)
        count = len(catalogue.items)
        plans = choice.plans(count, model.dim)
        funnel, query_funnel = (_funnel(folder, catalogue) for folder in (inputs.funnel, inputs.query_funnel))
        previous = PreviousBundle.open(config.bundles)
        same_model = config.warm and previous is not None and previous.is_of(model.fingerprint, model.dim)
        # Item vectors, once in the working folder, the index, and at most as much again for histories.
        require_space(config.bundles, 4 * count * model.dim * 4 + HEADROOM)
        return cls(run, model, changes, catalogue, plans, funnel, query_funnel, previous, same_model)


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
        sources = Sources.read(config, inputs, choice)
        model, catalogue, items = sources.model, sources.catalogue, sources.catalogue.items
    with stages("encode items"):
        encoded, comparison = _encode(config, inputs, sources)
        vectors = encoded.vectors
        user_encoder = model.user_encoder(items, vectors)
    with stages("users without history"):
        without_history, fallback = decide(config, sources.run, model, catalogue, vectors, user_encoder)
    with stages("encode users"):
        histories = Histories.collect(catalogue.sequences, config.kept_history)
        users = _sample_users(user_encoder, histories, config.calibration_users, config.seed)
    with stages("index"):
        chosen, warm = _index(config, sources, vectors, users)
        log.info("index %s: %s", chosen.plan.factory, chosen.plan.reason)
        _check_recall(chosen.calibration, config.recall_floor)
    trained = inputs.cross_encoder.folder
    parts = BundleParts(
        items=items,
        vectors=vectors,
        index=chosen.searched,
        user_encoder=user_encoder,
        item_encoder=model.item_encoder(items, vectors, user_encoder),
        histories=histories,
        cross_encoder=None if trained is None else CrossEncoder.load(trained),
        funnel=sources.funnel,
        query_funnel=sources.query_funnel,
        fallback=fallback,
    )
    report = BuildReport(
        plan=chosen.plan,
        calibration=chosen.calibration,
        trials=chosen.trials,
        tried_on=chosen.tried_on,
        floor=config.recall_floor,
        model_recall=model_recall(inputs.run, inputs.fingerprints["run"], config.dim),
        origin=Origin(comparison, encoded.computed, encoded.reused, encoded.resumed, warm),
        cross_encoder=inputs.cross_encoder,
        funnel=channels_of(sources.funnel, sources.query_funnel),
        users_without_history=without_history,
        seconds=stages.seconds,
    )
    contents = Contents(parts, inputs, model, sources.changes.merged, chosen, catalogue.sequences, report)
    return _publish(config, contents, users[:PROOFS], stages)


def _publish(config: BuildConfig, contents: Contents, users: NDArray[np.float32], stages: Stages) -> BuildResult:
    """Write a bundle, check that it answers some users as its contents do, and make it current."""
    version = name_version(contents)
    with stages("write"):
        with new_bundle(config.bundles, version) as folder:
            served = write_contents(folder, version, contents, config)
            check_answers(folder, contents, users)
        switch_current(config.bundles, version)
        clear_working(config.bundles)
    path = config.bundles / version
    return BuildResult(
        **{field.name: getattr(contents.report, field.name) for field in fields(BuildReport)},
        version=version,
        path=path,
        items=len(contents.parts.items),
        users=len(contents.parts.histories),
        dim=contents.model.dim,
        sizes=_sizes(path),
        served=served,
    )


def _funnel(folder: Path | None, catalogue: Catalogue) -> Funnel | None:
    """A funnel of the run over the catalogue as it is now; None where it adds nothing to recall alone."""
    if folder is None:
        return None
    funnel = Funnel.load(folder)
    return funnel.over(catalogue.rows, catalogue.items) if funnel.reorders else None


def _logged_changes(config: BuildConfig, dataset: Dataset) -> LoggedChanges:
    """The changes that are newer than the item table, or than the time that was asked for."""
    since = parse_time("changes_since", config.changes_since or dataset.manifest.created)
    changes = ChangeLog(config.bundles / CHANGES)
    logged = LoggedChanges.read(changes, since)
    if logged.merged is not None:
        log.info("%d items have changed since %s, by %s", len(logged.newest), since.isoformat(), changes.path)
    return logged


def _encode(config: BuildConfig, inputs: Inputs, sources: Sources) -> tuple[EncodedItems, Comparison | None]:
    """Item vectors, those of unchanged items from the bundle before, and the difference of the catalogue from that."""
    model, items, changes, previous = sources.model, sources.catalogue.items, sources.changes, sources.previous
    comparison, reuse = None, None
    if previous is not None:
        same = same_items(previous.items, items)
        comparison = compare(previous.manifest.version, previous.items, items, same)
        log.info("%s", comparison)
        if sources.same_model:
            reuse = Reuse(previous.vectors, same)
    key = fingerprint(model.fingerprint, str(model.dim), inputs.dataset.fingerprint, str(changes.merged), changes.mark)
    with disk_full_said(config.bundles):
        try:
            return encode_catalogue(model.item_vectors, items, model.dim, config.bundles, key, reuse), comparison
        except OSError:  # a full disk, most likely: vectors so far are worth less than the room they take
            clear_working(config.bundles)
            raise


def _index(
    config: BuildConfig, sources: Sources, vectors: NDArray[np.float32], users: NDArray[np.float32]
) -> tuple[ChosenIndex, bool]:
    """The index of the catalogue, and whether it has the training of the previous bundle's."""
    trained = None
    if sources.same_model and sources.previous is not None:
        trained = sources.previous.trained(sources.plans)
    if trained is not None:
        chosen = take_over(*trained, vectors, users, config.index_settings)
        if chosen is not None:
            return chosen, True
        log.info("centroids and codes of the bundle before miss recall_target; chosen and trained anew")
    return choose_index(sources.plans, vectors, users, config.index_settings), False


def _sample_users(encoder: ModelEncoder, histories: Histories, size: int, seed: int) -> NDArray[np.float32]:
    """Vectors of users drawn at random, [U, D] or [U, K, D]; of one without history where there are no users."""
    drawn = np.random.default_rng(seed).permutation(len(histories))[:size]
    sample = [histories.at(int(user)) for user in drawn] or [History.empty()]
    blocks = [sample[start : start + USERS_AT_ONCE] for start in range(0, len(sample), USERS_AT_ONCE)]
    return np.concatenate([encoder.encode(block, [""] * len(block)) for block in track(blocks, "Encoding users")])


def _check_recall(calibration: Calibration, floor: float) -> None:
    k = calibration.parameters.k
    if calibration.recall < floor:
        best = max(point.recall for point in calibration.curve)
        raise GateFailed(
            f"index recall@{k} is {calibration.recall:.4f}, below recall_floor={floor:g} (the best setting "
            f"tried reached {best:.4f}); nothing was published: index.vectors=float32, other index.factories, "
            "or index=exact"
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
