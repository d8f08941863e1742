"""What a small reranker keeps of a deep one, and what it costs, on judged queries nobody has learnt from.

    nice python -m benchmarks.reranking --shared ../shared/data --artifacts artifacts/reranking

The catalogue and the 135 judged queries of chorus_icecat are prepared by the real command, recalled by BM25 over all
fields, and reranked by two cross-encoders, trained as by `towers.train_reranker`: a teacher of six layers, and a
student of two that learns its margins. Both learn queries derived from items first, then judgements, cross-validated
over queries; every query is reranked by a model that did not learn from it. The section of `docs/reranking.md` between
its markers is written from what was measured. Times are the processor's, on one thread.
"""

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from data_prep.columns import Columns
from data_prep.command import instantiate, load_config
from data_prep.dataset import Dataset
from towers.baselines import BM25, TrainingData
from towers.cross_encoder import CrossEncoder
from towers.cross_encoder_onnx import export_cross_encoder, load_exported, quantise_cross_encoder
from towers.derived_queries import QueryConfig, derive_one
from towers.evaluate import EvaluateConfig
from towers.interactions import Interactions
from towers.judged import JudgedQueries
from towers.metrics import bootstrap_intervals
from towers.mining import Shortlist, shortlists
from towers.moments import Moment, of_items, of_judgements
from towers.onnx_runtime import INT8
from towers.reranker_comparison import shortlist_ndcg
from towers.reranker_config import RerankConfig
from towers.reranker_fit import Fitting
from towers.reranker_material import Material
from towers.train_reranker import RerankResult, judge_folds, publish, train_on

ROOT = Path(__file__).parents[1]
BEGIN, END = "<!-- reranking: begin -->", "<!-- reranking: end -->"
TEXT = "{title}. {short_description}. {supplier}. {device_type}. {attributes}"
SHOWN = "{title}. {device_type}, by {supplier}"
QUERIES = QueryConfig(
    rate=0.0, alone=0.0, lower=True, columns=["title"], max_words=3, ways={"columns": 1}, variants=1, typos=0.0
)
NAMES = ("teacher, 6 layers", "student, 2 layers", "student, int8")
TIMED, ROUNDS = 10, 3  # queries whose candidates are scored against the clock, and how often


@dataclass(eq=False)
class Scored:
    """What one reranker did with all judged queries.

    Attributes:
        name: of the row.
        ndcg: NDCG@10 of each query, [Q].
        milliseconds: of the processor for a query's candidates, the least of the rounds.
    """

    name: str
    ndcg: NDArray[np.float64]
    milliseconds: float = 0.0


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.reranking", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--artifacts", type=Path, default=ROOT / "artifacts" / "reranking")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs" / "reranking.md")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--depth", type=int, default=50, help="candidates of a query")
    parser.add_argument("--tokens", type=int, default=48, help="of query and product together")
    parser.add_argument("--items", type=int, default=4000, help="queries derived from items to learn from first")
    parser.add_argument("--wanted", type=int, default=4, help="wanted candidates in a group")
    parser.add_argument("--negatives", type=int, default=12, help="other candidates in a group")
    parser.add_argument("--epochs", type=int, default=3, help="over the judgements")
    return parser.parse_args()


def prepared(asked: argparse.Namespace) -> Dataset:
    """The catalogue and its judgements, by `python -m data_prep`."""
    folder = asked.artifacts / "data" / "chorus"
    if not (folder / "manifest.json").is_file():
        source = asked.shared / "chorus_icecat"
        overrides = [
            "source=tabular", "source.events=null", "name=chorus", f"artifacts={asked.artifacts}",
            f"source.items={source / 'items.parquet'}", f"source.judgements={source / 'qrels.parquet'}",
            "source.judgement_columns.grade=rating", f"source.text='{TEXT}'",
        ]  # fmt: skip
        subprocess.run([sys.executable, "-m", "data_prep", *overrides], cwd=ROOT, check=True)
    return Dataset.open(folder)


def recall_by_words(dataset: Dataset) -> BM25:
    """BM25 over all fields, as `towers.evaluate` has it."""
    node = load_config(EvaluateConfig, "evaluate", ["run=x", "baselines=bm25"]).baselines["bm25"]
    words: BM25 = instantiate(node)
    nothing = np.zeros(0, np.int64)
    nobody = Interactions(np.zeros(1, np.int64), nothing, np.zeros(0), len(dataset.items))
    return words.fit(TrainingData(nobody, dataset.items, _not_encoded, exclude_seen=False))


def _not_encoded(texts: Sequence[str]) -> NDArray[np.float32]:
    raise AssertionError("BM25 reads words, not vectors")


