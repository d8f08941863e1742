"""From a reranker to lessons for the towers: candidates mined by a first run, each read once by its cross-encoder."""

import hashlib
import logging
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_prep.columns import Columns, Split
from data_prep.dataset import Dataset
from data_prep.errors import GateFailed
from data_prep.files import fingerprint
from data_prep.progress import track
from towers.candidate_groups import Group
from towers.config import TrainConfig
from towers.cross_encoder import CrossEncoder
from towers.history import NO_QUERY
from towers.interactions import Interactions
from towers.judged import JudgedQueries
from towers.lessons import Lesson
from towers.material import Material
from towers.mining import groups, shortlists
from towers.model import Model
from towers.moments import Moment, of_events, of_items, of_judgements
from towers.reranker_comparison import readings
from towers.scoring import model_scorer
from towers.teacher import Teacher
from towers.tokens import PADDING
from towers.vector_file import save_vectors
from towers.weighing import ONE_VECTOR

log = logging.getLogger(__name__)

MOMENTS_AT_ONCE = 256
"""Moments whose candidates are found, or read, at a time: what an interruption loses at most."""


def lessons_of(
    config: TrainConfig,
    teacher: Teacher,
    dataset: Dataset,
    material: Material,
    judged: JudgedQueries | None,
    until: Split,
) -> list[Lesson]:
    """What the towers are to learn from a reranker, the scores taken from the cache where they are there.

    Args:
        config: everything.
        teacher: the reranker and its run.
        dataset: the data.
        material: the same as the towers read it.
        judged: judged queries that may be learnt from.
        until: first split whose events may not.

    Raises:
        GateFailed: there is nothing to learn from.
    """
    if not teacher.better:
        log.warning("%s was not found better than the recall order: it may have nothing to teach", teacher.folder)
    settings, model = config.distillation, Model.open(teacher.run)
    reranker = CrossEncoder.load(teacher.folder)
    first = model_scorer(ONE_VECTOR, model, dataset.items)
    length = max(config.tower.max_history, first.max_history)
    moments = moments_of(config, material, judged, until, length)
    titles = [str(title) for title in dataset.items[Columns.TITLE]]
    found = shortlists(first.score, moments, titles, reranker.rendering, settings.depth, MOMENTS_AT_ONCE)
    rng = np.random.default_rng((config.seed, 5))
    rows = {text: row for row, text in enumerate(material.texts[len(material.items) :], start=len(material.items))}
    lessons = [
        Lesson(moment.history, rows[moment.query] if moment.query else PADDING, group)
        for moment, one in zip(moments, found, strict=True)
        for group in groups([one], settings.wanted, settings.others, add_missed=True, rng=rng)
    ]
    if not lessons:
        raise GateFailed(
            f"distillation: {len(moments)} moments gave nothing to learn; raise distillation.events for users, or "
            "distillation.items for queries derived from items"
        )
    texts = reranker.rendering.items(dataset.items)
    cache = config.artifacts / "cache" / "distillation"
    scored = teach(teacher.fingerprint, reranker, [one.group for one in lessons], texts, cache)
    log.info("%d lessons from %s", len(lessons), teacher.folder)
    return [replace(one, group=group) for one, group in zip(lessons, scored, strict=True)]


def moments_of(
    config: TrainConfig, material: Material, judged: JudgedQueries | None, until: Split, length: int
) -> list[Moment]:
    """Moments to be taught: of training users, of strangers who ask for items, and judged queries.

    Args:
        config: how many.
        material: the log and the texts of queries.
        judged: judged queries that may be learnt from.
        until: first split whose events may not.
        length: newest events kept of a history.
    """
    settings, log_of = config.distillation, material.sequences
    rng = np.random.default_rng((config.seed, 4))
    derived = ["" if row == PADDING else material.texts[row] for row in material.derived[:, 0]]

    def asked(position: int) -> str:
        logged = int(log_of.queries[position])
        if logged != NO_QUERY:
            return material.texts[material.first_logged + logged]
        return derived[log_of.rows[position]] if rng.random() < config.queries.rate else ""

    events = Interactions.of(log_of, len(material.items), until)
    found = of_events(events, log_of, settings.events, asked, length, rng)
    found += of_items(derived, settings.items, rng)
    if judged is not None and config.judgements.rate:
        texts = [config.queries.text(query) for query in judged.queries]
        found += [moment for moment in of_judgements(texts, judged.rows, judged.grades) if moment.query]
    return found


def teach(
    name: str, teacher: CrossEncoder, material: Sequence[Group], texts: Sequence[str], cache: Path
) -> list[Group]:
    """The groups with a reranker's scores, which are computed once and kept: an interrupted reading goes on.

    What is kept is what reading adds. The rest of a score is recall's, and known.

    Args:
        name: of the reranker, its fingerprint.
        teacher: who scores.
        material: groups.
        texts: what it reads of every item, [N].
        cache: folder of the cache; those of different readers and groups are apart in it.
    """
    weight, found = teacher.recall_weight.item(), []
    folder = cache / fingerprint(name, _digest(material, texts))
    for start in track(range(0, len(material), MOMENTS_AT_ONCE), "asking the reranker"):
        some = material[start : start + MOMENTS_AT_ONCE]
        lengths = [len(group.rows) for group in some]
        read = _kept(folder / f"{start:09d}.npy", sum(lengths))
        if read is None:
            read = np.concatenate(readings(teacher, some, texts))
            _keep(folder / f"{start:09d}.npy", read)
        parts = np.split(read, np.cumsum(lengths)[:-1])
        found += [replace(group, teacher=part + weight * group.scores) for group, part in zip(some, parts, strict=True)]
    return found


def _digest(material: Sequence[Group], texts: Sequence[str]) -> str:
    """Of all that a reader is shown."""
    digest = hashlib.blake2b(digest_size=16)
    for group in material:
        digest.update(f"{len(group.rows)} {group.context}".encode("utf-8", "surrogatepass"))
        digest.update(group.rows.tobytes())
    for text in texts:
        digest.update(f"{len(text)} {text}".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _kept(path: Path, count: int) -> NDArray[np.float32] | None:
    """What was read of `count` pairs; None where it was not, or the file is damaged."""
    if not path.is_file():
        return None
    try:
        found: NDArray[np.float32] = np.load(path, allow_pickle=False)
        if found.shape == (count,) and found.dtype == np.float32:
            return found
    except (ValueError, EOFError):
        pass
    log.warning("%s is damaged: its candidates are read again", path)
    return None


def _keep(path: Path, read: NDArray[np.float32]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    save_vectors(partial, read)
    partial.replace(path)
