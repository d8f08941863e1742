"""The worth of a history beside a query, and who should read it: shoppers who search for their next items.

    python -m benchmarks.personal_search --run artifacts/runs/demo

Every user of the test split asks once, by a synthetic query of one of their next items; relevant is what they
went on to among the items that give the same query, and the whole catalogue is ranked. The run needs a funnel for
queries (`towers.train_funnel`), whose weights are taken as they are. The section of `docs/search.md` between its
markers is written from the measurements.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.search import write_page
from data_prep import Columns, Split
from towers.candidates import QUERY_FUNNEL, Funnel
from towers.candidates.channels import FittedChannel
from towers.candidates.fusion import WeightedScores
from towers.events import History, read_sequences_of
from towers.metrics import Bootstrap, Cases, evaluate, metric_names
from towers.model import ONE_VECTOR, OneVectorModel, RunRecord, VectorScorer, model_scorer
from towers.text import one_query_per_item

SECTION = "personal"
CUTOFF = 10
METRICS = ("ndcg@10", "recall@10", "mrr@10")


@dataclass(eq=False)
class Asked:
    """Towers and words, weighed as the funnel does; each reads the query, the history, or both.

    Attributes:
        name: of the row.
        towers: the model's one vector.
        words: the channel of words; None leaves it out.
        weights: of towers and words over their deviations, [2].
        query: whether the query is read; nobody asks otherwise.
        towers_read, words_read: whether they read the history.
    """

    name: str
    towers: VectorScorer
    words: FittedChannel | None
    weights: NDArray[np.float64]
    query: bool = True
    towers_read: bool = True
    words_read: bool = False

    def score(self, histories: Sequence[History], queries: Sequence[str]) -> Tensor:
        """[B, N]."""
        nobody, asked = [History.empty()] * len(histories), queries if self.query else [""] * len(queries)
        scores = self.towers.score(histories if self.towers_read else nobody, asked)
        if self.words is None:
            return scores
        said = self.words.scores(histories if self.words_read else nobody, asked).toarray()
        fused: Tensor = scores * self.weights[0] + torch.from_numpy(said) * self.weights[1]
        return fused


def asking(cases: Cases, derived: Sequence[str], seed: int) -> Cases:
    """The cases with a synthetic query each, of one of the relevant items; those without one left out."""
    rng, places = np.random.default_rng(seed), dict[str, list[int]]()
    for row, query in enumerate(derived):
        places.setdefault(query, []).append(row)
    kept, queries, truth = [], [], []
    for case, relevant in enumerate(cases.truth):
        able = [row for row in relevant.tolist() if derived[row]]
        if able:
            query = derived[able[int(rng.integers(len(able)))]]
            kept.append(case)
            queries.append(query)
            truth.append(np.intersect1d(relevant, places[query]))
    chosen = np.array(kept, np.int64)
    return replace(cases[chosen], queries=queries, truth=truth)


def rows_of(towers: VectorScorer, funnel: Funnel) -> list[Asked]:
    """Orders that are compared; the first is the reference."""
    fusion = funnel.fusion
    if len(funnel.channels) != 1 or not isinstance(fusion, WeightedScores):
        raise SystemExit(
            "the run's funnel for queries must be towers and words at fixed weights, made by synthetic queries"
        )
    (words,) = funnel.channels.values()
    weights = np.array(fusion.weights) / np.array(fusion.deviations)
    return [
        Asked("the query alone", towers, words, weights, towers_read=False),
        Asked("both: the towers read the history too (served)", towers, words, weights),
        Asked("both: towers and words read the history", towers, words, weights, words_read=True),
        Asked("towers without words, the query alone", towers, None, weights, towers_read=False),
        Asked("towers without words, both", towers, None, weights),
        Asked("towers without words, the history alone", towers, None, weights, query=False),
    ]


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="a trained run with a funnel for queries")
    parser.add_argument("--data", type=Path, default=None, help="its dataset; found where this is not given")
    parser.add_argument("--batch", type=int, default=256, help="users scored at a time")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    record = RunRecord.read(arguments.run)
    dataset, settings = record.open_data(arguments.data), record.settings
    model, items = OneVectorModel.open(arguments.run), dataset.items
    item_ids = [str(item_id) for item_id in items[Columns.ITEM_ID]]
    derived = one_query_per_item(items, settings.queries, settings.seed)
    sequences = read_sequences_of(dataset, settings.log)
    everybody = Cases.held_out(sequences, item_ids, Split.TEST, model.exclude_seen, [CUTOFF])
    cases = asking(everybody, derived, settings.seed)
    rows = rows_of(model_scorer(ONE_VECTOR, model, items), Funnel.load(arguments.run / QUERY_FUNNEL))
    columns = [metric_names(cases.cutoffs).index(name) for name in METRICS]
    figures = [evaluate(row, cases, arguments.batch).metrics[:, columns] for row in rows]
    asked = set(cases.queries)
    same, relevant = np.mean([derived.count(query) for query in asked]), np.mean([len(rows) for rows in cases.truth])
    lines = [
        f"{len(cases):,} users, {len(asked):,} different queries, each given by {same:.0f} items on average; "
        f"{relevant:.1f} of them are relevant.",
        "",
        f"| | {' | '.join(METRICS)} | ndcg@10, beside the query alone |",
        "|---|---|---|---|---|",
    ]
    for row, found in zip(rows, figures, strict=True):
        above = (found - figures[0])[:, :1]
        low, high = Bootstrap(samples=2000, confidence=0.95, seed=0).intervals(above)
        beside = f"{above.mean():+.3f} ({low[0]:+.3f} … {high[0]:+.3f})" if row is not rows[0] else ""
        lines.append(f"| {row.name} | {' | '.join(f'{mean:.3f}' for mean in found.mean(axis=0))} | {beside} |")
    section = "\n".join(lines)
    write_page(section, SECTION)
    print(section)


if __name__ == "__main__":
    main()
