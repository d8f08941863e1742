"""Mining: recall's own first items for ranking examples, and the groups of them that are compared in training."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data_prep.progress import track
from towers.model.scorer import Recall
from towers.ranking.examples import RankingExample
from towers.ranking.input_template import InputTemplate

EXAMPLES_AT_ONCE = 256


@dataclass(frozen=True)
class Shortlist:
    """Recall's best candidates for one example, best first.

    Attributes:
        context: the user, as text.
        rows: candidate items, [K].
        scores: recall's, [K].
        grades: of each candidate, [K]; 0 where nothing is known.
        not_retrieved_rows: items of a known grade that are not among the candidates, [M].
        not_retrieved_scores: recall's scores of them, [M].
        not_retrieved_grades: their grades, [M].
    """

    context: str
    rows: NDArray[np.int64]
    scores: NDArray[np.float32]
    grades: NDArray[np.int64]
    not_retrieved_rows: NDArray[np.int64]
    not_retrieved_scores: NDArray[np.float32]
    not_retrieved_grades: NDArray[np.int64]

    @property
    def not_retrieved(self) -> int:
        """Number of relevant items that are not among the candidates: no ranker brings them back."""
        return int((self.not_retrieved_grades > 0).sum())

    @property
    def relevant(self) -> int:
        """Number of relevant items, retrieved or not."""
        return int((self.grades > 0).sum()) + self.not_retrieved


def shortlists(
    recall: Recall,
    examples: Sequence[RankingExample],
    titles: Sequence[str],
    input_template: InputTemplate,
    depth: int,
    batch_size: int = EXAMPLES_AT_ONCE,
) -> Iterator[Shortlist]:
    """Exact top candidates for every example.

    Args:
        recall: scores the catalogue; better not trained on these examples, or its scores flatter.
        examples: users, or queries, with items of known grades.
        titles: of the items, [N].
        input_template: writes the context.
        depth: K.
        batch_size: examples scored at a time.
    """
    depth = min(depth, len(titles))
    for start in track(range(0, len(examples), batch_size), "mining candidates"):
        chosen = examples[start : start + batch_size]
        scores = recall([example.history for example in chosen], [example.query for example in chosen])  # [B, N]
        for i, example in enumerate(chosen):
            scores[i, example.excluded] = -torch.inf
        top = scores.topk(depth, dim=1)
        for i, example in enumerate(chosen):
            best, rows = top.values[i].numpy(), top.indices[i].numpy()
            rows, best = rows[np.isfinite(best)], best[np.isfinite(best)]
            grades = dict(zip(example.rows.tolist(), example.grades.tolist(), strict=True))
            not_retrieved = ~np.isin(example.rows, rows)
            read = example.history.last(input_template.context_items)
            yield Shortlist(
                context=input_template.context([titles[row] for row in read.rows], read.events, example.query),
                rows=rows,
                scores=best,
                grades=np.array([grades.get(row, 0) for row in rows.tolist()], np.int64),
                not_retrieved_rows=example.rows[not_retrieved],
                not_retrieved_scores=scores[i, example.rows[not_retrieved]].numpy(),
                not_retrieved_grades=example.grades[not_retrieved],
            )


@dataclass(frozen=True)
class CandidateGroup:
    """Some candidates of one example that are compared in training.

    Attributes:
        context: the user, as text.
        rows: [n].
        scores: recall's, [n].
        grades: [n]; at least two of them differ.
        teacher: a teacher's scores, [n]; None without a teacher.
    """

    context: str
    rows: NDArray[np.int64]
    scores: NDArray[np.float32]
    grades: NDArray[np.int64]
    teacher: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class PaddedGroups:
    """G groups side by side, n the longest; zeros where a group is shorter.

    Attributes:
        mask: where there are candidates, [G, n].
        rows: items, [G, n].
        scores: recall's, [G, n].
        grades: [G, n].
        teacher: a teacher's scores, [G, n]; zeros without a teacher.
    """

    mask: Tensor
    rows: Tensor
    scores: Tensor
    grades: Tensor
    teacher: Tensor

    @classmethod
    def of(cls, groups: Sequence[CandidateGroup]) -> Self:
        """Put groups side by side; there may be none."""
        lengths = torch.tensor([len(group.rows) for group in groups], dtype=torch.int64)
        mask = torch.arange(int(lengths.max()) if groups else 0) < lengths.unsqueeze(1)

        def padded(parts: Sequence[NDArray[Any]], kind: torch.dtype) -> Tensor:
            flat = torch.from_numpy(np.concatenate([np.zeros(0, np.int64), *parts])).to(kind)
            return torch.zeros(mask.shape, dtype=kind).masked_scatter(mask, flat)

        return cls(
            mask,
            padded([group.rows for group in groups], torch.int64),
            padded([group.scores for group in groups], torch.float32),
            padded([group.grades for group in groups], torch.float32),
            padded([np.zeros(len(g.rows)) if g.teacher is None else g.teacher for g in groups], torch.float32),
        )

    def __len__(self) -> int:
        return len(self.mask)

    def to(self, device: torch.device, non_blocking: bool = False) -> "PaddedGroups":
        """The same groups on another device."""
        return PaddedGroups(*(part.to(device, non_blocking=non_blocking) for part in vars(self).values()))


def groups(
    lists: Sequence[Shortlist], relevant: int, negatives: int, add_not_retrieved: bool, rng: np.random.Generator
) -> list[CandidateGroup]:
    """Training groups out of shortlists, one each; where nothing is relevant or all is, there is nothing to learn.

    Args:
        lists: the shortlists.
        relevant: candidates above grade 0 in a group, at most, so that heavy shoppers do not outweigh the rest.
        negatives: other candidates in a group, at most; drawn without replacement, as the relevant are.
        add_not_retrieved: whether relevant items that recall did not retrieve may stand in a group too. Then the
            cross-encoder also learns of items it will never be offered, and to trust recall's scores too little.
        rng: draws.
    """
    drawn = []
    for shortlist in lists:
        rows, scores, grades = shortlist.rows, shortlist.scores, shortlist.grades
        if add_not_retrieved:
            rows = np.concatenate([rows, shortlist.not_retrieved_rows])
            scores = np.concatenate([scores, shortlist.not_retrieved_scores])
            grades = np.concatenate([grades, shortlist.not_retrieved_grades])
        above = rng.permutation(np.flatnonzero(grades > 0))[:relevant]
        below = rng.permutation(np.flatnonzero(grades == 0))[:negatives]
        if len(above) and len(np.unique(grades[np.append(above, below)])) > 1:
            chosen = np.append(above, below)
            drawn.append(CandidateGroup(shortlist.context, rows[chosen], scores[chosen], grades[chosen]))
    return drawn
