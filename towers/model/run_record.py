"""`run.json`: the record of a finished training run, typed; written and read here and nowhere else."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from data_prep.columns import Split
from data_prep.config import Node
from data_prep.dataset import Dataset
from data_prep.errors import UsageError
from data_prep.files import read_json, write_json
from towers.events.reading import LogSettings
from towers.metrics.config import EvaluationConfig, JudgementConfig
from towers.text.synthetic_queries import QueryConfig

RUN = "run.json"
"""Name of the record in a run's folder; it is written last, so that a folder without it is not finished."""


@dataclass(frozen=True)
class RunSettings:
    """Those settings of a training run that are read again after it.

    Attributes:
        seed: of everything random.
        log: the part of the dataset's log that the run saw.
        queries: how search texts are read, and derived from items.
        judgements: which judged queries the towers learnt from.
        evaluation: how users were evaluated.
        dim: length of the towers' vectors.
        dims: shorter lengths that they were trained to be cut to.
        blocks: names of the blocks that were configured, whatever they came to weigh.
        encoder: the text encoder before any tuning, for `instantiate`.
        text_cache: folder of the text vector cache.
        epochs, patience: of the trainer.
    """

    seed: int
    log: LogSettings
    queries: QueryConfig
    judgements: JudgementConfig
    evaluation: EvaluationConfig
    dim: int
    dims: Sequence[int]
    blocks: Sequence[str]
    encoder: Node
    text_cache: Path
    epochs: int
    patience: int

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Self:
        """Read them from a whole configuration of `towers.train`.

        Raises:
            UsageError: a setting is missing, or one that this version does not know.
        """
        try:
            tower, trainer = config["tower"], config["trainer"]
            return cls(
                seed=config["seed"],
                log=LogSettings(
                    config["protocol"], tower["attributes"]["columns"], config["cold_share"], config["seed"]
                ),
                queries=QueryConfig(**config["queries"]),
                judgements=JudgementConfig(**config["judgements"]),
                evaluation=EvaluationConfig(**config["evaluation"]),
                dim=tower["dim"],
                dims=config["loss"]["dims"],
                blocks=list(config["blocks"]),
                encoder=config["encoder"],
                text_cache=Path(config["text"]["cache"]),
                epochs=trainer["epochs"],
                patience=trainer["patience"],
            )
        except (KeyError, TypeError) as error:
            raise UsageError(
                f"run: it was trained with the settings of another version ({error}); train anew"
            ) from error


@dataclass(frozen=True)
class BlockWeightsRecord:
    """How the blocks' weights were chosen.

    Attributes:
        users: validation users, or judged queries, that decided.
        blocks: weight of each block that was kept, by name.
        figures: metrics of the one vector on those users, by name; empty without blocks.
    """

    users: int
    blocks: Mapping[str, float]
    figures: Mapping[str, float]


@dataclass(frozen=True)
class RunRecord:
    """Everything a run says of itself beside its weights.

    Attributes:
        data: folder of the dataset it was trained on.
        dataset_fingerprint: of that dataset.
        until: the first split whose events it has not seen.
        config: the whole configuration of `towers.train`, as composed; read it through `settings`.
        validation: validation figures of the best epoch, by name.
        intervals: bootstrap interval of each figure, name -> (low, high).
        block_weights: how the blocks' weights were chosen.
        epochs: epochs trained.
        best_epoch: epochs behind the weights.
        overrides: as typed to get the configuration.
        cost: seconds and memory, by name (see `CostMeter.spent`).
        libraries: version of each library that decides figures, by name.
        fingerprint: of weights, configuration and text encoder; "" before the run is saved.
        text_encoder_fingerprint: of the text encoder; "" before the run is saved.
    """

    data: Path
    dataset_fingerprint: str
    until: Split
    config: Node
    validation: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    block_weights: BlockWeightsRecord
    epochs: int
    best_epoch: int
    overrides: Sequence[str] = ()
    cost: Mapping[str, float] = field(default_factory=dict)
    libraries: Mapping[str, str] = field(default_factory=dict)
    fingerprint: str = ""
    text_encoder_fingerprint: str = ""

    @cached_property
    def settings(self) -> RunSettings:
        """The settings that are read again, typed.

        Raises:
            UsageError: the run was trained with the settings of another version.
        """
        return RunSettings.of(self.config)

    def of_files(self, run: str, text_encoder: str) -> Self:
        """The record of a run whose files are written, which its fingerprints are of."""
        return replace(self, fingerprint=run, text_encoder_fingerprint=text_encoder)

    def write(self, run: Path) -> None:
        """Write it into the run's folder, which it finishes."""
        fields = asdict(self) | {"data": str(self.data), "until": self.until.name.lower()}
        write_json(run / RUN, json.loads(json.dumps(fields, default=str)))

    @classmethod
    def read(cls, run: Path) -> Self:
        """The record of a finished run.

        Raises:
            UsageError: the run is not finished, or its record is damaged or of another version.
        """
        path = Path(run) / RUN
        try:
            fields = read_json(path)
            typed = {
                "data": Path(fields["data"]),
                "until": Split[fields["until"].upper()],
                "intervals": {name: (low, high) for name, (low, high) in fields["intervals"].items()},
                "block_weights": BlockWeightsRecord(**fields["block_weights"]),
            }
            return cls(**fields | typed)
        except FileNotFoundError as error:
            raise UsageError(
                f"run: {run} is no finished training run ({RUN} is missing); python -m towers.train first"
            ) from error
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UsageError(
                f"run: {path} is damaged or of another version ({error}); python -m towers.train makes a new one"
            ) from error

    @staticmethod
    def finished(run: Path) -> bool:
        """Whether a folder holds a finished run."""
        return (run / RUN).is_file()

    def check_data(self, dataset: Dataset) -> None:
        """Refuse a dataset that the run was not trained on.

        Raises:
            UsageError: the fingerprints differ; the message has both.
        """
        if self.dataset_fingerprint != dataset.fingerprint:
            raise UsageError(
                f"the run was trained on data {self.dataset_fingerprint}, {dataset.path} is {dataset.fingerprint}; "
                "leave `data` out to use the data it was trained on, or train on this data"
            )

    def open_data(self, data: Path | None = None) -> Dataset:
        """The dataset in a folder, or the one the run was trained on if that is None.

        Raises:
            UsageError: it is not there, or not the one the run was trained on.
        """
        dataset = Dataset.open(data or self.data)
        self.check_data(dataset)
        return dataset
