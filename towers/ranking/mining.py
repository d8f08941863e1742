"""What the reranker learns from: recall's own top candidates in moments whose outcome is known."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from data_prep.progress import track
from towers.model.scorer import Recall
from towers.ranking.examples import RankingExample
from towers.ranking.groups import CandidateGroup
from towers.ranking.input_template import InputTemplate


@dataclass(frozen=True)
class Shortlist:
    """Recall's best candidates in one moment, best first.

    Attributes:
        context: the user, as text.
        rows: candidate items, [K].
        scores: recall's, [K].
        grades: of each candidate, [K]; 0 where nothing is known.
        missed_rows: items of a known grade that are not among the candidates, [M].
        missed_scores: recall's scores of them, [M].
        missed_grades: their grades, [M].
    """

    context: str
    rows: NDArray[np.int64]
    scores: NDArray[np.float32]
    grades: NDArray[np.int64]
    missed_rows: NDArray[np.int64]
    missed_scores: NDArray[np.float32]
    missed_grades: NDArray[np.int64]

    @property
    def missed(self) -> int:
        """Wanted items that are not among the candidates: no reranker brings them back."""
        return int((self.missed_grades > 0).sum())

    @property
    def relevant(self) -> int:
        """Wanted items, found or missed."""
        return int((self.grades > 0).sum()) + self.missed


def shortlists(
    recall: Recall,
    moments: Sequence[RankingExample],
    titles: Sequence[str],
    input_template: InputTemplate,
    depth: int,
    batch_size: int,
) -> Iterator[Shortlist]:
    """Exact top candidates for every moment.

    Args:
        recall: scores the catalogue; better not trained on these moments, or its scores flatter.
        moments: whose outcome is known.
        titles: of the items, [N].
        input_template: how users are shown.
        depth: K.
        batch_size: moments scored at a time.
    """
    depth = min(depth, len(titles))
    for start in track(range(0, len(moments), batch_size), "mining candidates"):
        chosen = moments[start : start + batch_size]
        scores = recall([moment.history for moment in chosen], [moment.query for moment in chosen])  # [B, N]
        for i, moment in enumerate(chosen):
            scores[i, moment.excluded] = -torch.inf
        top = scores.topk(depth, dim=1)
        for i, moment in enumerate(chosen):
            best, rows = top.values[i].numpy(), top.indices[i].numpy()
            rows, best = rows[np.isfinite(best)], best[np.isfinite(best)]
            known = dict(zip(moment.rows.tolist(), moment.grades.tolist(), strict=True))
            missed = ~np.isin(moment.rows, rows)
            read = moment.history.last(input_template.context_items)
            yield Shortlist(
                context=input_template.context([titles[row] for row in read.rows], read.events, moment.query),
                rows=rows,
                scores=best,
                grades=np.array([known.get(row, 0) for row in rows.tolist()], np.int64),
                missed_rows=moment.rows[missed],
                missed_scores=scores[i, moment.rows[missed]].numpy(),
                missed_grades=moment.grades[missed],
            )


def groups(
    lists: Sequence[Shortlist], relevant: int, negatives: int, add_missed: bool, rng: np.random.Generator
) -> list[CandidateGroup]:
    """Training groups out of shortlists, one each; where nothing is relevant or all is, there is nothing to learn.

    Args:
        lists: the shortlists.
        relevant: candidates above grade 0 in a group, at most, so that heavy shoppers do not outweigh the rest.
        negatives: other candidates in a group, at most; drawn without replacement, as the relevant are.
        add_missed: whether what recall missed may stand in a group too. Then the reranker also learns of items it will
            never be offered, and that recall's scores mean less than they do.
        rng: draws.
    """
    found = []
    for one in lists:
        rows, scores, grades = one.rows, one.scores, one.grades
        if add_missed:
            rows = np.concatenate([rows, one.missed_rows])
            scores = np.concatenate([scores, one.missed_scores])
            grades = np.concatenate([grades, one.missed_grades])
        above = rng.permutation(np.flatnonzero(grades > 0))[:relevant]
        below = rng.permutation(np.flatnonzero(grades == 0))[:negatives]
        if len(above) and len(np.unique(grades[np.append(above, below)])) > 1:
            places = np.append(above, below)
            found.append(CandidateGroup(one.context, rows[places], scores[places], grades[places]))
    return found
