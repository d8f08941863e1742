"""The two towers, their candidates and their loss, as one LightningModule."""

from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from data_prep.errors import GateFailed
from towers.batches import Batch
from towers.evaluation import Cases, EvaluationBatch, mean_metrics, rank_batch
from towers.fitting import linear_decay
from towers.item_features import FeatureTable
from towers.item_text import ItemText
from towers.item_tower import NO_ID, ItemTower
from towers.losses import excluded_candidates, sampled_softmax
from towers.negatives import Negatives
from towers.text_encoder import TextEncoder
from towers.tokens import PADDING, EventTypes, tokenize
from towers.user_tower import UserTower


@dataclass
class Optimization:
    """How the weights are moved.

    Attributes:
        learning_rate: of AdamW, reached after warm-up.
        weight_decay: on matrices of the towers; biases, norms and embeddings are left alone.
        warmup_steps: steps of linear warm-up; linear decay to zero follows.
        temperature: initial temperature of the softmax, learnt from there.
        min_temperature: lower bound of it; the upper bound is 1.
    """

    learning_rate: float
    weight_decay: float
    warmup_steps: int
    temperature: float
    min_temperature: float


class Retriever(pl.LightningModule):
    """Trains an item tower and a user tower against each other.

    Args:
        items: the item tower.
        users: the user tower.
        text: text features of items (rows 0…N-1) and queries (rows N…).
        features: what the columns of the items table say of the same rows.
        encoder: the text encoder behind `text`; kept for those who save the towers.
        event_types: codes of the events.
        negatives: where negatives come from.
        optimization: learning rates and temperature.
        target_counts: how often each item is a target in an epoch, [N].
        cases: users of the validation split, evaluated exactly after every epoch.
    """

    target_counts: Tensor

    def __init__(
        self,
        items: ItemTower,
        users: UserTower,
        text: ItemText,
        features: FeatureTable,
        encoder: TextEncoder,
        event_types: EventTypes,
        negatives: Negatives,
        optimization: Optimization,
        target_counts: Tensor,
        cases: Cases,
    ) -> None:
        super().__init__()
        self.items = items
        self.users = users
        self.text = text
        self.features = features
        self._encoder = (encoder,)  # in a tuple: frozen weights stay out of checkpoints, tuned ones are in `text`
        self.event_types = event_types
        self.negatives = negatives
        self.optimization = optimization
        self.cases = cases
        self.register_buffer("target_counts", target_counts, persistent=False)
        self.log_temperature = nn.Parameter(torch.tensor(optimization.temperature).log())
        self._catalogue: Tensor | None = None  # item vectors while validating, [N, dim]
        self._validation: list[Tensor] = []

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
        """The softmax temperature, kept within its bounds."""
        return self.log_temperature.exp().clamp(self.optimization.min_temperature, 1.0)

    def vectors(self, rows: Tensor) -> Tensor:
        """Vectors of item or query rows, [n] -> [n, dim]."""
        trained = (rows < self.num_items) & (self.target_counts[rows.clamp(max=self.num_items - 1)] > 0)
        id_rows = torch.where(trained, rows, NO_ID)  # an embedding that no event ever moved says nothing
        vectors: Tensor = self.items(self.text(rows), id_rows, self.features(rows))
        return vectors

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        candidates = self.negatives.draw(batch.positives, self.target_counts)
        token_rows = batch.tokens.rows.clamp(min=0).flatten()
        unique, place = torch.cat([token_rows, batch.positives, candidates.rows]).unique(return_inverse=True)
        table = self.vectors(unique)  # each item once, however often it stands in the batch
        token_place, positive_place, candidate_place = place.split(
            [len(token_rows), len(batch.positives), len(candidates.rows)]
        )
        tokens = table[token_place.view_as(batch.tokens.rows)]  # [B, L, dim]
        moments = self.users(tokens, batch.tokens.events, batch.tokens.gaps)  # [B, L + 1, dim]
        excluded = excluded_candidates(
            batch.users, batch.known_users, batch.known_rows, batch.positives, candidates.rows
        )
        losses = sampled_softmax(
            moments[batch.windows, batch.moments],
            table[positive_place],
            table[candidate_place],
            candidates.log_q,
            excluded,
            self.temperature,
        )
        loss = losses.mean()
        if not torch.isfinite(loss):
            raise GateFailed(
                f"the loss became {loss.item()} at epoch {self.current_epoch}, batch {batch_idx}: lower "
                "optimization.learning_rate or raise optimization.min_temperature; nothing was published"
            )
        self.log("train/loss", loss, prog_bar=True, batch_size=len(losses))
        self.log("train/temperature", self.temperature)
        return loss

    def on_validation_epoch_start(self) -> None:
        self._catalogue = self.item_vectors()
        self._validation = []

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
        tokens = tokenize(batch.histories, no_query, self.event_types, self.users.max_history).to(self.device)
        users = self.users.last(self._catalogue[tokens.rows.clamp(min=0)], tokens)  # [B, dim]
        self._validation.append(rank_batch(users @ self._catalogue.T, batch, self.cases))

    def on_validation_epoch_end(self) -> None:
        for name, value in mean_metrics(self._validation, self.cases).items():
            self.log(f"valid/{name}", value, prog_bar=name in ("ndcg@10", "recall@10"))
        self._catalogue = None

    def configure_optimizers(self) -> Any:
        o = self.optimization
        embeddings = {p for m in self.modules() if isinstance(m, nn.Embedding) for p in m.parameters()}
        encoder = list(self.text.parameters())
        of_encoder = set(encoder)
        towers = [p for p in self.parameters() if p not in of_encoder]
        groups = [
            {
                "params": [p for p in towers if p.ndim >= 2 and p not in embeddings],
                "weight_decay": o.weight_decay,
            },
            {"params": [p for p in towers if p.ndim < 2 or p in embeddings], "weight_decay": 0.0},
            {
                "params": [p for p in encoder if p.requires_grad],
                "weight_decay": o.weight_decay,
                "lr": self.text.learning_rate,
            },
        ]
        optimizer = torch.optim.AdamW([g for g in groups if g["params"]], lr=o.learning_rate)
        total = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, linear_decay(total, o.warmup_steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
