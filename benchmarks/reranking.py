"""A small cross-encoder beside a deep one: quality, gain over the order that is served, and cost.

    nice python -m benchmarks.reranking --shared ../shared/data
    nice python -m benchmarks.reranking --set insurance --shared . --folds 2 --depth 20 --tokens 56 \\
        --relevant 1 --negatives 7

Judged queries (see `benchmarks.search`, whose runs are taken where they are there) are answered by towers and words as
a server does, and what that gives is reranked by two cross-encoders, trained as by `towers.train_ranker`: a teacher
of six layers, and a student of two that learns its margins. Both learn from judgements alone, cross-validated over
queries; every query is reranked by a model that did not learn from it. The section of `docs/reranking.md` between the
set's markers is written from what was measured. Times are the processor's, on one thread.
"""

import argparse
import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.judged_sets import SETS
from benchmarks.quality.page import replace_section
from benchmarks.search import VARIANTS, trained, with_funnel
from data_prep import Columns, Dataset
from data_prep.command import load_config
from towers.candidates import QueryFunnel
from towers.metrics import Bootstrap, Judgements
from towers.model import ONE_VECTOR, OneVectorModel, model_scorer
from towers.modules import INT8
from towers.ranking import (
    CrossEncoder,
    CrossEncoderTrainer,
    RankerConfig,
    RankerResult,
    RankingTrainingSet,
    Shortlist,
    export_cross_encoder,
    judged_examples,
    load_exported,
    not_retrieved_share,
    quantise_cross_encoder,
    shortlist_ndcg,
    shortlists,
)
from towers.train_ranker import evaluate_folds, publish

ROOT = Path(__file__).parents[1]
BEGIN, END = "<!-- benchmarks.reranking {} -->", "<!-- end -->"
SHOWN = {"chorus": "'{title}. {category}, by {brand}'", "insurance": "null"}
"""Text of the items of a set, as `input_template.template`."""

NAMES = ("teacher, 6 layers", "student, 2 layers", "student, int8")
TIMED, ROUNDS = 10, 3  # queries whose candidates are scored against the clock, and how often


@dataclass(eq=False)
class Scored:
    """Figures of one order on all judged queries.

    Attributes:
        name: of the row.
        ndcg: NDCG@10 of each query that judges, [Q].
        milliseconds: of the processor for a query's candidates, the least of the rounds; 0 for what reads nothing.
    """

    name: str
    ndcg: NDArray[np.float64]
    milliseconds: float = 0.0


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.reranking", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--shared", type=Path, default=ROOT.parent / "shared" / "data", help="folder of the set's files"
    )
    parser.add_argument("--set", choices=list(SETS), default="chorus", help="the judged set")
    parser.add_argument("--search", type=Path, default=Path("artifacts/search"), help="artifacts of benchmarks.search")
    parser.add_argument("--artifacts", type=Path, default=Path("artifacts/reranking"))
    parser.add_argument("--docs", type=Path, default=ROOT / "docs" / "reranking.md")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--depth", type=int, default=50, help="candidates of a query")
    parser.add_argument("--tokens", type=int, default=40, help="of query and item together")
    parser.add_argument("--relevant", type=int, default=4, help="relevant candidates in a group")
    parser.add_argument("--negatives", type=int, default=12, help="other candidates in a group")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--judged", type=int, default=2000, help="queries that judge, at most; all are learnt from")
    return parser.parse_args()


@dataclass(frozen=True)
class RankingBench:
    """Settings that all trainings share.

    Attributes:
        options: the command line.
        run: the towers, which learnt from no judgement, with their funnel for queries.
        dataset: the catalogue.
        judged: the queries that can be answered.
    """

    options: argparse.Namespace
    run: Path
    dataset: Dataset
    judged: Judgements

    @classmethod
    def of(cls, options: argparse.Namespace) -> "RankingBench":
        """Prepare, train and open what is not there yet, by the commands' own code."""
        data = SETS[options.set](options.shared, options.search)
        run = with_funnel(trained(f"{options.set}-typos", VARIANTS["typos"], data, options.search), data)
        dataset = Dataset.open(data)
        return cls(options, run, dataset, Judgements.of(dataset).answerable())

    def config(self, name: str, *overrides: str) -> RankerConfig:
        """Settings of one training."""
        options = self.options
        line = [
            f"run={options.artifacts / options.set}", f"name={name}", f"input_template.template={SHOWN[options.set]}",
            "model.width=384", f"model.max_tokens={options.tokens}", f"mining.depth={options.depth}",
            f"mining.relevant={options.relevant}", f"mining.negatives={options.negatives}", "mining.held_out=0.15",
            f"judgements.folds={options.folds}", "judgements.keep_folds=true", f"trainer.epochs={options.epochs}",
            "trainer.threads=1", "learning_rate=1e-4", "warmup_steps=20", "groups_per_batch=4",
        ]  # fmt: skip
        return load_config(RankerConfig, "train_ranker", [*line, *overrides])

    @cached_property
    def served(self) -> QueryFunnel:
        """The channels that answer the queries."""
        model = OneVectorModel.open(self.run)
        served = QueryFunnel.of(self.run, model.fingerprint, model_scorer(ONE_VECTOR, model, self.dataset.items))
        assert served is not None
        return served

    @cached_property
    def lists(self) -> list[Shortlist]:
        """The list that is served for every query."""
        config, items = self.config("lists"), self.dataset.items
        examples = judged_examples(self.judged)
        titles = [str(title) for title in items[Columns.TITLE]]
        depth = config.mining.depth
        return list(shortlists(self.served.recall(depth), examples, titles, config.input_template, depth, 64))

    @cached_property
    def missing(self) -> float:
        """The share of the relevant items that are not among the candidates."""
        return not_retrieved_share(self.lists)

    @cached_property
    def texts(self) -> Sequence[str]:
        """Text of every item."""
        return self.config("texts").input_template.items(self.dataset.items)

    def train(self, name: str, *overrides: str) -> Path:
        """The rerankers of all folds, trained unless they are there."""
        config = self.config(name, *overrides)
        if (config.run / name).is_dir():
            return config.run / name
        folds = self.judged.folds(config.judgements.folds, config.seed)
        trainer = CrossEncoderTrainer(config, str(self.run), self.texts, config.run / f"{name}_training")
        shutil.rmtree(trainer.folder, ignore_errors=True)
        compared, kept = evaluate_folds(trainer, RankingTrainingSet.of([], [], self.lists, folds, config))
        assert compared is not None
        # the cross-encoder of all queries would be evaluated by nothing here: the folds' are enough
        result = RankerResult(
            config.run / name, None, compared, {"queries": self.missing}, 1.0, False, self.served.funnel.names
        )
        publish(config, kept[0], kept, trainer.towers, result)
        shutil.rmtree(trainer.folder)
        print(f"{name}: {compared.describe('queries')}", flush=True)
        return config.run / name


