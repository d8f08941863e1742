"""What a funnel is trained for: a run, the data it was trained on, and the channels beside it."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from data_prep.columns import Columns, Split
from data_prep.command import instantiate
from data_prep.dataset import Dataset
from towers.baselines import DoesNotApply, TrainingData
from towers.candidates.channels import FittedChannel
from towers.candidates.config import FunnelConfig
from towers.candidates.funnel import TOWERS_ALONE, Funnel
from towers.candidates.item_statistics import ItemStatistics
from towers.events.history import Sequences
from towers.events.reading import read_sequences_of
from towers.model.one_vector import OneVectorModel
from towers.model.run_record import RunRecord
from towers.model.scorer import ONE_VECTOR, VectorScorer, model_scorer

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainedRun:
    """A run, and the data it was trained on.

    Attributes:
        model: towers and blocks.
        dataset: the data.
        run: the run's record.
        sequences: the log, as the run saw it.
    """

    model: OneVectorModel
    dataset: Dataset
    run: RunRecord
    sequences: Sequences

    @classmethod
    def of(cls, folder: Path, dataset: Dataset) -> Self:
        """Open a run.

        Args:
            folder: of the run.
            dataset: what it was trained on.
        """
        run = RunRecord.read(folder)
        run.check_data(dataset)
        return cls(OneVectorModel.open(folder), dataset, run, read_sequences_of(dataset, run.settings.log))

    @property
    def until(self) -> Split:
        """The first split whose events the run has not seen."""
        return self.run.until

    @cached_property
    def item_ids(self) -> list[str]:
        """The callers' strings, by row."""
        return [str(i) for i in self.dataset.items[Columns.ITEM_ID]]

    @cached_property
    def training(self) -> TrainingData:
        """What the towers learnt from."""
        return self.model.towers.seen(self.sequences, self.dataset.items, self.until)

    @cached_property
    def towers(self) -> VectorScorer:
        """The model's one vector."""
        return model_scorer(ONE_VECTOR, self.model, self.dataset.items)


def whole_funnel(config: FunnelConfig, channels: Mapping[str, Any], shop: TrainedRun) -> tuple[Funnel, dict[str, str]]:
    """The funnel of all channels, whose order is the towers' yet, and the channels that do not apply, with the reasons.

    Args:
        config: how deep it is.
        channels: as configured, by name.
        shop: what they are fitted to.
    """
    fitted: dict[str, FittedChannel] = {}
    left_out = {}
    for name, node in channels.items():
        try:
            fitted[name] = instantiate(node).fit(shop.training)
        except DoesNotApply as reason:
            log.info("channel %s left out: %s", name, reason)
            left_out[name] = str(reason)
    whole = Funnel(
        channels=fitted,
        fusion=TOWERS_ALONE,
        ranker=None,
        facts=ItemStatistics.of(shop.dataset.items, shop.training.interactions),
        depth=config.depth,
        channel_depth=config.channel_depth,
        candidates=config.candidates,
    )
    return whole, left_out
