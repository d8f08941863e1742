"""The cross-encoder as an ONNX graph for serving, and the cost of int8 to the order of its candidates."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from data_prep.columns import Columns, Split
from data_prep.errors import GateFailed
from index.build.config import ExportConfig
from index.bundle.parts import BundleParts
from towers import CrossEncoder, InputTemplate
from towers.events import Sequences
from towers.metrics import CUTOFF, Cases
from towers.model import ONE_VECTOR, VectorScorer
from towers.modules import FLOAT32, INT8
from towers.ranking import (
    RankingExample,
    Shortlist,
    export_cross_encoder,
    graph_path,
    load_exported,
    quantise_cross_encoder,
    shortlist_ndcg,
    shortlists,
    user_examples,
)

log = logging.getLogger(__name__)

SCORES_AT_ONCE = 2**25
"""Of every item for some users, when shortlists are made."""

PROOFS = 8
"""Shortlists on which the graph has to score as torch does."""

TOLERANCE = 1e-4
"""Difference of their scores that is let pass, in units of the largest score where that is above 1."""


@dataclass(frozen=True)
class Int8Loss:
    """The cost of int8 to a cross-encoder, beside float32 on the same shortlists.

    Attributes:
        shortlists: how many were compared.
        largest_difference: of the two scores of a candidate.
        rank_correlation: mean over the shortlists of Spearman's correlation of the two orders.
        with_relevant: shortlists among them with something that the user went on to.
        ndcg_float32, ndcg_int8: mean NDCG@10 over those; None where there are none.
    """

    shortlists: int
    largest_difference: float
    rank_correlation: float
    with_relevant: int
    ndcg_float32: float | None
    ndcg_int8: float | None

    def __str__(self) -> str:
        ndcg = "nobody went on to a candidate"
        if self.ndcg_float32 is not None and self.ndcg_int8 is not None:
            ndcg = f"NDCG@{CUTOFF} {self.ndcg_int8 - self.ndcg_float32:+.4f} on {self.with_relevant:,} users"
        return f"{ndcg}, rank correlation {self.rank_correlation:.4f} on {self.shortlists:,}"


@dataclass(frozen=True)
class ServedCrossEncoder:
    """How a bundle's cross-encoder is run.

    Attributes:
        precision: of its graph; "" where torch runs it.
        why: in words.
        loss: cost of int8; None where it was not measured.
    """

    precision: str
    why: str
    loss: Int8Loss | None = None


@dataclass(frozen=True)
class Shortlisting:
    """Recall's best candidates for users, on which two precisions are compared.

    Attributes:
        parts: of the bundle: items, their vectors, the user encoder, histories for where nothing is held out.
        sequences: the log.
        exclude_seen: whether items of a history are left out.
    """

    parts: BundleParts
    sequences: Sequences
    exclude_seen: bool

    def shortlists(self, input_template: InputTemplate, config: ExportConfig, seed: int) -> list[Shortlist]:
        """Shortlists of users whose validation events are held out, or of any users where none are.

        The test split has no say in the bundle.

        Args:
            input_template: how users are shown to the cross-encoder.
            config: how many.
            seed: draws the users.
        """
        items, users = self.parts.items, self.parts.user_encoder
        item_ids = [str(item_id) for item_id in items[Columns.ITEM_ID]]
        cases = Cases.held_out(self.sequences, item_ids, Split.VALID, self.exclude_seen, [CUTOFF], config.users, seed)
        examples = user_examples(cases, [], 0.0, np.random.default_rng(seed)) or self._any_users(config.users, seed)
        vectors = np.require(self.parts.vectors, requirements="W")
        recall = VectorScorer(ONE_VECTOR, users.encode, vectors, users.max_history).score
        titles = [str(title) for title in items[Columns.TITLE]]
        at_once = max(1, SCORES_AT_ONCE // len(titles))
        return list(shortlists(recall, examples, titles, input_template, config.candidates, at_once))

    def _any_users(self, count: int, seed: int) -> list[RankingExample]:
        histories, nothing = self.parts.histories, np.zeros(0, np.int64)
        drawn = np.random.default_rng(seed).permutation(len(histories))[:count]
        return [RankingExample(histories.at(int(user)), "", nothing, nothing, nothing) for user in drawn]


def export_cross_encoder_of(
    folder: Path, shortlisting: Shortlisting, config: ExportConfig, seed: int
) -> ServedCrossEncoder:
    """Write a bundle's cross-encoder as a graph, in int8 where that keeps its order.

    Args:
        folder: of the cross-encoder, in the bundle.
        shortlisting: candidates to compare on.
        config: the most that int8 may cost.
        seed: draws the users.

    Raises:
        GateFailed: the graph scores otherwise than the model it was written from.
    """
    model = CrossEncoder.load(folder)
    lists = shortlisting.shortlists(model.input_template, config, seed)
    texts = model.input_template.items(shortlisting.parts.items)
    export_cross_encoder(folder)
    exact = load_exported(folder, FLOAT32)
    for shortlist in lists[:PROOFS]:
        expected, exported = (_scores(each, shortlist, texts) for each in (model, exact))
        if not np.allclose(exported, expected, atol=TOLERANCE * max(1.0, np.abs(expected).max(initial=0.0)), rtol=0):
            raise GateFailed(
                f"{graph_path(folder, FLOAT32)} scores {np.abs(exported - expected).max():g} beside what torch does; "
                "nothing was published: export.enabled=false builds without graphs"
            )
    if not config.int8:
        return ServedCrossEncoder(FLOAT32, "export.int8=false")
    quantise_cross_encoder(folder)
    coarse = load_exported(folder, INT8)
    scores = [(_scores(exact, each, texts), _scores(coarse, each, texts)) for each in lists]
    loss = compared(lists, [pair[0] for pair in scores], [pair[1] for pair in scores])
    served = choose(loss, config)
    log.info("cross-encoder in %s: %s", served.precision, served.why)
    graph_path(folder, FLOAT32 if served.precision == INT8 else INT8).unlink()
    return served


def choose(loss: Int8Loss, config: ExportConfig) -> ServedCrossEncoder:
    """The precision that a loss allows."""
    if loss.ndcg_float32 is not None and loss.ndcg_int8 is not None:
        kept = loss.ndcg_float32 - loss.ndcg_int8 <= config.max_ndcg_loss
        limit = f"export.max_ndcg_loss={config.max_ndcg_loss:g}"
    else:
        kept = loss.rank_correlation >= config.min_rank_correlation
        limit = f"export.min_rank_correlation={config.min_rank_correlation:g}"
    return ServedCrossEncoder(
        INT8 if kept else FLOAT32, f"int8 {'is within' if kept else 'misses'} {limit}: {loss}", loss
    )


def compared(
    lists: Sequence[Shortlist], exact: Sequence[NDArray[np.float32]], coarse: Sequence[NDArray[np.float32]]
) -> Int8Loss:
    """The cost of one scoring beside another.

    Args:
        lists: n shortlists.
        exact: scores of the candidates of each, n times [K], to compare with.
        coarse: the scores to evaluate, likewise.
    """
    relevant = [number for number, shortlist in enumerate(lists) if (shortlist.grades > 0).any()]

    def ndcg(scores: Sequence[NDArray[np.float32]]) -> float | None:
        return float(np.mean([shortlist_ndcg(lists[i], scores[i]) for i in relevant])) if relevant else None

    differences = [np.abs(a - b).max(initial=0.0) for a, b in zip(exact, coarse, strict=True)]
    correlations = [spearman(a, b) for a, b in zip(exact, coarse, strict=True)]
    return Int8Loss(
        shortlists=len(lists),
        largest_difference=float(np.max(differences, initial=0.0)),
        rank_correlation=float(np.mean(correlations)) if correlations else 1.0,
        with_relevant=len(relevant),
        ndcg_float32=ndcg(exact),
        ndcg_int8=ndcg(coarse),
    )


def spearman(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """Spearman's rank correlation of [K] and [K] scores; where it is undefined, 1 for the same order, else 0."""
    if len(first) < 2:
        return 1.0
    constant = np.ptp(first) == 0, np.ptp(second) == 0
    if any(constant):
        return float(all(constant))
    return float(spearmanr(first, second).statistic)


def _scores(model: CrossEncoder, shortlist: Shortlist, texts: Sequence[str]) -> NDArray[np.float32]:
    return model.score(shortlist.context, [texts[row] for row in shortlist.rows], shortlist.scores)
