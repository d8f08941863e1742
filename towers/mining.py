"""What the reranker learns from: the towers' own top candidates for users whose next items are known."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from data_prep.progress import track
from towers.cross_encoder import render_context
from towers.evaluation import Cases
from towers.interests import score
from towers.model_encoder import ModelEncoder


@dataclass(frozen=True)
class Shortlist:
    """The towers' best candidates for one user, best first.

    Attributes:
        context: the user, as text.
        rows: candidate items, [K].
        scores: the towers' inner products, [K].
        wanted: which candidates the user went on to, [K].
        missed: items the user went on to that are not among the candidates.
    """

    context: str
    rows: NDArray[np.int64]
    scores: NDArray[np.float32]
    wanted: NDArray[np.bool_]
    missed: int


@dataclass(frozen=True)
class Group:
    """One wanted candidate, first, and some that were not wanted.

    Attributes:
        context: the user, as text.
        rows: [1 + n].
        scores: the towers' inner products, [1 + n].
    """

    context: str
    rows: NDArray[np.int64]
    scores: NDArray[np.float32]


def shortlists(
    users: ModelEncoder,
    vectors: NDArray[np.float32],
    cases: Cases,
    titles: Sequence[str],
    depth: int,
    context_items: int,
    batch_size: int,
) -> Iterator[Shortlist]:
    """Exact top candidates for every case.

    Args:
        users: the model's user encoder, over the catalogue's vectors.
        vectors: item vectors, [N, dim].
        cases: users with something held out; better not what the towers were trained on, whose scores flatter.
        titles: of the items, [N].
        depth: K.
        context_items: newest items rendered into the context.
        batch_size: users scored at a time.
    """
    items = torch.from_numpy(vectors)
    depth = min(depth, len(items))
    for start in track(range(0, len(cases), batch_size), "mining candidates"):
        chosen = range(start, min(start + batch_size, len(cases)))
        histories = [cases.history(case) for case in chosen]
        scores = score(torch.from_numpy(users.encode(histories, [""] * len(histories))), items)  # [B, N]
        for i, case in enumerate(chosen):
            scores[i, cases.seen(case)] = -torch.inf
        top = scores.topk(depth, dim=1)
        for history, case, rows, found in zip(histories, chosen, top.indices.numpy(), top.values.numpy(), strict=True):
            open_to = np.isfinite(found)
            wanted = np.isin(rows[open_to], cases.truth[case])
            names = [titles[row] for row in history.last(context_items).rows]
            missed = len(cases.truth[case]) - int(wanted.sum())
            yield Shortlist(render_context(names, ""), rows[open_to], found[open_to], wanted, missed)


def groups(lists: Sequence[Shortlist], negatives: int, per_user: int, rng: np.random.Generator) -> list[Group]:
    """Training groups out of shortlists.

    Args:
        lists: the shortlists.
        negatives: unwanted candidates drawn for each wanted one, without replacement.
        per_user: groups of one user, at most, so that heavy shoppers do not outweigh the rest.
        rng: draws.
    """
    found = []
    for one in lists:
        wanted, unwanted = np.flatnonzero(one.wanted), np.flatnonzero(~one.wanted)
        if len(unwanted) < negatives:
            continue
        for positive in rng.permutation(wanted)[:per_user]:
            places = np.append(positive, rng.choice(unwanted, negatives, replace=False))
            found.append(Group(one.context, one.rows[places], one.scores[places]))
    return found
