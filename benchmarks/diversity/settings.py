"""Settings of the trade-off of diversity, and its command line."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from data_prep import Split
from data_prep.command import load_config
from data_prep.config import require
from towers.diversity import POOL, DiversityConfig

STRENGTHS = (0.2, 0.4, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)


@dataclass(frozen=True)
class TradeoffSettings:
    """How the trade-off is measured.

    Attributes:
        run: folder of a finished training run.
        data: the dataset it was trained on; None finds it.
        to: folder for the table and the picture; None for the run.
        held_out: the split whose items are relevant, "test" or "valid".
        users: how many of its users, drawn at random.
        k: items in a list.
        pool: items that it is chosen from; as many as Recommend recalls.
        strengths: that each method is tried at, beside its default and 0.
        batch_size: users scored at a time.
        samples, confidence, seed: of the bootstrap; the seed draws the users too.
        threads: intra-op threads of torch.
    """

    run: Path
    data: Path | None = None
    to: Path | None = None
    held_out: str = "test"
    users: int = 5000
    k: int = 10
    pool: int = 50
    strengths: Sequence[float] = STRENGTHS
    batch_size: int = 256
    samples: int = 1000
    confidence: float = 0.95
    seed: int = 0
    threads: int = 2

    def __post_init__(self) -> None:
        require("users", self.users, 1)
        require("k", self.k, 2)
        require("pool", self.pool, POOL * self.k)
        for strength in self.strengths:
            require("strengths", strength, 0, 1)

    @property
    def split(self) -> Split:
        """The split whose items are relevant."""
        return Split[self.held_out.upper()]

    @property
    def folder(self) -> Path:
        """Where the table and the picture go."""
        return self.to or self.run


@dataclass
class _Standard:
    diversity: DiversityConfig


def default_diversity() -> DiversityConfig:
    """The defaults of requests, conf/diversity/standard.yaml: each method is measured at its own, too."""
    return load_config(_Standard, "diversity/standard").diversity


def read_arguments(arguments: Sequence[str] | None = None) -> TradeoffSettings:
    """The settings of a command line; None for this process's.

    Raises:
        UsageError: a number is outside its bounds.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.diversity", description="The cost of diversity: a table and a picture."
    )
    parser.add_argument("run", type=Path, help="folder of a finished training run")
    parser.add_argument("--data", type=Path, help="the dataset it was trained on; found by the run")
    parser.add_argument("--to", type=Path, help="folder for table and picture; the run")
    parser.add_argument("--held-out", choices=("test", "valid"), help="the split whose items are relevant")
    parser.add_argument("--strengths", type=float, nargs="*", help="beside each method's default and 0")
    for name in ("users", "k", "pool", "batch-size", "samples", "seed", "threads"):
        parser.add_argument(f"--{name}", type=int)
    parser.add_argument("--confidence", type=float, help="of the intervals")
    defaults = {field.name: field.default for field in fields(TradeoffSettings) if field.name != "run"}
    parser.set_defaults(**defaults)
    return TradeoffSettings(**vars(parser.parse_args(arguments)))
