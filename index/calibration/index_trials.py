"""Several indexes built, calibrated and timed on the catalogue's own vectors; the cheapest is taken."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from data_prep.errors import GateFailed
from index.calibration.calibration import TIMED_QUERIES, Calibration, Yardstick, calibrate
from index.calibration.measures import TIMED_ROUNDS, milliseconds_a_query, recall_against
from index.calibration.settings import IndexSettings
from index.search.exact import exact_search
from index.search.factory import Plan, centroids_of, fill, train_index
from index.search.item_index import ItemIndex
from index.search.list_means import find_by_the_better
from index.search.stored_vectors import AUTO, FORMATS, StoredVectors, bytes_of

FORM_SHARE = 0.25
"""Share of the recall that the target leaves open which rounding the stored vectors may take."""

FORM_QUERIES = 256
"""User vectors that a format is compared on."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class IndexTrial:
    """An index that was tried, and the recall and time it reached.

    Attributes:
        factory: FAISS's factory string.
        vectors: format of the stored vectors.
        bytes_per_item: of index and stored vectors together.
        recall: index recall@k at the setting below, on users on whom it was not chosen; null where it was not searched,
            being over the budget.
        nprobe, rescore: the cheapest setting that reaches the target, or the best there is.
        milliseconds: of processor time a query at that setting, all indexes timed by turns.
        reached: whether the target was reached.
    """

    factory: str
    vectors: str
    bytes_per_item: float
    recall: float | None = None
    nprobe: int | None = None
    rescore: float | None = None
    milliseconds: float | None = None
    reached: bool = False


@dataclass(frozen=True)
class ChosenIndex:
    """The index that was taken.

    Attributes:
        plan: its factory string, and the reason for it.
        index: trained and filled, a CPU `faiss.Index`.
        stored: the vectors that its candidates are scored again with.
        calibration: how it is searched, and the recall that this reaches.
        trials: the indexes that were tried, none where there was nothing to choose.
        tried_on: items they were tried on.
    """

    plan: Plan
    index: Any
    stored: StoredVectors
    calibration: Calibration
    trials: list[IndexTrial]
    tried_on: int

    @property
    def searched(self) -> ItemIndex:
        """The search over it."""
        return ItemIndex(self.stored, self.index, self.calibration.parameters)


@dataclass(frozen=True)
class _Fit:
    stored: StoredVectors
    calibration: Calibration


@dataclass(frozen=True)
class _Candidate:
    plan: Plan
    index: Any
    bytes_per_item: float
    fit: _Fit | None  # none where it is over the budget


def choose_index(
    plans: Sequence[Plan], vectors: NDArray[np.float32], users: NDArray[np.float32], settings: IndexSettings
) -> ChosenIndex:
    """Build the index of a catalogue: the one planned, or of several the cheapest that recalls enough.

    Of a catalogue of more than `trial_rows` items so many are drawn, and k is lowered in proportion: as far from a
    query as the k-th item of all is the k-th part of the sample, so codes are asked to tell apart what they will
    have to.

    Args:
        plans: at least one.
        vectors: [N, D] finite, may be memory-mapped.
        users: [U, D] or [U, K, D] vectors of real users.
        settings: how they are trained, tried and calibrated.

    Raises:
        GateFailed: none is within `bytes_per_item`.
    """
    part = _part(vectors, settings.trial_rows, settings.seed)
    k = max(1, round(settings.recall_k * len(part) / len(vectors)))
    if any(plan.vectors == AUTO for plan in plans):
        form = coarsest_form(part, users, k, settings.recall_target)
        plans = [replace(plan, vectors=form) if plan.vectors == AUTO else plan for plan in plans]
    if len(plans) == 1:
        return _built(plans[0], vectors, users, settings, None, [], 0)
    candidates: list[_Candidate] = []
    centroids, yardstick = None, Yardstick.of(part, users, k)
    for plan in plans:
        index = train_index(plan, vectors, settings.points_per_list, settings.seed, settings.require_gpu, centroids)
        centroids = centroids_of(index) if centroids is None else centroids
        candidates.append(_tried(plan, index, yardstick, settings))
    best, fit, trials = _cheapest(
        candidates, users.reshape(-1, vectors.shape[1])[:TIMED_QUERIES], settings.bytes_per_item
    )
    plan = replace(best.plan, reason=_reason(best.plan, trials, len(part)))
    if len(part) < len(vectors):
        return _built(plan, vectors, users, settings, centroids, trials, len(part))
    return ChosenIndex(plan, best.index, fit.stored, fit.calibration, trials, len(part))


def take_over(
    plan: Plan, trained: Any, vectors: NDArray[np.float32], users: NDArray[np.float32], settings: IndexSettings
) -> ChosenIndex | None:
    """An index that was chosen and trained before, filled with other vectors; None where it is not good enough.

    Args:
        plan: of the index.
        trained: a trained, empty `faiss.Index`.
        vectors, users, settings: as `choose_index`'s.
    """
    candidate = _tried(plan, trained, Yardstick.of(vectors, users, settings.recall_k), settings)
    if candidate.fit is None or not candidate.fit.calibration.reached:
        return None
    return ChosenIndex(candidate.plan, trained, candidate.fit.stored, candidate.fit.calibration, [], 0)


