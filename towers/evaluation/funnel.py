"""The whole funnel on held-out users: the order of each stage, the gain of each channel, and a row for each user."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_prep.columns import Columns
from data_prep.progress import track
from towers.candidates.candidate_pool import CandidatePools, rescaled
from towers.candidates.channel_selection import Variant, load_variants
from towers.candidates.funnel import FUNNEL, TOWERS_ALONE, Funnel
from towers.candidates.funnel_record import FunnelRecord
from towers.candidates.labelled_pools import LabelledPools
from towers.candidates.pool_builder import labelled_pools
from towers.candidates.trained_run import TrainedRun
from towers.diversity import Diversity, DiversityConfig, mean_distance, unit
from towers.evaluation.funnel_diversity import ItemLooks, diversified, looked_at
from towers.evaluation.report import Ablation, DiversifiedStage, FunnelReport
from towers.evaluation.stage import CROSS_ENCODER, DIVERSIFIED, FUSED, RANKED, RECALL, Stage
from towers.evaluation.summaries import Catalogue, compare, summarize
from towers.metrics.bootstrap import Bootstrap
from towers.metrics.cases import Cases
from towers.metrics.paired import PairedComparison
from towers.metrics.ranking_metrics import NOT_FOUND, metric_names
from towers.model.scorer import VectorScorer
from towers.ranking.cross_encoder import CrossEncoder
from towers.ranking.record import CROSS_ENCODER as CROSS_ENCODER_FOLDER, CrossEncoderRecord


def stages(
    funnel: Funnel, whole: LabelledPools, names: Sequence[str], cross_encoder: "CrossEncoderStage | None"
) -> list[Stage]:
    """The orders of the stages one after the other; a server answers by the last one that is published.

    Args:
        funnel: as it is served.
        whole: users with the pools of all channels that were fitted.
        names: of those channels, the towers first.
        cross_encoder: with the texts of these users, where there is one.
    """
    alone = whole.only([0])
    orders = [Stage.by(RECALL, alone, TOWERS_ALONE.scores(alone.pools))]
    narrowed = whole.only([names.index(name) for name in funnel.names])
    fused = Stage.by(FUSED, narrowed, funnel.fusion.scores(narrowed.pools))
    if funnel.channels:
        orders.append(fused)
    if cross_encoder is not None:
        orders.append(Stage(CROSS_ENCODER, narrowed, *cross_encoder.order(narrowed.pools, fused)))
    if funnel.ranker is not None:
        head = narrowed.kept(fused.ranks <= funnel.candidates)
        orders.append(Stage.by(RANKED, head, funnel.ranker.scores(head.pools)))
    return orders


@dataclass(frozen=True)
class CrossEncoderStage:
    """A cross-encoder, and the texts of known users.

    Attributes:
        model: the cross-encoder.
        contexts: text of each user, [U].
        texts: text of each item, [N].
        depth: number of candidates it orders, the first of the fused order; the rest follow as they are.
        better: whether its training found it better than recall, as `index.build` wants it.
    """

    model: CrossEncoder
    contexts: Sequence[str]
    texts: Sequence[str]
    depth: int
    better: bool

    @classmethod
    def of(cls, folder: Path, towers: str, items: pd.DataFrame, cases: Cases, depth: int) -> "CrossEncoderStage | None":
        """The cross-encoder of a folder, for these users; None where the folder is not there.

        Raises:
            UsageError: it was trained for other towers than those of this fingerprint.
        """
        if not folder.is_dir():
            return None
        record, model = CrossEncoderRecord.read(folder), CrossEncoder.load(folder)
        record.check(folder, towers)
        input_template, titles, contexts = model.input_template, items[Columns.TITLE].astype(str).tolist(), []
        for case in range(len(cases)):
            read = cases.history(case).last(input_template.context_items)
            contexts.append(input_template.context([titles[row] for row in read.rows], read.events, ""))
        return cls(model, contexts, input_template.items(items), depth, record.result.better)

    def order(self, pools: CandidatePools, fused: Stage) -> tuple[NDArray[np.floating], NDArray[np.int64]]:
        """Scores of all candidates in the order of a stage, [T], NaN beyond the depth, and their new ranks, [T]."""
        if not self.model.adds_to_recall:
            return fused.scores, fused.ranks
        all_scores, ranks = np.full(len(fused.ranks), np.nan, np.float32), fused.ranks.copy()
        for user in track(range(len(pools)), "reading candidates"):
            of_user = np.arange(pools.offsets[user], pools.offsets[user + 1])
            first = of_user[fused.ranks[of_user] <= self.depth]
            texts = [self.texts[row] for row in pools.rows[first]]
            recalled = rescaled(fused.scores[first].astype(np.float32), pools.scores[first, 0])
            scores = self.model.score(self.contexts[user], texts, recalled)
            all_scores[first] = scores
            ranks[first[np.lexsort((fused.ranks[first], -scores))]] = np.arange(1, len(first) + 1)
        return all_scores, ranks


@dataclass(frozen=True)
class FunnelEvaluation:
    """The evaluation of a run's funnel.

    Attributes:
        run: with a funnel.
        towers: the model's one vector.
        catalogue: the items, as lists of them are measured.
        diversity: how the last stage's lists are made diverse.
        bootstrap: of the intervals.
    """

    run: TrainedRun
    towers: VectorScorer
    catalogue: Catalogue
    diversity: DiversityConfig
    bootstrap: Bootstrap

    def __call__(self, cases: Cases) -> tuple[FunnelReport, pd.DataFrame]:
        """The funnel on held-out users, and a row for each of them, see `rows_of_cases`.

        Raises:
            UsageError: funnel or cross-encoder were trained for other towers.
        """
        folder, k, items = self.run.folder / FUNNEL, min(cases.cutoffs), self.run.dataset.items
        FunnelRecord.read(folder).check(folder, self.run.model.fingerprint)
        cross_encoder_folder = self.run.folder / CROSS_ENCODER_FOLDER
        cross_encoder = CrossEncoderStage.of(
            cross_encoder_folder, self.run.model.fingerprint, items, cases, looked_at(k)
        )
        funnel, (everything, variants) = Funnel.load(folder), load_variants(folder)
        whole, names = labelled_pools(everything, self.towers, cases), everything.names
        orders = stages(funnel, whole, names, cross_encoder)
        published = [
            stage
            for stage in orders
            if stage.name != CROSS_ENCODER or (cross_encoder is not None and cross_encoder.better)
        ]
        served, settings = published[-1], self.diversity.standard()
        orders.append(diversified(served, k, settings, ItemLooks.of(items, self.towers.items.numpy())))
        report = self._report(cases, orders, served, settings)
        report = replace(report, channels=funnel.names, ablation=self._ablation(whole, names, variants, orders[0]))
        return report, rows_of_cases(orders, served, funnel.names, cases)

    def _report(self, cases: Cases, orders: Sequence[Stage], served: Stage, settings: Diversity) -> FunnelReport:
        """The report of the stages, channels and ablation left open."""
        outcomes = {stage.name: stage.outcome(cases) for stage in orders}
        metrics = {name: outcome.metrics for name, outcome in outcomes.items()}
        summaries = {n: summarize(outcome, cases, self.catalogue, self.bootstrap) for n, outcome in outcomes.items()}
        directions = unit(self.towers.items.numpy())
        for name, outcome in outcomes.items():
            beyond = replace(summaries[name].beyond, item_distance=mean_distance(outcome.top, directions))
            summaries[name] = replace(summaries[name], beyond=beyond)
        last = {name: metrics[name] for name in (served.name, DIVERSIFIED)}
        names = metric_names(cases.cutoffs)
        above_recall = compare(metrics, [RECALL], names, self.bootstrap)
        above_served = compare(last, [served.name], names, self.bootstrap)
        assert above_recall is not None and above_served is not None
        return FunnelReport(
            users=len(cases),
            channels=[],
            stages=summaries,
            against=above_recall,
            served=served.name,
            diversified=DiversifiedStage(settings, above_served),
            not_retrieved={stage.name: stage.labelled.not_retrieved_share for stage in orders},
            ablation={},
        )

    def _ablation(
        self, whole: LabelledPools, names: Sequence[str], variants: Sequence[Variant], recall: Stage
    ) -> dict[str, Ablation]:
        """Each fusion of some of the channels beside recall alone."""
        alone, ablation = recall.labelled.ndcg(recall.scores), {}
        for variant in variants:
            narrowed = whole.only([0, *(names.index(name) for name in variant.channels)])
            fused = narrowed.ndcg(variant.fusion.scores(narrowed.pools))
            comparison = PairedComparison.of(alone, fused, self.bootstrap)
            ablation[variant.name] = Ablation(comparison, narrowed.not_retrieved_share)
        return ablation


def rows_of_cases(orders: Sequence[Stage], served: Stage, names: Sequence[str], cases: Cases) -> pd.DataFrame:
    """A row for each user, to look into single answers.

    `user_id`, `history` (its length), `relevant` (item ids), `not_retrieved` (how many of them are in no pool); for
    each stage `<stage>_ranks`, the ranks of the relevant items, in the order of `relevant` and "-" for none; `stage`,
    the one that a server answers by unless it is to be diverse, and of that `top`, its first item ids, and `channels`,
    which offered each: `towers+bm25`.
    """
    ids = np.asarray(cases.item_ids, dtype=object)
    top = served.top(min(cases.cutoffs))
    columns: dict[str, Sequence[object]] = {
        "user_id": [str(cases.sequences.user_ids[user]) for user in cases.users],
        "history": (cases.ends - cases.sequences.offsets[cases.users]).tolist(),
        "relevant": [" ".join(ids[rows]) for rows in cases.truth],
        "not_retrieved": served.labelled.not_retrieved.tolist(),
    }
    for stage in orders:
        columns[f"{stage.name}_ranks"] = _ranks_of(stage, cases.truth)
    columns["stage"] = [served.name] * len(cases)
    columns["top"] = [" ".join(ids[rows[rows >= 0]]) for rows in top]
    columns["channels"] = [
        _offering(served.labelled.pools, names, user, rows[rows >= 0]) for user, rows in enumerate(top)
    ]
    return pd.DataFrame(columns)


def _ranks_of(stage: Stage, relevant: Sequence[NDArray[np.int64]]) -> list[str]:
    """For each user the ranks of the relevant items, "-" for an item that is not among the candidates."""
    lengths = [len(rows) for rows in relevant]
    ranks = stage.ranks_of(np.repeat(np.arange(len(relevant)), lengths), np.concatenate(relevant))
    shown = np.where(ranks == NOT_FOUND, "-", ranks.astype(str))
    return [" ".join(of_user) for of_user in np.split(shown, np.cumsum(lengths)[:-1])]


def _offering(pools: CandidatePools, names: Sequence[str], user: int, rows: NDArray[np.int64]) -> str:
    start = int(pools.offsets[user])
    candidates = start + np.searchsorted(pools.rows[start : pools.offsets[user + 1]], rows)
    ranks = pools.channel_ranks[candidates]  # [k, C]
    return " ".join("+".join(name for name, rank in zip(names, of_item, strict=True) if rank) for of_item in ranks)
