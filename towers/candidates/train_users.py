"""The funnel of those who ask for nothing: what it learns from users of the validation split."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from data_prep.columns import Split
from data_prep.command import instantiate
from data_prep.errors import GateFailed
from data_prep.files import new_directory, write_json
from towers.candidates.channel_selection import Gain, Halves, Variant, crossed, save_variants
from towers.candidates.config import FunnelConfig
from towers.candidates.funnel import FUNNEL, Funnel
from towers.candidates.fusion import Fusion
from towers.candidates.labelled_pools import CUTOFF
from towers.candidates.pool_builder import labelled_pools
from towers.candidates.trained_run import TrainedRun, whole_funnel
from towers.metrics.evaluation import Cases, sample
from towers.model.run_record import RUN


@dataclass(frozen=True)
class FunnelResult:
    """What training the funnel came to.

    Attributes:
        folder: where it was written.
        kept: channels that were worth having.
        left_out: channels that do not apply, name -> reason.
        fused: the fused order beside recall's, on the half that it was not fitted to; None where no channel was worth
            having.
        ranked: the ranker's order beside the plain one, which is the fused order if that is used, or recall's; each
            user judged by a ranker that did not learn from them.
        missed: share of the relevant items that are in nobody's pool.
        by_item: whether what reads facts of items was judged on items, too, that it did not learn from.
    """

    folder: Path
    kept: list[str]
    left_out: dict[str, str]
    fused: Gain | None
    ranked: Gain
    missed: float
    by_item: bool


def train_user_funnel(config: FunnelConfig, shop: TrainedRun, served: TrainedRun) -> FunnelResult:
    """Fit channels to what the towers learnt from, and fusion and ranker to users of the validation split.

    Args:
        config: the command's.
        shop: with a run that has not seen the validation split.
        served: with the run itself; another one where it was refit.

    Raises:
        GateFailed: there are too few users.
    """
    everyone = Cases.held_out(shop.sequences, shop.item_ids, Split.VALID, shop.model.exclude_seen, [CUTOFF])
    cases = sample(everyone, config.users, config.seed)
    if len(cases) < 4:
        raise GateFailed(f"{config.run}: {len(cases)} users of the validation split are too few to learn from")
    whole, left_out = whole_funnel(config, config.channels, shop)
    labelled = labelled_pools(whole, shop.towers, cases)
    bootstrap = (config.bootstrap_samples, config.confidence, config.seed)
    refit = served is not shop
    halves = Halves.drawn(labelled, whole.names, instantiate(config.fusion), config.certainty, bootstrap, by_item=refit)
    funnel, result = choose(config, whole, halves)
    variants = halves.variants()
    if refit:
        whole, _ = whole_funnel(config, config.channels, served)
        funnel = funnel.of_channels(result.kept, whole)
    result = replace(result, left_out=left_out)
    publish(config, funnel, whole, variants, result, served.model.fingerprint)
    return result


def choose(config: FunnelConfig, whole: Funnel, users: Halves) -> tuple[Funnel, FunnelResult]:
    """The channels, the fusion and the ranker that are better than what is there without them."""
    columns, order, gain = users.choose()
    kept = [whole.names[channel] for channel in columns[1:]]
    funnel = replace(whole, fusion=order).of_channels(kept, whole)
    plain = users.everyone.only(columns)
    fused = order.scores(plain.pools)
    head = plain.kept(funnel.head(plain.pools, fused))
    ranker: Fusion = instantiate(config.ranker)
    found = crossed(head, funnel.names, ranker, config.folds, config.seed, users.by_item)
    ranked = users.gain(plain.ndcg(fused), found)
    if ranked.sure(config.certainty):
        funnel = replace(funnel, ranker=ranker.fit(head, funnel.names))
    return funnel, FunnelResult(config.run / FUNNEL, kept, {}, gain, ranked, plain.missed_share, users.by_item)


def publish(
    config: FunnelConfig,
    funnel: Funnel,
    whole: Funnel,
    variants: Sequence[Variant],
    result: FunnelResult,
    towers: str,
) -> None:
    """Write the funnel into the run, and beside it what an ablation needs, whole or not at all."""
    with new_directory(config.run / FUNNEL) as folder:
        funnel.save(folder)
        save_variants(folder, whole, variants)
        described = {"towers_fingerprint": towers, "config": asdict(config), "result": asdict(result)}
        write_json(folder / RUN, json.loads(json.dumps(described, default=str)))