def main() -> None:
    """Train what is not there yet, measure, write the page."""
    options = arguments()
    torch.set_num_threads(1)
    bench = RankingBench.of(options)
    teacher = bench.train("teacher", "model.layers=6")
    student = bench.train("student", "ranking_loss=margin_mse", f"teacher={teacher}", "model.layers=2")
    rows = measure(bench, teacher, student)
    section = table(rows, bench)
    replace_section(options.docs, BEGIN.format(options.set), END, f"\n{section}\n")
    (options.artifacts / f"{options.set}.json").write_text(
        json.dumps({row.name: {"ndcg": row.ndcg.tolist(), "milliseconds": row.milliseconds} for row in rows})
    )
    print(section)


def measure(bench: RankingBench, teacher: Path, student: Path) -> list[Scored]:
    """The served order, and that of each reranker by its fold that did not learn from the query."""
    folds = bench.judged.folds(bench.options.folds, bench.config("measured").seed)
    parts = [[bench.lists[place] for place in places[: bench.options.judged // len(folds)]] for places in folds]
    lists = [one for part in parts for one in part]
    rows = [Scored("served: towers and words", np.array([shortlist_ndcg(one, one.scores) for one in lists]))]
    found: dict[str, list[float]] = {name: [] for name in NAMES}
    for number, part in enumerate(parts):
        models = loaded(teacher / f"fold-{number}", student / f"fold-{number}")
        for name, model in zip(NAMES, models, strict=True):
            found[name] += [shortlist_ndcg(one, _score(model, one, bench.texts)) for one in part]
    rows += [Scored(name, np.array(values), np.inf) for name, values in found.items()]
    timed = lists[:: max(1, len(lists) // TIMED)]
    for _ in range(ROUNDS):
        for row, model in zip(rows[1:], models, strict=True):
            row.milliseconds = min(row.milliseconds, _milliseconds(model, timed, bench.texts))
    return rows


def loaded(teacher: Path, student: Path) -> tuple[CrossEncoder, ...]:
    """The rerankers of `NAMES`."""
    export_cross_encoder(student)
    quantise_cross_encoder(student)
    return CrossEncoder.load(teacher), CrossEncoder.load(student), load_exported(student, INT8)


def _score(model: CrossEncoder, one: Shortlist, texts: Sequence[str]) -> NDArray[np.float32]:
    return model.score(one.context, [texts[row] for row in one.rows], one.scores)


def _milliseconds(model: CrossEncoder, lists: Sequence[Shortlist], texts: Sequence[str]) -> float:
    start = time.process_time()
    for one in lists:
        _score(model, one, texts)
    return 1000 * (time.process_time() - start) / len(lists)


def table(rows: Sequence[Scored], bench: RankingBench) -> str:
    """The measurements, as Markdown."""
    options, served, teacher = bench.options, rows[0], rows[1]
    lines = [
        f"{len(served.ndcg):,} of {len(bench.judged):,} judged queries, {len(bench.dataset.items):,} items, the first "
        f"{options.depth} candidates of each, among which {bench.missing:.1%} of the relevant items are not; "
        f"{options.tokens} tokens, {options.folds} folds, {options.epochs} epochs at most; "
        "intervals are 95 %, over queries.",
        "",
        "| order | NDCG@10 | above what is served | above the teacher | CPU ms a query |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        above = "" if row is served else _difference(row, served)
        beside = _difference(row, teacher) if row in rows[2:] else ""
        took = f"{row.milliseconds:.0f}" if row.milliseconds else ""
        lines.append(f"| {row.name} | {row.ndcg.mean():.4f} | {above} | {beside} | {took} |")
    saved = rows[1].milliseconds / rows[3].milliseconds
    lines += ["", f"The student in int8 takes {saved:.1f} times less of the processor than the teacher; it is "]
    lines[-1] += f"{_difference(rows[3], rows[2])} beside itself in float32."
    return "\n".join(lines)


def _difference(row: Scored, other: Scored) -> str:
    values = (row.ndcg - other.ndcg)[:, None]
    low, high = Bootstrap(samples=2000, confidence=0.95, seed=0).intervals(values)
    return f"{values.mean():+.4f} ({low[0]:+.4f} … {high[0]:+.4f})"


if __name__ == "__main__":
    main()
