"""`python -m benchmarks.quality.texts <overrides of towers.train>`: fill the cache of text vectors, and nothing else.

Training does the same when it meets a text for the first time. Apart, it is measured once for a dataset and does not
blur the first seed's time.
"""

import sys
from pathlib import Path

import torch

from data_prep import Dataset
from data_prep.command import instantiate, load_config
from towers.events import LogSettings
from towers.text import VectorCache
from towers.training import TrainConfig, TrainingSet


def main(overrides: list[str]) -> None:
    """Encode every text that a training with these overrides would read."""
    config = load_config(TrainConfig, "train", overrides)
    torch.set_num_threads(config.trainer.threads)
    material = TrainingSet.of(Dataset.open(config.data), LogSettings(config.protocol), config.queries)
    VectorCache(Path(config.text["cache"]), instantiate(config.encoder)).encode(material.texts)


if __name__ == "__main__":
    main(sys.argv[1:])
