"""Models written as ONNX graphs for serving, and what int8 costs the order in which the reranker puts things."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from data_prep.columns import Columns, Split
from data_prep.errors import GateFailed
from index.build.config import ExportConfig
from index.bundle.histories import Histories
from towers import CrossEncoder, OneVectorModel
from towers.events.history import Sequences
from towers.metrics.cases import Cases
from towers.metrics.ranking_metrics import CUTOFF
from towers.model.scorer import ONE_VECTOR, VectorScorer
from towers.modules.onnx_runtime import FLOAT32, INT8
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
    """What int8 costs a reranker, beside float32 on the same shortlists.

    Attributes:
        shortlists: how many were compared.
        largest_difference: of the two scores of a candidate.
        rank_correlation: mean over the shortlists of Spearman's correlation of the two orders.
        judged: shortlists among them with something that the user went on to.
        ndcg_float32, ndcg_int8: mean NDCG@10 over those; None where there are none.
    """

    shortlists: int
    largest_difference: float
    rank_correlation: float
    judged: int
    ndcg_float32: float | None
    ndcg_int8: float | None

    def __str__(self) -> str:
        ndcg = "nobody went on to a candidate"
        if self.ndcg_float32 is not None and self.ndcg_int8 is not None:
            ndcg = f"NDCG@{CUTOFF} {self.ndcg_int8 - self.ndcg_float32:+.4f} on {self.judged:,} users"
        return f"{ndcg}, rank correlation {self.rank_correlation:.4f} on {self.shortlists:,}"


@dataclass(frozen=True)
class ServedReranker:
    """How a bundle's reranker is run.

    Attributes:
        precision: of its graph; "" where torch runs it.
        why: in words.
        loss: what int8 costs; None where it was not asked for.
    """

    precision: str
    why: str
    loss: Int8Loss | None = None


@dataclass(frozen=True)
class Material:
    """What shortlists are made of.

    Attributes:
        model: towers and blocks.
        items: item table.
        vectors: [N, D] of the items.
        sequences: the log.
        histories: what is known of users, for where nothing is held out.
    """

    model: OneVectorModel
    items: pd.DataFrame
    vectors: NDArray[np.float32]
    sequences: Sequences
    histories: Histories

    def shortlists(self, reranker: CrossEncoder, config: ExportConfig, seed: int) -> list[Shortlist]:
        """Recall's best candidates for users whose test events are held out, or for any where none are.

        Args:
            reranker: how users are shown to it.
            config: how many.
            seed: draws the users.
        """
        item_ids = [str(item_id) for item_id in self.items[Columns.ITEM_ID]]
        exclude = self.model.exclude_seen
        cases = Cases.held_out(self.sequences, item_ids, Split.TEST, exclude, [CUTOFF], config.users, seed)
        examples = user_examples(cases, [], 0.0, np.random.default_rng(seed)) or self._unlabelled(config.users, seed)
        users = self.model.user_encoder(self.items, self.vectors)
        vectors = np.require(self.vectors, requirements="W")
        recall = VectorScorer(ONE_VECTOR, users.encode, vectors, users.max_history).score
        titles = [str(title) for title in self.items[Columns.TITLE]]
        at_once = max(1, SCORES_AT_ONCE // len(titles))
        return list(shortlists(recall, examples, titles, reranker.input_template, config.candidates, at_once))

    def _unlabelled(self, count: int, seed: int) -> list[RankingExample]:
        drawn = np.random.default_rng(seed).permutation(len(self.histories))[:count]
        nothing = np.zeros(0, np.int64)
        return [RankingExample(self.histories.at(int(place)), "", nothing, nothing, nothing) for place in drawn]


def export_reranker(folder: Path, material: Material, config: ExportConfig, seed: int) -> ServedReranker:
    """Write a bundle's reranker as a graph, in int8 where that keeps its order.

    Args:
        folder: of the reranker, in the bundle.
        material: what to compare on.
        config: what int8 may cost.
        seed: draws the users.

    Raises:
        GateFailed: the graph scores otherwise than the model it was written from.
    """
    model = CrossEncoder.load(folder)
    lists, texts = material.shortlists(model, config, seed), model.input_template.items(material.items)
    export_cross_encoder(folder)
    exact = load_exported(folder, FLOAT32)
    for one in lists[:PROOFS]:
        expected, found = (_scores(each, one, texts) for each in (model, exact))
        if not np.allclose(found, expected, atol=TOLERANCE * max(1.0, np.abs(expected).max(initial=0.0)), rtol=0):
            raise GateFailed(
                f"{graph_path(folder, FLOAT32)} scores {np.abs(found - expected).max():g} beside what torch does; "
                "nothing was published: export.enabled=false builds without graphs"
            )
    if not config.int8:
        return ServedReranker(FLOAT32, "export.int8=false")
    quantise_cross_encoder(folder)
    coarse = load_exported(folder, INT8)
    scores = [(_scores(exact, one, texts), _scores(coarse, one, texts)) for one in lists]
    loss = compared(lists, [pair[0] for pair in scores], [pair[1] for pair in scores])
    served = choose(loss, config)
    log.info("reranker in %s: %s", served.precision, served.why)
    graph_path(folder, FLOAT32 if served.precision == INT8 else INT8).unlink()
    return served


def choose(loss: Int8Loss, config: ExportConfig) -> ServedReranker:
    """The precision that a loss allows."""
    if loss.ndcg_float32 is not None and loss.ndcg_int8 is not None:
        kept = loss.ndcg_float32 - loss.ndcg_int8 <= config.max_ndcg_loss
        limit = f"export.max_ndcg_loss={config.max_ndcg_loss:g}"
    else:
        kept = loss.rank_correlation >= config.min_rank_correlation
        limit = f"export.min_rank_correlation={config.min_rank_correlation:g}"
    return ServedReranker(INT8 if kept else FLOAT32, f"int8 {'is within' if kept else 'misses'} {limit}: {loss}", loss)


def compared(
    lists: Sequence[Shortlist], exact: Sequence[NDArray[np.float32]], coarse: Sequence[NDArray[np.float32]]
) -> Int8Loss:
    """What one scoring costs beside another.

    Args:
        lists: n shortlists.
        exact: scores of the candidates of each, n times [K], to compare with.
        coarse: the scores to judge, likewise.
    """
    judged = [place for place, one in enumerate(lists) if (one.grades > 0).any()]

    def ndcg(scores: Sequence[NDArray[np.float32]]) -> float | None:
        return float(np.mean([shortlist_ndcg(lists[i], scores[i]) for i in judged])) if judged else None

    differences = [np.abs(a - b).max(initial=0.0) for a, b in zip(exact, coarse, strict=True)]
    correlations = [spearman(a, b) for a, b in zip(exact, coarse, strict=True)]
    return Int8Loss(
        shortlists=len(lists),
        largest_difference=float(np.max(differences, initial=0.0)),
        rank_correlation=float(np.mean(correlations)) if correlations else 1.0,
        judged=len(judged),
        ndcg_float32=ndcg(exact),
        ndcg_int8=ndcg(coarse),
    )


def spearman(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """Pearson's correlation of the ranks of [K] and [K] scores, ties sharing theirs; 1 where the ranks are the same."""
    ranks, others = rankdata(first), rankdata(second)
    if np.array_equal(ranks, others):
        return 1.0
    if np.ptp(ranks) == 0 or np.ptp(others) == 0:
        return 0.0
    return float(np.corrcoef(ranks, others)[0, 1])


def _scores(model: CrossEncoder, one: Shortlist, texts: Sequence[str]) -> NDArray[np.float32]:
    return model.score(one.context, [texts[row] for row in one.rows], one.scores)