def coarsest_form(vectors: NDArray[np.float32], users: NDArray[np.float32], k: int, target: float) -> str:
    """The format of stored vectors in the fewest bytes that exact search over them can afford.

    Rounding may take at most `FORM_SHARE` of the recall that the target leaves open.

    Args:
        vectors: [N, D].
        users: [U, D] or [U, K, D].
        k: depth of the recall; a smaller catalogue lowers it to its size.
        target: index recall@k to reach.
    """
    k, queries = min(k, len(vectors)), users.reshape(-1, vectors.shape[1])[:FORM_QUERIES]
    truth = exact_search(vectors, queries, k)
    for form in ("int8", "float16"):
        stored = StoredVectors.keep(vectors, form)
        answers = exact_search(stored.numbers, stored.weighed(queries), k)
        lost = 1 - recall_against(answers, truth, vectors, queries)
        log.info("vectors stored as %s: exact search over them loses %.4f of recall@%d", form, lost, k)
        if lost <= FORM_SHARE * (1 - target):
            return form
    return "float32"


def _built(
    plan: Plan,
    vectors: NDArray[np.float32],
    users: NDArray[np.float32],
    settings: IndexSettings,
    centroids: NDArray[np.float32] | None,
    trials: list[IndexTrial],
    tried_on: int,
) -> ChosenIndex:
    index = train_index(plan, vectors, settings.points_per_list, settings.seed, settings.require_gpu, centroids)
    stored, yardstick = StoredVectors.keep(vectors, plan.vectors), Yardstick.of(vectors, users, settings.recall_k)
    _fill(index, yardstick, settings.recall_target)
    calibration = calibrate(index, yardstick, settings.recall_target, stored)
    return ChosenIndex(plan, index, stored, calibration, trials, tried_on)


def _fill(index: Any, yardstick: Yardstick, target: float) -> None:
    """Fill a trained index with a yardstick's vectors, and have it find its lists as the users find theirs soonest."""
    fill(index, yardstick.vectors)
    users = yardstick.choosing
    find_by_the_better(index, yardstick.vectors, users.queries, [hits.rows for hits in users.truth], target)


def _tried(plan: Plan, index: Any, yardstick: Yardstick, settings: IndexSettings) -> _Candidate:
    """Fill and calibrate a trained index, with vectors stored as planned, or coarser where the budget asks for it."""
    part = yardstick.vectors
    _fill(index, yardstick, settings.recall_target)
    codes = len(faiss.serialize_index(index)) / len(part)
    for form in list(FORMATS)[list(FORMATS).index(plan.vectors) :]:
        plan = replace(plan, vectors=form)
        size = codes + bytes_of(form, part.shape[1])
        if settings.bytes_per_item is None or size <= settings.bytes_per_item:
            stored = StoredVectors.keep(part, form)
            calibration = calibrate(index, yardstick, settings.recall_target, stored)
            log.info("%s, %s: %.0f bytes an item, index recall %.4f", plan.factory, form, size, calibration.recall)
            return _Candidate(plan, index, size, _Fit(stored, calibration))
    log.info("%s: %.0f bytes an item, over the budget of %g", plan.factory, size, settings.bytes_per_item)
    return _Candidate(plan, index, size, None)


def _cheapest(
    candidates: list[_Candidate], queries: NDArray[np.float32], budget: float | None
) -> tuple[_Candidate, _Fit, list[IndexTrial]]:
    """The candidate to take, and the trials of all of them: cheapest first, those that miss the target last."""
    times = _times(candidates, queries)
    trials = {id(each): _trial(each, times.get(id(each))) for each in candidates}

    def order(candidate: _Candidate) -> tuple[bool, bool, float]:
        trial = trials[id(candidate)]
        if trial.milliseconds is None or trial.recall is None:
            return True, True, trial.bytes_per_item
        return False, not trial.reached, trial.milliseconds if trial.reached else -trial.recall

    ordered = sorted(candidates, key=order)
    if ordered[0].fit is None:
        raise GateFailed(
            f"no index is within bytes_per_item={budget:g}: the smallest, {ordered[0].plan.factory}, takes "
            f"{ordered[0].bytes_per_item:.0f}; raise the budget, or shorten the vectors with dim"
        )
    return ordered[0], ordered[0].fit, [trials[id(each)] for each in ordered]


def _times(candidates: list[_Candidate], queries: NDArray[np.float32]) -> dict[int, float]:
    """Milliseconds a query of each that was calibrated, by turns, so that a disturbance is shared."""
    times: dict[int, float] = {}
    for _ in range(TIMED_ROUNDS):
        for each in candidates:
            if each.fit is not None:
                parameters = each.fit.calibration.parameters
                taken = milliseconds_a_query(ItemIndex(each.fit.stored, each.index, parameters), queries, parameters.k)
                times[id(each)] = min(taken, times.get(id(each), taken))
    return times


def _trial(candidate: _Candidate, taken: float | None) -> IndexTrial:
    tried = IndexTrial(candidate.plan.factory, candidate.plan.vectors, round(candidate.bytes_per_item, 1))
    if candidate.fit is None:
        return tried
    calibration = candidate.fit.calibration
    return replace(
        tried,
        recall=calibration.recall,
        nprobe=calibration.parameters.nprobe,
        rescore=calibration.parameters.rescore,
        milliseconds=taken,
        reached=calibration.reached,
    )


def _reason(plan: Plan, trials: list[IndexTrial], rows: int) -> str:
    """The reason of the plan, and how the index did against the others."""
    first, *others = trials
    rivals = [
        f"{each.factory} {each.milliseconds:.2f} ms{'' if each.reached else ', under the target'}"
        if each.milliseconds is not None
        else f"{each.factory} over the budget"
        for each in others
    ]
    claim = "cheapest that reaches the target" if first.reached else "nearest to the target, which none reaches"
    return (
        f"{plan.reason}; {claim} of {len(trials)} tried on {rows:,}: {first.milliseconds:.2f} ms ({'; '.join(rivals)})"
    )


def _part(vectors: NDArray[np.float32], size: int, seed: int) -> NDArray[np.float32]:
    if len(vectors) <= size:
        return vectors
    return vectors[np.sort(np.random.default_rng(seed).choice(len(vectors), size, replace=False))]
