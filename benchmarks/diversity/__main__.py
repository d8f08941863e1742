"""`python -m benchmarks.diversity RUN`: the cost of diversity for a trained model, as a curve for each method."""

import sys

import pandas as pd
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.diversity.settings import TradeoffSettings, default_diversity, read_arguments
from benchmarks.diversity.tradeoff import ListCatalogue, MethodStrength, lists, tradeoff
from data_prep import Columns
from data_prep.errors import CommandError, GateFailed, UsageError
from towers.diversity import METHODS, unit
from towers.events import TrainingData, read_sequences_of
from towers.metrics import Bootstrap, Cases, sample
from towers.model import ONE_VECTOR, OneVectorModel, RunRecord, model_scorer
from towers.text import text_directions

TABLE, PICTURE = "diversity.csv", "diversity.png"


def measure(settings: TradeoffSettings, defaults: dict[str, float]) -> pd.DataFrame:
    """The rows of `benchmarks.diversity.tradeoff.tradeoff`.

    Args:
        settings: run, users and lists.
        defaults: strength of each method, at which it is measured too.

    Raises:
        UsageError: run and data do not belong together, or the run was trained on the split.
        GateFailed: no user has an item held out.
    """
    torch.set_num_threads(settings.threads)
    model, run = OneVectorModel.open(settings.run), RunRecord.read(settings.run)
    dataset = run.open_data(settings.data)
    if settings.split < run.until:
        raise UsageError(
            f"--held-out {settings.held_out}: {settings.run} was trained on these events; use --held-out test"
        )
    sequences = read_sequences_of(dataset, run.settings.log)
    item_ids = [str(i) for i in dataset.items[Columns.ITEM_ID]]
    cases = Cases.held_out(sequences, item_ids, settings.split, model.exclude_seen, [settings.k])
    if not len(cases):
        raise GateFailed(f"{dataset.path} has no user with an item held out in its {settings.held_out} split")
    cases = sample(cases, settings.users, settings.seed)
    catalogue = _catalogue(model, model.towers.seen(sequences, dataset.items, run.until))
    curves = [
        MethodStrength(method, strength)
        for method in METHODS
        for strength in sorted({0.0, defaults[method], *settings.strengths})
    ]
    scorer = model_scorer(ONE_VECTOR, model, dataset.items)
    chosen = lists(scorer, cases, catalogue, curves, settings.k, settings.pool, settings.batch_size)
    return tradeoff(chosen, cases.truth, catalogue, Bootstrap(settings.samples, settings.confidence, settings.seed))


def _catalogue(model: OneVectorModel, training: TrainingData) -> ListCatalogue:
    items = training.items
    names = items[Columns.CATEGORY] if Columns.CATEGORY in items else pd.Series(None, items.index, dtype="str")
    codes, _ = pd.factorize(names)
    return ListCatalogue(unit(model.item_vectors(items)), text_directions(training.vectors), codes)


def print_tradeoff(rows: pd.DataFrame, defaults: dict[str, float], title: str) -> None:
    """One row for each method and strength; * marks each method's default."""
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


def run(settings: TradeoffSettings) -> pd.DataFrame:
    """Measure, print the table, and keep it with a picture."""
    from benchmarks.diversity.plot import draw_tradeoff  # says what to install if matplotlib is missing

    defaults = default_diversity().strength
    rows = measure(settings, defaults)
    settings.folder.mkdir(parents=True, exist_ok=True)
    rows.to_csv(settings.folder / TABLE, index=False)
    draw_tradeoff(settings.folder / PICTURE, rows, defaults, settings.k)
    title = f"{settings.run.name}: lists of {settings.k} from the best {settings.pool}, {settings.held_out} (* default)"
    print_tradeoff(rows, defaults, title)
    print(f"written to {settings.folder / TABLE} and {settings.folder / PICTURE}")
    return rows


def main() -> None:
    """The command."""
    try:
        run(read_arguments())
    except CommandError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
