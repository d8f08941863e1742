"""`python -m benchmarks.diversity`: what diversity costs a trained model, as a curve for each method."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.diversity.tradeoff import Setting, Space, lists, tradeoff
from data_prep.columns import Columns, Split
from data_prep.command import command
from data_prep.config import require
from data_prep.errors import GateFailed, UsageError
from towers.baselines import TrainingData
from towers.diversity.diversify import METHODS, POOL, DiversityConfig, unit
from towers.events.reading import read_sequences_of
from towers.metrics.bootstrap import Bootstrap
from towers.metrics.evaluation import Cases, sample
from towers.model.one_vector import OneVectorModel
from towers.model.run_record import RunRecord
from towers.model.scorer import ONE_VECTOR, model_scorer
from towers.text.whitening import text_directions

TABLE, PICTURE = "diversity.csv", "diversity.png"


@dataclass
class TradeoffConfig:
    """`python -m benchmarks.diversity`.

    Attributes:
        run: folder of a finished training run.
        data: the dataset it was trained on; null finds it.
        artifacts: root of everything written.
        to: folder for the table and the picture; null for the run.
        held_out: the split to be found, "test" or "valid".
        users: how many of its users, drawn at random.
        k: items in a list.
        pool: items that it is chosen from.
        strengths: that each method is tried at, beside its default and 0.
        batch_size: users scored at a time.
        samples, confidence, seed: of the bootstrap; the seed draws the users too.
        threads: intra-op threads of torch.
        diversity: the defaults, which are marked.
    """

    run: Path
    data: Path | None
    artifacts: Path
    to: Path | None
    held_out: str
    users: int
    k: int
    pool: int
    strengths: list[float]
    batch_size: int
    samples: int
    confidence: float
    seed: int
    threads: int
    diversity: DiversityConfig

    def __post_init__(self) -> None:
        if self.held_out not in ("test", "valid"):
            raise UsageError(f"held_out: {self.held_out!r} is neither 'test' nor 'valid'")
        require("users", self.users, 1)
        require("k", self.k, 2)
        require("pool", self.pool, POOL * self.k)
        for strength in self.strengths:
            require("strengths", strength, 0, 1)


def measure(config: TradeoffConfig) -> pd.DataFrame:
    """The rows of `benchmarks.diversity.tradeoff.tradeoff`.

    Raises:
        UsageError: run and data do not belong together, or the run was trained on the split.
        GateFailed: nobody has anything to be found.
    """
    torch.set_num_threads(config.threads)
    model, run = OneVectorModel.open(config.run), RunRecord.read(config.run)
    dataset, split = run.open_data(config.data), Split[config.held_out.upper()]
    if split < run.until:
        raise UsageError(f"held_out: {config.run} was trained on the {config.held_out} events; leave held_out=test")
    sequences = read_sequences_of(dataset, run.settings.log)
    item_ids = [str(i) for i in dataset.items[Columns.ITEM_ID]]
    cases = Cases.held_out(sequences, item_ids, split, model.exclude_seen, [config.k])
    if not len(cases):
        raise GateFailed(f"{dataset.path} has no user with something to find in its {config.held_out} split")
    cases = sample(cases, config.users, config.seed)
    training = model.towers.seen(sequences, dataset.items, run.until)
    space = _space(model, training)
    settings = list(dict.fromkeys(_settings(config)))
    scorer = model_scorer(ONE_VECTOR, model, dataset.items)
    found = lists(scorer, cases, space, settings, config.k, config.pool, config.batch_size)
    return tradeoff(found, cases.truth, space, Bootstrap(config.samples, config.confidence, config.seed))


def _settings(config: TradeoffConfig) -> list[Setting]:
    own = config.diversity.strength
    return [
        Setting(method, strength) for method in METHODS for strength in sorted({0.0, own[method], *config.strengths})
    ]


def _space(model: OneVectorModel, training: TrainingData) -> Space:
    items = training.items
    names = items[Columns.CATEGORY] if Columns.CATEGORY in items else pd.Series(None, items.index, dtype="str")
    codes, _ = pd.factorize(names)
    return Space(unit(model.item_vectors(items)), text_directions(training.vectors), codes)


def print_tradeoff(rows: pd.DataFrame, defaults: dict[str, float], title: str) -> None:
    """One row a setting; * marks each method's default."""
    table = Table(title=title)
    for heading in ("", "strength", "NDCG", "change", "interval", "item distance", "text distance", "categories"):
        table.add_column(heading, justify="left" if heading == "" else "right")
    for row in rows.to_dict("records"):
        mark = "*" if row["strength"] == defaults[row["method"]] else " "
        table.add_row(
            row["method"],
            f"{row['strength']:g}{mark}",
            f"{row['ndcg']:.4f}",
            f"{row['ndcg_change']:+.2%}",
            f"{row['ndcg_low']:+.2%} to {row['ndcg_high']:+.2%}",
            f"{row['item_distance']:.3f} {row['item_distance_change']:+.1%}",
            f"{row['text_distance']:.3f} {row['text_distance_change']:+.1%}",
            f"{row['categories']:.2f}",
        )
    console = Console()
    (console if console.is_terminal else Console(width=140)).print(table)


@command(TradeoffConfig, "diversity_tradeoff")
def main(config: TradeoffConfig) -> pd.DataFrame:
    """Measure, print the table, and keep it with a picture."""
    from benchmarks.diversity.plot import draw_tradeoff  # says what to install if matplotlib is missing

    rows = measure(config)
    folder = config.to or config.run
    folder.mkdir(parents=True, exist_ok=True)
    rows.to_csv(folder / TABLE, index=False)
    draw_tradeoff(folder / PICTURE, rows, config.diversity.strength, config.k)
    title = f"{config.run.name}: lists of {config.k} from the best {config.pool}, {config.held_out} (* default)"
    print_tradeoff(rows, config.diversity.strength, title)
    print(f"written to {folder / TABLE} and {folder / PICTURE}")
    return rows


if __name__ == "__main__":
    main()
