"""The cross-encoder in training: groups of candidates, one of `towers.ranking.losses`, NDCG on cases kept aside."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from data_prep.errors import GateFailed
from towers.fitting.schedule import linear_decay
from towers.fitting.trainer import EpochDataset
from towers.metrics.ranking_metrics import CUTOFF
from towers.ranking.comparison import ndcg_of, text_scores
from towers.ranking.config import RankerConfig
from towers.ranking.cross_encoder import CrossEncoder
from towers.ranking.losses import RankingLoss
from towers.ranking.mining import CandidateGroup, PaddedGroups, Shortlist

WATCHED = f"valid/ndcg@{CUTOFF}"


def starting_weight(groups: Sequence[CandidateGroup], loss: RankingLoss) -> float:
    """The weight of recall's scores at which they alone have the least loss.

    Towers are trained against random candidates, of which they are rightly sure. Among their own best they know far
    less: with a softmax over 1 / temperature times their scores, all that a cross-encoder learns is to contradict them.

    Args:
        groups: the training groups.
        loss: will be minimised.
    """
    padded = PaddedGroups.of(groups)
    deviation = float(padded.scores[padded.mask].std()) or 1.0
    tried = [float(weight) / deviation for weight in np.logspace(-2, 2, 41)]

    def mean_loss(weight: float) -> float:
        return float(loss(weight * padded.scores, padded.grades, padded.mask, padded.teacher).mean())

    return min(tried, key=mean_loss)


class GroupBatches(EpochDataset[list[CandidateGroup]]):
    """Groups in batches, in another order each epoch."""

    def __init__(self, groups: Sequence[CandidateGroup], size: int, seed: int) -> None:
        self.groups = groups
        self.size = size
        self.seed = seed

    def __len__(self) -> int:
        return -(-len(self.groups) // self.size)

    def __iter__(self) -> Iterator[list[CandidateGroup]]:
        order = np.random.default_rng((self.seed, self.epoch)).permutation(len(self.groups))
        for start in range(0, len(order), self.size):
            yield [self.groups[i] for i in order[start : start + self.size]]


class CrossEncoderTraining(pl.LightningModule):
    """Trains the cross-encoder on groups.

    Args:
        model: the cross-encoder.
        texts: text of every item, [N].
        loss: of a group.
        config: learning rate and the like.

    Attributes:
        text_scores: of each list of the last validation, as of `text_scores`.
    """

    def __init__(self, model: CrossEncoder, texts: Sequence[str], loss: RankingLoss, config: RankerConfig) -> None:
        super().__init__()
        self.model = model
        self.texts = texts
        self.loss = loss
        self.config = config
        self.text_scores: list[NDArray[np.float32]] = []
        self._ndcg: list[float] = []

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Leave texts and arrays where they are: the model moves its tensors."""
        return batch

    def training_step(self, batch: list[CandidateGroup], batch_idx: int) -> Tensor:
        contexts = [group.context for group in batch for _ in group.rows]
        candidates = [self.texts[row] for group in batch for row in group.rows]
        padded = PaddedGroups.of(batch).to(self.device)
        flat = self.model(contexts, candidates, padded.scores[padded.mask])  # [pairs]
        scores = torch.zeros_like(padded.scores).masked_scatter(padded.mask, flat)
        loss = self.loss(scores, padded.grades, padded.mask, padded.teacher).mean()
        if not torch.isfinite(loss):
            raise GateFailed(f"the cross-encoder's loss became {loss.item()} at batch {batch_idx}: lower learning_rate")
        self.log("train/loss", loss, prog_bar=True, batch_size=len(batch))
        return loss

    def on_validation_epoch_start(self) -> None:
        self.text_scores, self._ndcg = [], []

    def validation_step(self, batch: Shortlist, batch_idx: int) -> None:
        self.text_scores += text_scores(self.model, [batch], self.texts)
        self._ndcg += ndcg_of([batch], self.text_scores[-1:], self.model.recall_weight.item()).tolist()

    def on_validation_epoch_end(self) -> None:
        self.log(WATCHED, float(np.mean(self._ndcg)), prog_bar=True)

    def configure_optimizers(self) -> Any:
        c = self.config
        optimizer = torch.optim.AdamW(self.parameters(), lr=c.learning_rate, weight_decay=c.weight_decay)
        total = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, linear_decay(total, c.warmup_steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
