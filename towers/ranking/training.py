"""One training of a cross-encoder, from the pretrained transformer to the weight of its scores beside recall's."""

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from torch.utils.data import DataLoader

from towers.fitting.checkpoints import begin
from towers.fitting.trainer import Session, fit
from towers.ranking.comparison import choose_ranker_weight
from towers.ranking.config import RankerConfig
from towers.ranking.cross_encoder import CrossEncoder, small_backbone
from towers.ranking.mining import Shortlist
from towers.ranking.ranker_module import WATCHED, CrossEncoderTraining, GroupBatches, starting_weight
from towers.ranking.teacher import load_teacher, ranking_loss, with_teacher_scores
from towers.ranking.training_set import TrainingPart
from towers.text.encoder import package_folder

log = logging.getLogger(__name__)

DECISIVE = ("model", "input_template", "mining", "judgements", "ranking_loss", "teacher", "seed")
"""Settings that a resumed training must share with the one that was begun."""


@dataclass(frozen=True)
class CrossEncoderTrainer:
    """Everything that the trainings of a command share.

    Attributes:
        config: the command's.
        towers: fingerprint of the run whose candidates are ranked.
        texts: text of every item, [N].
        folder: of the trainings, each in a folder of its own.
    """

    config: RankerConfig
    towers: str
    texts: Sequence[str]
    folder: Path

    def fit(self, part: TrainingPart) -> tuple[CrossEncoder, float]:
        """Train on a part; the cross-encoder, and the weight of its text scores.

        Raises:
            UsageError: loss and teacher do not go together, or the teacher was trained for something else.
            GateFailed: there is nothing to learn from.
        """
        config, loss = self.config, ranking_loss(self.config)
        groups = part.groups(config.mining, config.judgements.repeat, np.random.default_rng(config.seed))
        if loss.taught:
            groups = with_teacher_scores(groups, load_teacher(config, self.towers, part.name), self.texts)
        recall_weight = starting_weight(groups, loss)
        log.info("%s%d groups to learn from; recall weight %.3g", part.title, len(groups), recall_weight)
        model = self._untrained(recall_weight)
        settings = {name: value for name, value in asdict(config).items() if name in DECISIVE}
        folder = self.folder / (part.name or "all")
        begin(folder, {"towers": self.towers, **settings}, config.resume)
        module = CrossEncoderTraining(model, self.texts, loss, config)
        batches = GroupBatches(groups, config.groups_per_batch, config.seed)
        validation: DataLoader[Shortlist] = DataLoader(list(part.validation), batch_size=None)  # type: ignore[arg-type]
        fit(module, batches, validation, WATCHED, Session(folder, config.trainer, config.resume, config.seed))
        model.eval()  # fit ends with a validation, whose text scores are those of the best epoch
        weight = choose_ranker_weight(
            part.validation, module.text_scores, model.recall_weight.item(), config.comparison.weights
        )
        model.scale_text_scores(weight)
        return model, weight

    def _untrained(self, recall_weight: float) -> CrossEncoder:
        """A cross-encoder that keeps the recall order."""
        model = self.config.model
        folder = Path(model.folder) if model.folder else package_folder(model.package)
        backbone, tokenizer = small_backbone(folder, model.layers, model.width)
        return CrossEncoder(backbone, tokenizer, model.max_tokens, self.config.input_template, recall_weight)
