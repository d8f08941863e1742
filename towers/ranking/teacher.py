"""Distillation: a trained cross-encoder that teaches a smaller one, checked to fit it."""

from collections.abc import Sequence
from dataclasses import asdict, replace

from data_prep.command import instantiate
from data_prep.errors import UsageError
from towers.ranking.config import RankerConfig
from towers.ranking.cross_encoder import CrossEncoder
from towers.ranking.losses import RankingLoss
from towers.ranking.mining import CandidateGroup
from towers.ranking.record import CrossEncoderRecord

SHARED = ("seed", "input_template", "mining")
"""Settings that student and teacher share, so that neither learns from what evaluates it."""


def ranking_loss(config: RankerConfig) -> RankingLoss:
    """The configured loss.

    Raises:
        UsageError: it needs a teacher and there is none, or the other way round.
    """
    loss: RankingLoss = instantiate(config.ranking_loss)
    if loss.taught and config.teacher is None:
        raise UsageError(
            "teacher: ranking_loss learns from a teacher's scores; name the folder of a trained cross-encoder"
        )
    if config.teacher is not None and not loss.taught:
        raise UsageError(
            f"teacher: {type(loss).__name__} learns from no teacher; add ranking_loss=margin_mse, or leave it out"
        )
    return loss


def load_teacher(config: RankerConfig, towers: str, part: str) -> CrossEncoder:
    """The teacher of a training part: it learnt from what the student may learn from too, and from nothing else.

    Args:
        config: the student's.
        towers: fingerprint of the run whose candidates are ranked.
        part: name of the part; "" for the one that is published.

    Raises:
        UsageError: the teacher was trained for other towers, examples or texts, or has no cross-encoder of that part.
    """
    assert config.teacher is not None
    record = CrossEncoderRecord.read(config.teacher)
    record.check(config.teacher, towers)
    for name in SHARED:
        students = asdict(config)[name]
        if record.config[name] != students:
            raise UsageError(
                f"teacher: {config.teacher} was trained with {name}={record.config[name]}, the student with "
                f"{students}; the same are needed, so that neither learns from what evaluates it"
            )
    folds = config.judgements.folds
    if part and (record.config["judgements"]["folds"] != folds or not (config.teacher / part).is_dir()):
        raise UsageError(
            f"teacher: {config.teacher} has no cross-encoders of the same judgements.folds, {folds}, and the one it "
            "has learnt from the queries that evaluate the student; train it with judgements.keep_folds=true"
        )
    return CrossEncoder.load(config.teacher / part)


def with_teacher_scores(
    groups: Sequence[CandidateGroup], teacher: CrossEncoder, texts: Sequence[str]
) -> list[CandidateGroup]:
    """The groups with a teacher's scores.

    Args:
        groups: of the student.
        teacher: scores them.
        texts: the text of every item, [N].
    """
    return [
        replace(group, teacher=teacher.score(group.context, [texts[row] for row in group.rows], group.scores))
        for group in groups
    ]
