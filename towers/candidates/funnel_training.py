"""Training of a funnel: channels fitted to the training events, fusion and ranker learnt from examples held out."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from data_prep.columns import Split
from data_prep.command import instantiate
from data_prep.config import Node
from data_prep.errors import GateFailed
from data_prep.files import new_directory
from towers.candidates.channel_selection import ChannelSelection, Variant, cross_validated_ndcg, save_variants
from towers.candidates.config import JUDGED, FunnelConfig
from towers.candidates.funnel import FUNNEL, QUERY_FUNNEL, Funnel
from towers.candidates.funnel_record import USERS, FunnelRecord, FunnelResult
from towers.candidates.fusion import Fusion
from towers.candidates.labelled_pools import LabelledPools
from towers.candidates.pool_builder import labelled_pools
from towers.candidates.query_examples import query_examples
from towers.candidates.trained_run import TrainedRun, funnel_of_all_channels
from towers.metrics.cases import Cases, sample
from towers.metrics.paired import PairedComparison
from towers.metrics.ranking_metrics import CUTOFF


@dataclass(frozen=True)
class FunnelRecipe:
    """The examples and the choices that one of a run's funnels is made from.

    Attributes:
        folder: name in the run.
        source: of the examples, see `FunnelResult`.
        cases: the examples: users, or queries, with their relevant items.
        channels: recall channels beside the towers, by name.
        fusion: orders the pool.
        ranker: orders its head anew; None for none.
        ablation: whether fusions of some of the channels are kept for an ablation.
    """

    folder: str
    source: str
    cases: Cases
    channels: dict[str, Node]
    fusion: Node
    ranker: Node | None
    ablation: bool


def user_recipe(config: FunnelConfig, run: TrainedRun) -> FunnelRecipe:
    """The funnel that answers users without a query, learnt from users of the validation split.

    Raises:
        GateFailed: there are too few users.
    """
    everyone = Cases.held_out(run.sequences, run.item_ids, Split.VALID, run.model.exclude_seen, [CUTOFF])
    cases = sample(everyone, config.users, config.seed)
    if len(cases) < 4:
        raise GateFailed(f"{config.run}: {len(cases)} users of the validation split are too few to learn from")
    return FunnelRecipe(FUNNEL, USERS, cases, config.channels, config.fusion, config.ranker, ablation=True)


def query_recipe(config: FunnelConfig, run: TrainedRun) -> FunnelRecipe:
    """The funnel that answers queries, learnt from queries.

    Raises:
        GateFailed: there are too few queries.
    """
    settings = config.queries
    examples = query_examples(run, settings, config.seed)
    fusion = settings.fusion_for(examples.source)
    return FunnelRecipe(QUERY_FUNNEL, examples.source, examples.cases, settings.channels, fusion, None, ablation=False)


def train_one_funnel(config: FunnelConfig, recipe: FunnelRecipe, run: TrainedRun, served: TrainedRun) -> FunnelResult:
    """Fit the channels, choose those worth having, learn their fusion and ranker, and publish the funnel in the run.

    Args:
        config: the command's.
        recipe: of the funnel.
        run: one that has not seen the examples.
        served: the run itself; another one where it was refit: its channels are fitted to what its towers saw.
    """
    whole, left_out = funnel_of_all_channels(config, recipe.channels, run)
    labelled = labelled_pools(whole, run.towers, recipe.cases)
    refit = served is not run
    selection = ChannelSelection(
        labelled, whole.names, instantiate(recipe.fusion), config.certainty, config.bootstrap, by_item=refit
    )
    selected = selection.choose()
    kept = [whole.names[channel] for channel in selected.columns[1:]]
    funnel = replace(whole, fusion=selected.fusion).of_channels(kept, whole)
    plain = labelled.only(selected.columns)
    ranked = None
    if recipe.ranker is not None:
        funnel, ranked = with_ranker(config, funnel, instantiate(recipe.ranker), plain, by_item=refit)
    variants = selection.variants() if recipe.ablation else []
    if refit:
        whole, _ = funnel_of_all_channels(config, recipe.channels, served)
        funnel = funnel.of_channels(kept, whole)
    result = FunnelResult(
        folder=config.run / recipe.folder,
        source=recipe.source,
        examples=len(recipe.cases),
        kept=kept,
        left_out=left_out,
        fused=selected.gain,
        ranked=ranked,
        not_retrieved=plain.not_retrieved_share,
        by_item=refit,
    )
    judged = list(recipe.cases.queries) if recipe.source == JUDGED else []
    record = FunnelRecord(served.model.fingerprint, asdict(config), result, judged)
    publish(result.folder, funnel, record, (whole, variants) if recipe.ablation else None)
    return result


def with_ranker(
    config: FunnelConfig, funnel: Funnel, ranker: Fusion, labelled: LabelledPools, by_item: bool
) -> tuple[Funnel, PairedComparison]:
    """The funnel with a ranker of its head where that gains, and the gain, cross-validated over users.

    Args:
        config: the command's.
        funnel: its channels and fusion.
        ranker: is fitted.
        labelled: users with the pools of those channels.
        by_item: as of `held_out_scores`.
    """
    fused = funnel.fusion.scores(labelled.pools)
    head = labelled.kept(funnel.head(labelled.pools, fused))
    ranked = cross_validated_ndcg(head, funnel.names, ranker, config.folds, config.seed, by_item)
    gain = PairedComparison.of(labelled.ndcg(fused), ranked, config.bootstrap)
    if gain.exceeds(config.certainty):
        funnel = replace(funnel, ranker=ranker.fit(head, funnel.names))
    return funnel, gain


def publish(
    target: Path, funnel: Funnel, record: FunnelRecord, ablation: tuple[Funnel, Sequence[Variant]] | None
) -> None:
    """Write the funnel and its record into a run, and beside it what an ablation reads, whole or not at all."""
    with new_directory(target) as folder:
        funnel.save(folder)
        if ablation is not None:
            save_variants(folder, *ablation)
        record.write(folder)
