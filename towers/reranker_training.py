"""The cross-encoder in training: groups of candidates, one of `towers.rerank_losses`, NDCG on cases kept aside."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from data_prep.errors import GateFailed
from towers.cross_encoder import CrossEncoder
from towers.fitting import EpochDataset, linear_decay
from towers.mining import Group, Shortlist
from towers.rerank_losses import RerankLoss
from towers.reranker_comparison import CUTOFF, shortlist_ndcg
from towers.reranker_config import RerankConfig

WATCHED = f"valid/ndcg@{CUTOFF}"


class GroupBatches(EpochDataset[list[Group]]):
    """Groups in batches, in another order each epoch."""

    def __init__(self, material: Sequence[Group], size: int, seed: int) -> None:
        self.material = material
        self.size = size
        self.seed = seed

    def __len__(self) -> int:
        return -(-len(self.material) // self.size)

    def __iter__(self) -> Iterator[list[Group]]:
        order = np.random.default_rng((self.seed, self.epoch)).permutation(len(self.material))
        for start in range(0, len(order), self.size):
            yield [self.material[i] for i in order[start : start + self.size]]


class RerankerTraining(pl.LightningModule):
    """Trains the cross-encoder on groups.

    Args:
        model: the cross-encoder.
        texts: text of every item, [N].
        loss: what it is trained to do with a group.
        config: learning rate and the like.
    """

    def __init__(self, model: CrossEncoder, texts: Sequence[str], loss: RerankLoss, config: RerankConfig) -> None:
        super().__init__()
        self.model = model
        self.texts = texts
        self.loss = loss
        self.config = config
        self._found: list[float] = []

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Leave texts and arrays where they are: the model moves what it makes of them."""
        return batch

    def training_step(self, batch: list[Group], batch_idx: int) -> Tensor:
        contexts = [group.context for group in batch for _ in group.rows]
        candidates = [self.texts[row] for group in batch for row in group.rows]
        recalled = torch.from_numpy(np.concatenate([group.scores for group in batch])).to(self.device)
        found = self.model(contexts, candidates, recalled)  # [pairs]
        lengths = torch.tensor([len(group.rows) for group in batch])
        mask = (torch.arange(int(lengths.max())) < lengths.unsqueeze(1)).to(self.device)  # [G, n]

        def padded(values: Tensor) -> Tensor:
            return torch.zeros(mask.shape, device=self.device).masked_scatter(mask, values.float())

        grades = padded(torch.from_numpy(np.concatenate([group.grades for group in batch])).to(self.device))
        teacher = padded(torch.from_numpy(np.concatenate([_taught(group) for group in batch])).to(self.device))
        loss = self.loss(padded(found), grades, mask, teacher).mean()
        if not torch.isfinite(loss):
            raise GateFailed(f"the reranker's loss became {loss.item()} at batch {batch_idx}: lower learning_rate")
        self.log("train/loss", loss, prog_bar=True, batch_size=len(batch))
        return loss

    def on_validation_epoch_start(self) -> None:
        self._found = []

    def validation_step(self, batch: Shortlist, batch_idx: int) -> None:
        scores = self.model.score(batch.context, [self.texts[row] for row in batch.rows], batch.scores)
        self._found.append(shortlist_ndcg(batch, scores))

    def on_validation_epoch_end(self) -> None:
        self.log(WATCHED, float(np.mean(self._found)), prog_bar=True)

    def configure_optimizers(self) -> Any:
        c = self.config
        optimizer = torch.optim.AdamW(self.parameters(), lr=c.learning_rate, weight_decay=c.weight_decay)
        total = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, linear_decay(total, c.warmup_steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def _taught(group: Group) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.zeros(len(group.rows), np.float32) if group.teacher is None else group.teacher
