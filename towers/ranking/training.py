"""One training of a cross-encoder, from the pretrained transformer to a reranker of the right strength."""

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from torch.utils.data import DataLoader

from data_prep.command import instantiate
from data_prep.errors import UsageError
from data_prep.files import read_json
from towers.fitting.checkpoints import begin
from towers.fitting.trainer import Session, fit
from towers.model.run_record import RUN, check_towers
from towers.ranking.comparison import choose_strength
from towers.ranking.config import RankerConfig
from towers.ranking.cross_encoder import CrossEncoder, small_backbone
from towers.ranking.groups import CandidateGroup
from towers.ranking.losses import RankingLoss
from towers.ranking.mining import Shortlist
from towers.ranking.ranker_module import WATCHED, GroupBatches, RerankerTraining, starting_weight
from towers.ranking.training_set import Part
from towers.text.encoder import package_folder

log = logging.getLogger(__name__)

DECISIVE = ("model", "input_template", "mining", "judgements", "ranking_loss", "teacher", "seed")
"""Settings that a resumed training must share with the one that was begun."""


@dataclass(frozen=True)
class Fitting:
    """What all trainings of a command share.

    Attributes:
        config: the command's.
        towers: fingerprint of the run whose candidates are reranked.
        texts: what is read of every item, [N].
        folder: of the trainings, each in a folder of its own.
    """

    config: RankerConfig
    towers: str
    texts: Sequence[str]
    folder: Path

    def fit(self, part: Part) -> tuple[CrossEncoder, float]:
        """Train on a part; the reranker, and its strength.

        Raises:
            UsageError: loss and teacher do not go together, or the teacher was trained for something else.
            GateFailed: there is nothing to learn from.
        """
        config, loss = self.config, _loss(self.config)
        material = part.groups(config.mining, config.judgements.repeat, np.random.default_rng(config.seed))
        if loss.taught:
            material = taught(material, load_teacher(config, self.towers, part.name), self.texts)
        weight = starting_weight(material, loss)
        log.info("%s%d groups to learn from; recall's scores weigh %.3g", part.title, len(material), weight)
        model = self._untrained(weight)
        settings = {name: value for name, value in asdict(config).items() if name in DECISIVE}
        folder = self.folder / (part.name or "all")
        begin(folder, {"towers": self.towers, **settings}, config.resume)
        module = RerankerTraining(model, self.texts, loss, config)
        batches = GroupBatches(material, config.groups_per_batch, config.seed)
        validation: DataLoader[Shortlist] = DataLoader(list(part.watched), batch_size=None)  # type: ignore[arg-type]
        fit(module, batches, validation, WATCHED, Session(folder, config.trainer, config.resume, config.seed))
        model.eval()  # fit ends with a validation, whose readings are those of the best epoch
        weight, tried = model.recall_weight.item(), config.comparison.strengths
        strength = choose_strength(part.watched, module.readings, weight, tried)
        model.temper(strength)
        return model, strength

    def _untrained(self, recall_weight: float) -> CrossEncoder:
        """A cross-encoder that keeps the recall order."""
        model = self.config.model
        folder = Path(model.folder) if model.folder else package_folder(model.package)
        backbone, tokenizer = small_backbone(folder, model.layers, model.width)
        return CrossEncoder(backbone, tokenizer, model.max_tokens, self.config.input_template, recall_weight)


def _loss(config: RankerConfig) -> RankingLoss:
    loss: RankingLoss = instantiate(config.ranking_loss)
    if loss.taught and config.teacher is None:
        raise UsageError("teacher: ranking_loss learns from a teacher's scores; name the folder of a trained reranker")
    if config.teacher is not None and not loss.taught:
        raise UsageError(
            f"teacher: {type(loss).__name__} does not learn from a teacher; add ranking_loss=margin_mse, or leave it out"
        )
    return loss


def load_teacher(config: RankerConfig, towers: str, part: str) -> CrossEncoder:
    """The teacher of a part: what it learnt from, the student may learn from too, and nothing else.

    Args:
        config: the student's.
        towers: fingerprint of the run whose candidates are reranked.
        part: name of the part; "" for the one that is published.

    Raises:
        UsageError: the teacher was trained for other towers, material or texts, or has no reranker of that part.
    """
    assert config.teacher is not None
    if not (config.teacher / RUN).is_file():
        raise UsageError(f"teacher: no trained reranker in {config.teacher} ({RUN} is missing)")
    marks = read_json(config.teacher / RUN)
    check_towers(config.teacher, marks["towers_fingerprint"], towers, "train the teacher for these")
    for name in ("seed", "input_template", "mining"):
        own = asdict(config)[name]
        if marks["config"][name] != own:
            raise UsageError(
                f"teacher: {config.teacher} was trained with {name}={marks['config'][name]}, the student with {own}; "
                "the same are needed, so that neither learns from what it is judged by"
            )
    if part and (
        marks["config"]["judgements"]["folds"] != config.judgements.folds or not (config.teacher / part).is_dir()
    ):
        raise UsageError(
            f"teacher: {config.teacher} has no rerankers of the same judgements.folds, {config.judgements.folds}, and the one "
            "it has learnt from the queries that the student is judged by; train it with judgements.keep_folds=true"
        )
    return CrossEncoder.load(config.teacher / part)


def taught(material: Sequence[CandidateGroup], teacher: CrossEncoder, texts: Sequence[str]) -> list[CandidateGroup]:
    """The groups with a teacher's scores.

    Args:
        material: groups.
        teacher: who scores.
        texts: what it reads of every item, [N].
    """
    return [
        replace(one, teacher=teacher.score(one.context, [texts[row] for row in one.rows], one.scores))
        for one in material
    ]
