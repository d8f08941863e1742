"""The two towers, their candidates and their loss, as one LightningModule."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from data_prep.errors import GateFailed
from towers.fitting import distributed
from towers.fitting.schedule import linear_decay
from towers.losses import Candidates, Encoded, Negatives
from towers.losses.softmax import conflict_rate, excluded_candidates, repeated_candidates, sampled_softmax
from towers.losses.temperature import BoundedTemperature
from towers.metrics.cases import Cases, EvaluationBatch
from towers.metrics.evaluation import mean_metrics, rank_batch, room_for_metrics
from towers.model.truncation import truncate
from towers.modules.item_features import FeatureTable
from towers.modules.item_tower import NO_ID, ItemTower
from towers.modules.multi_interest import best_interest, score
from towers.modules.tokens import PADDING, EventTypes, tokenize
from towers.modules.user_tower import UserTower
from towers.modules.word_embeddings import WordTable
from towers.text.encoder import TextEncoder
from towers.text.row_features import ItemText
from towers.training.batches import Batch
from towers.training.diagnostics import effective_rank, mean_cosine
from towers.training.optimization import Optimization, parameter_groups


@dataclass
class LossConfig:
    """The loss: a softmax with a learnt temperature.

    Attributes:
        temperature: initial temperature of the softmax, learnt from there.
        min_temperature, max_temperature: its bounds.
        smoothing: label smoothing: share of the target that goes to other items than the positive.
        dims: prefixes of the vectors that are to work by themselves (`truncate`), beside the whole.
    """

    temperature: float
    min_temperature: float
    max_temperature: float
    smoothing: float
    dims: list[int]


@dataclass(frozen=True)
class TrainableTowers:
    """Both towers before they are trained, and what they read of each row.

    Attributes:
        items: the item tower.
        users: the user tower.
        text: text features of items (rows 0…N-1) and queries (rows N…).
        features: values of the items table's columns, of the same rows.
        words: the words of the same rows.
        encoder: the text encoder behind `text`; kept for those who save the towers.
        event_types: codes of the events.
    """

    items: ItemTower
    users: UserTower
    text: ItemText
    features: FeatureTable
    words: WordTable
    encoder: TextEncoder
    event_types: EventTypes


class Retriever(pl.LightningModule):
    """Trains an item tower and a user tower against each other.

    Args:
        towers: both towers, and what they read.
        negatives: where negatives come from.
        loss: its temperature, smoothing and dimensions.
        optimization: how the weights are moved.
        target_counts: how often each item is a target in an epoch, [N].
        cases: users of the validation split, evaluated exactly after every epoch.

    Attributes:
        validated: each user's metrics in the last validation, [U, M], columns as `metric_names`.
    """

    target_counts: Tensor

    def __init__(
        self,
        towers: TrainableTowers,
        negatives: Negatives,
        loss: LossConfig,
        optimization: Optimization,
        target_counts: Tensor,
        cases: Cases,
    ) -> None:
        super().__init__()
        self.items = towers.items
        self.users = towers.users
        self.text = towers.text
        self.features = towers.features
        self.words = towers.words
        self._encoder = (towers.encoder,)  # in a tuple: frozen weights stay out of checkpoints, tuned ones are in text
        self.event_types = towers.event_types
        self.negatives = negatives
        self.loss = loss
        self.optimization = optimization
        self.cases = cases
        self.register_buffer("target_counts", target_counts, persistent=False)
        self.bounded = BoundedTemperature(loss.temperature, loss.min_temperature, loss.max_temperature)
        self._catalogue: Tensor | None = None  # item vectors while validating, [N, dim]
        self.validated = room_for_metrics(cases)

    @property
    def encoder(self) -> TextEncoder:
        """The text encoder."""
        return self._encoder[0]

    @property
    def num_items(self) -> int:
        """Items in the catalogue."""
        return len(self.target_counts)

    @property
    def temperature(self) -> Tensor:
        """The softmax temperature, within its bounds."""
        temperature: Tensor = self.bounded()
        return temperature

    def vectors(self, rows: Tensor) -> Tensor:
        """Vectors of item or query rows, [n] -> [n, dim]."""
        vectors: Tensor = self.items(self.text(rows), self._id_rows(rows), self.features(rows), self.words(rows))
        return vectors

    def _id_rows(self, rows: Tensor) -> Tensor:
        """Rows of the id embedding; an embedding that no event ever moved says nothing."""
        trained = (rows < self.num_items) & (self.target_counts[rows.clamp(max=self.num_items - 1)] > 0)
        return torch.where(trained, rows, NO_ID)

    def on_train_epoch_start(self) -> None:
        self.negatives.start_epoch(self.current_epoch)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        sampled = self.negatives.sample()
        users, positives, encoded = self._encode(batch, sampled)
        sizes = distributed.sizes_of(batch.positives)
        all_positives = Encoded(distributed.gather(batch.positives, sizes), distributed.gather(positives, sizes))
        candidates = self.negatives.candidates(all_positives, Encoded(sampled, encoded))
        losses = self._losses(batch, users, positives, candidates) * batch.weights
        number, weight = sum(sizes), distributed.total(batch.weights.sum())
        loss = losses.sum() * (len(sizes) / weight)  # gradients are averaged over the processes afterwards
        mean = distributed.total(losses.sum()) / weight
        if not torch.isfinite(mean):
            raise GateFailed(
                f"the loss became {mean.item()} at epoch {self.current_epoch}, batch {batch_idx}: lower "
                "optimization.learning_rate or raise loss.min_temperature; nothing was published"
            )
        self.log("train/loss", mean, prog_bar=True, batch_size=number)
        self.log("train/temperature", self.temperature)
        known = batch.known_users, batch.known_rows
        self.log("train/conflicts", conflict_rate(batch.users, *known, batch.positives, all_positives.rows))
        if self.users.prior:
            self.log("train/strength", users.detach()[:, :-1].norm(dim=1).mean())
        return loss

    def _encode(self, batch: Batch, sampled: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """User vectors and positives' vectors, [P, dim] each, and those of sampled rows [n] -> [n, dim]."""
        token_rows = batch.tokens.rows.clamp(min=0).flatten()
        parts = [token_rows, batch.positives, sampled]
        unique, inverse = torch.cat(parts).unique(return_inverse=True)
        table = self.vectors(unique)  # each item once, however often it stands in the batch
        token_at, positive_at, sampled_at = inverse.split([len(part) for part in parts])
        tokens = self.items.in_history(table[token_at], self._id_rows(token_rows))  # [B * L, dim]
        tokens = tokens.view(*batch.tokens.rows.shape, table.shape[1])  # [B, L, dim]
        signals = batch.tokens.events, batch.tokens.gaps, batch.tokens.attributes
        users = self.users(tokens, *signals)  # [B, L + 1, dim] or [B, L + 1, interests, dim]
        positives = table[positive_at]  # [P, dim]
        return best_interest(users[batch.windows, batch.positions], positives), positives, table[sampled_at]

    def _losses(self, batch: Batch, users: Tensor, positives: Tensor, candidates: Candidates) -> Tensor:
        """Loss of each row, the mean over all dimensions that are to work, [P]."""
        excluded = excluded_candidates(
            batch.users, batch.known_users, batch.known_rows, batch.positives, candidates.rows
        )
        hard_rows = self._hard_negatives(batch, users)  # [P, H]
        hard = None
        if hard_rows is not None:
            excluded = excluded | repeated_candidates(hard_rows, candidates.rows)
            unique, inverse = hard_rows.clamp(min=0).unique(return_inverse=True)
            hard = self.vectors(unique)[inverse]  # [P, H, dim]
        losses = []
        for dim in (*self.loss.dims, self.users.dim):
            prefix = partial(truncate, dim=dim, prior=self.users.prior)
            losses.append(
                sampled_softmax(
                    prefix(users),
                    prefix(positives),
                    prefix(candidates.vectors),
                    candidates.log_q,
                    excluded,
                    self.temperature,
                    hard if hard is None else prefix(hard),
                    hard_rows if hard_rows is None else hard_rows == PADDING,
                    self.loss.smoothing,
                )
            )
        return losses[0] if len(losses) == 1 else torch.stack(losses).mean(dim=0)

    def _hard_negatives(self, batch: Batch, users: Tensor) -> Tensor | None:
        """Rows of each prediction's hard negatives, [P, H]; None where they are not configured."""
        if self.negatives.hard is None:
            return None
        number = int(batch.users.max()) + 1 if len(batch.users) else 0
        excluded = (self.target_counts == 0).repeat(number, 1)  # [U, N]
        excluded[batch.known_users, batch.known_rows] = True
        return self.negatives.hard.mine(users, batch.positives, excluded, batch.users, self.item_vectors)

    def on_validation_epoch_start(self) -> None:
        self._catalogue = self.item_vectors()
        self.validated = room_for_metrics(self.cases)

    @torch.no_grad()
    def item_vectors(self) -> Tensor:
        """Vectors of the whole catalogue, [N, dim]."""
        was_training = self.training
        self.eval()
        rows = torch.arange(self.num_items, device=self.device)
        vectors = torch.cat([self.vectors(part) for part in rows.split(8192)])
        self.train(was_training)
        return vectors

    def validation_step(self, batch: EvaluationBatch, batch_idx: int) -> None:
        assert self._catalogue is not None
        no_query = [PADDING] * len(batch.histories)
        users = self.users
        tokens = tokenize(batch.histories, no_query, self.event_types, users.max_history, users.attributes)
        tokens = tokens.to(self.device)
        rows = tokens.rows.clamp(min=0)
        vectors = self.items.in_history(self._catalogue[rows], self._id_rows(rows))  # [B, L, dim]
        last = users.last(vectors, tokens)  # [B, dim] or [B, interests, dim]
        self.validated[batch.places] = rank_batch(score(last, self._catalogue), batch, self.cases)

    def on_validation_epoch_end(self) -> None:
        for name, value in mean_metrics(self.validated, self.cases).items():
            self.log(f"valid/{name}", value, prog_bar=name in ("ndcg@10", "recall@10"))
        self._log_collapse()
        self._catalogue = None

    def _log_collapse(self) -> None:
        """How the vectors of trained items lie, whatever their priors, and how long id embeddings have grown."""
        assert self._catalogue is not None
        vectors = self._catalogue[self.target_counts > 0, : self.users.dim - int(self.users.prior)]
        self.log("items/mean_cosine", mean_cosine(vectors))
        self.log("items/effective_rank", effective_rank(vectors))
        if self.items.ids is not None:
            self.log("items/id_norm", self.items.ids.weight.detach()[self.target_counts > 0].norm(dim=1).mean())

    def configure_optimizers(self) -> Any:
        o = self.optimization
        groups = parameter_groups(self, self.items.history, self.text, o)
        optimizer = torch.optim.AdamW(groups, lr=o.learning_rate, fused=True)
        total = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, linear_decay(total, o.warmup_steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