@dataclass(frozen=True)
class Bench:
    """What all trainings share.

    Attributes:
        asked: the command line.
        dataset: the catalogue.
        words: what recalls.
        judged: the queries.
    """

    asked: argparse.Namespace
    dataset: Dataset
    words: BM25
    judged: JudgedQueries

    def config(self, name: str, *overrides: str) -> RerankConfig:
        """Settings of one training."""
        asked = self.asked
        line = [
            f"run={asked.artifacts / 'rerankers'}", f"name={name}", f"rendering.template='{SHOWN}'", "model.width=384",
            f"model.max_tokens={asked.tokens}", f"mining.depth={asked.depth}", f"mining.wanted={asked.wanted}",
            f"mining.negatives={asked.negatives}", "mining.held_out=0.15", "mining.max_held_out=200",
            "trainer.threads=1", "learning_rate=1e-4", "warmup_steps=20", "groups_per_batch=4",
        ]  # fmt: skip
        return load_config(RerankConfig, "rerank", [*line, *overrides])

    def found(self, moments: Sequence[Moment], config: RerankConfig) -> list[Shortlist]:
        """The first candidates of BM25."""
        titles = [str(title) for title in self.dataset.items[Columns.TITLE]]
        return list(shortlists(self.words.score, moments, titles, config.rendering, config.mining.depth, 64))

    def train(self, name: str, *overrides: str) -> Path:
        """Train a reranker, or take the one of this name that is there."""
        config = self.config(name, *overrides)
        if (config.run / name).is_dir():
            return config.run / name
        derived = derive_one(self.dataset.items, QUERIES, config.seed)
        asked_by_items = of_items(derived, config.mining.item_queries, np.random.default_rng(config.seed))
        judged, folds = self.judged, []
        if config.judged.folds:
            folds = judged.folds(config.judged.folds, config.seed)
        else:
            judged = judged[np.zeros(0, np.int64)]
        queries = of_judgements(judged.queries, judged.rows, judged.grades)
        material = Material.of([], self.found(asked_by_items, config), self.found(queries, config), folds, config)
        texts = config.rendering.items(self.dataset.items)
        fitting = Fitting(config, "bm25", texts, config.run / f"{name}_training")
        shutil.rmtree(fitting.folder, ignore_errors=True)
        if folds:  # the reranker of all queries would be judged by nothing here: those of the folds are enough
            compared, kept = judge_folds(fitting, material)
            publish(config, kept[0], kept, "bm25", RerankResult(config.run / name, None, compared, 1.0, better=False))
            print(f"{name}: {compared}", flush=True)
        else:
            print(f"{name}: strength {train_on(fitting, material).strength:g}", flush=True)
        shutil.rmtree(fitting.folder)
        return config.run / name

    def rerankers(self) -> tuple[Path, Path]:
        """Folders of the teacher and of the student, with those of their folds."""
        asked = self.asked
        first = [f"mining.item_queries={asked.items}", "mining.depth=50", "judged.folds=0", "trainer.epochs=1"]
        then = [f"judged.folds={asked.folds}", "judged.keep_folds=true", f"trainer.epochs={asked.epochs}"]
        begun = self.train("teacher-begun", *first, "model.layers=6")
        teacher = self.train("teacher", *then, "model.layers=6", "model.package=null", f"model.folder={begun}")
        taught = "rerank_loss=margin_mse"
        begun = self.train("student-begun", *first, taught, f"teacher={begun}", "model.layers=2")
        student = self.train(
            "student", *then, taught, f"teacher={teacher}", "model.layers=2", "model.package=null",
            f"model.folder={begun}",
        )  # fmt: skip
        return teacher, student


def main() -> None:
    """Train what is not there yet, measure, write the page."""
    asked = arguments()
    torch.set_num_threads(1)
    dataset = prepared(asked)
    bench = Bench(asked, dataset, recall_by_words(dataset), JudgedQueries.of(dataset))
    teacher, student = bench.rerankers()
    rows = measure(bench, teacher, student)
    write_section(asked.docs, table(rows, bench))
    (asked.artifacts / "measured.json").write_text(
        json.dumps({row.name: {"ndcg": row.ndcg.tolist(), "milliseconds": row.milliseconds} for row in rows})
    )


def measure(bench: Bench, teacher: Path, student: Path) -> list[Scored]:
    """The recall order, and that of each reranker by its fold that did not learn from the query."""
    config, judged = bench.config("measured"), bench.judged
    lists = bench.found(of_judgements(judged.queries, judged.rows, judged.grades), config)
    texts = config.rendering.items(bench.dataset.items)
    rows = [Scored("recall: BM25 over all fields", np.array([shortlist_ndcg(one, one.scores) for one in lists]))]
    rows += [Scored(name, np.zeros(len(lists)), np.inf) for name in NAMES]
    for number, places in enumerate(judged.folds(bench.asked.folds, config.seed)):
        models = loaded(teacher / f"fold-{number}", student / f"fold-{number}")
        for place in places:
            for row, model in zip(rows[1:], models, strict=True):
                row.ndcg[place] = shortlist_ndcg(lists[place], _score(model, lists[place], texts))
    timed = lists[:: len(lists) // TIMED]
    models = loaded(teacher, student)
    for _ in range(ROUNDS):
        for row, model in zip(rows[1:], models, strict=True):
            row.milliseconds = min(row.milliseconds, _milliseconds(model, timed, texts))
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


def table(rows: Sequence[Scored], bench: Bench) -> str:
    """What was measured, as Markdown."""
    asked, recall, teacher = bench.asked, rows[0], rows[1]
    lines = [
        f"{len(bench.judged)} judged queries, {len(bench.dataset.items):,} products, the first {asked.depth} "
        f"candidates of each; {asked.folds} folds; intervals are 95 %, over queries.",
        "",
        "| order | nDCG@10 | above recall | above the teacher | CPU ms a query |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        above = "" if row is recall else _difference(row, recall)
        beside = _difference(row, teacher) if row in rows[2:] else ""
        took = f"{row.milliseconds:.0f}" if row.milliseconds else ""
        lines.append(f"| {row.name} | {row.ndcg.mean():.4f} | {above} | {beside} | {took} |")
    saved = rows[1].milliseconds / rows[3].milliseconds
    lines += ["", f"The student in int8 takes {saved:.1f} times less of the processor than the teacher; it is "]
    lines[-1] += f"{_difference(rows[3], rows[2])} beside itself in float32."
    return "\n".join(lines)


def _difference(row: Scored, other: Scored) -> str:
    values = (row.ndcg - other.ndcg)[:, None]
    low, high = bootstrap_intervals(values, samples=2000, confidence=0.95, seed=0)
    return f"{values.mean():+.4f} ({low[0]:+.4f} … {high[0]:+.4f})"


def write_section(page: Path, section: str) -> None:
    """Put the section between its markers on the page."""
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n{section}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
