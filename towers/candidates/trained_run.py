"""A trained run and its data, from which funnels are fitted."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

from data_prep.columns import Columns, Split
from data_prep.config import Node
from data_prep.dataset import Dataset
from towers.baselines import fit_each
from towers.candidates.config import FunnelConfig
from towers.candidates.funnel import TOWERS_ALONE, Funnel
from towers.candidates.item_statistics import ItemStatistics
from towers.events import TrainingData
from towers.events.history import Sequences
from towers.events.reading import read_sequences_of
from towers.model.one_vector import OneVectorModel
from towers.model.run_record import RunRecord
from towers.model.scorer import ONE_VECTOR, VectorScorer, model_scorer


@dataclass(frozen=True)
class TrainedRun:
    """A run, and the data it was trained on.

    Attributes:
        folder: of the run.
        model: towers and blocks.
        dataset: the data.
        record: of the run.
        sequences: the log, as the run saw it.
    """

    folder: Path
    model: OneVectorModel
    dataset: Dataset
    record: RunRecord
    sequences: Sequences

    @classmethod
    def of(cls, folder: Path, dataset: Dataset) -> Self:
        """Open a run.

        Args:
            folder: of the run.
            dataset: the data it was trained on.

        Raises:
            UsageError: run and data do not belong together.
        """
        record = RunRecord.read(folder)
        record.check_data(dataset)
        return cls(
            folder, OneVectorModel.open(folder), dataset, record, read_sequences_of(dataset, record.settings.log)
        )

    @property
    def until(self) -> Split:
        """The first split whose events the run has not seen."""
        return self.record.until

    @cached_property
    def item_ids(self) -> list[str]:
        """The callers' strings, by row."""
        return [str(item_id) for item_id in self.dataset.items[Columns.ITEM_ID]]

    @cached_property
    def titles(self) -> list[str]:
        """The items' titles, by row."""
        return [str(title) for title in self.dataset.items[Columns.TITLE]]

    @cached_property
    def training(self) -> TrainingData:
        """Everything the towers learnt from."""
        return self.model.towers.seen(self.sequences, self.dataset.items, self.until)

    @cached_property
    def towers(self) -> VectorScorer:
        """The model's one vector."""
        return model_scorer(ONE_VECTOR, self.model, self.dataset.items)


def funnel_of_all_channels(
    config: FunnelConfig, channels: Mapping[str, Node], run: TrainedRun
) -> tuple[Funnel, dict[str, str]]:
    """The funnel of all channels that apply, in the towers' order yet; and the others, name -> reason.

    Args:
        config: how deep it is.
        channels: as configured, by name.
        run: the channels are fitted to its training data.
    """
    left_out: dict[str, str] = {}
    whole = Funnel(
        channels=dict(fit_each(channels, run.training, left_out)),
        fusion=TOWERS_ALONE,
        ranker=None,
        item_statistics=ItemStatistics.of(run.dataset.items, run.training.interactions),
        depth=config.depth,
        channel_depth=config.channel_depth,
        candidates=config.candidates,
    )
    return whole, left_out
