"""Queries: vectors of a user tower that was trained over the catalogue's fixed vectors.

They lie off the items' manifold, as those of any user tower do. Half are of real users of the shops that have some,
half of made-up users of the shop that has none: articles of one section, read by the same tower.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.ann.catalogue import NO_SECTION, ShopCatalogue, Vectors
from benchmarks.ann.plan import UserPlan
from data_prep.files import fingerprint
from towers.losses import sampled_softmax
from towers.modules import UserTower, UserTowerSettings

History = NDArray[np.int64]


def user_vectors(shop: ShopCatalogue, vectors: Vectors, plan: UserPlan, cache: Path) -> Vectors:
    """Unit vectors of users [users, dim] in random order; the tower is trained unless the cache holds them.

    Args:
        shop: the catalogue and its users' histories.
        vectors: of its items, [N, dim].
        plan: how the tower is trained and whom it reads.
        cache: folder that keeps the vectors.
    """
    path = cache / f"{fingerprint(repr(plan), str(vectors.shape), str(float(vectors[::997].sum())))}.npy"
    if path.is_file():
        return np.asarray(np.load(path))
    rng = np.random.default_rng(plan.seed)
    torch.manual_seed(plan.seed)
    real = [h for h in shop.histories if len(h) > 1]
    order = rng.permutation(len(real))
    held_out, training = order[: plan.users // 2], order[plan.users // 2 :][: plan.training_users]
    tower = train([real[i] for i in training], vectors, plan, rng)
    histories = [real[i] for i in held_out] + made_up(shop.sections, plan.users - len(held_out), plan, rng)
    found = read(tower, histories, vectors, plan)[rng.permutation(len(histories))]
    cache.mkdir(parents=True, exist_ok=True)
    np.save(path, found)
    return found


def made_up(sections: History, count: int, plan: UserPlan, rng: np.random.Generator) -> list[History]:
    """Histories of articles of one section each; sections are drawn as often as they have articles."""
    members = {int(s): np.flatnonzero(sections == s) for s in np.unique(sections) if s != NO_SECTION}
    drawn = rng.choice(sections[sections != NO_SECTION], count)
    return [rng.choice(members[int(s)], int(rng.integers(2, plan.made_up_events + 1))) for s in drawn]


def train(histories: list[History], vectors: Vectors, plan: UserPlan, rng: np.random.Generator) -> UserTower:
    """A user tower that foretells the next item at each position, among the others of its batch and random ones."""
    items = torch.from_numpy(vectors)
    settings = UserTowerSettings(
        dim=vectors.shape[1],
        max_history=plan.max_history,
        layers=plan.layers,
        heads=plan.heads,
        feed_forward=2,
        dropout=0.1,
        input_dropout=0.1,
        window=4,
        prior=False,
        average=False,
        block="pre_norm",
        positions="relative",
        interests=1,
        event_types=1,
        attributes={},
        attribute_dropout=0.0,
    )
    tower = UserTower(settings)
    optimizer = torch.optim.AdamW(tower.parameters(), lr=plan.learning_rate)
    for _ in range(plan.epochs):
        for batch in _batches(histories, plan, rng.permutation(len(histories))):
            rows, mask = _padded(batch)
            users = _positions(tower, items, rows[:, :-1])[:, 1:][mask[:, 1:]]  # [P, dim]
            wanted = rows[:, 1:][mask[:, 1:]]  # [P]
            candidates = torch.cat([wanted, torch.from_numpy(rng.integers(len(items), size=plan.negatives))])
            loss = sampled_softmax(
                users,
                items[wanted],
                items[candidates],
                torch.zeros(len(candidates)),
                candidates == wanted.unsqueeze(1),
                plan.temperature,
            ).mean()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(tower.parameters(), 1.0)
            optimizer.step()
    return tower.eval()


@torch.inference_mode()
def read(tower: UserTower, histories: list[History], vectors: Vectors, plan: UserPlan) -> Vectors:
    """The tower's vector after each history, [B, dim]."""
    items, found = torch.from_numpy(vectors), np.empty((len(histories), vectors.shape[1]), np.float32)
    for places in np.array_split(np.arange(len(histories)), max(1, len(histories) // plan.batch)):
        batch = [histories[i][-plan.max_history :] for i in places]
        rows, mask = _padded(batch)
        found[places] = _positions(tower, items, rows)[torch.arange(len(batch)), mask.sum(dim=1)].numpy()
    return found


def _positions(tower: UserTower, items: Tensor, rows: Tensor) -> Tensor:
    """User vectors after each event, [B, L] -> [B, L + 1, dim]."""
    nothing = torch.zeros_like(rows)
    vectors: Tensor = tower(items[rows], nothing, nothing)
    return vectors


def _batches(histories: list[History], plan: UserPlan, order: History) -> Iterator[list[History]]:
    for start in range(0, len(order), plan.batch):
        yield [histories[i][-plan.max_history :] for i in order[start : start + plan.batch]]


def _padded(histories: list[History]) -> tuple[Tensor, Tensor]:
    """Rows [B, L], padded with row 0 on the right, and where they are real, [B, L]."""
    lengths = np.array([len(history) for history in histories])
    mask = np.arange(lengths.max()) < lengths[:, None]
    rows = np.zeros(mask.shape, np.int64)
    rows[mask] = np.concatenate(histories)
    return torch.from_numpy(rows), torch.from_numpy(mask)
