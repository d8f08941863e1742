"""`python -m towers.train_funnel`: recall channels beside a run's towers, their fusion, and a blender over its head."""

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from data_prep.columns import Columns, Split
from data_prep.command import command, instantiate
from data_prep.errors import GateFailed
from data_prep.files import lock, new_directory, read_json, write_json
from towers.baselines import DoesNotApply, TrainingData
from towers.channels import FittedChannel
from towers.evaluation import Cases
from towers.facts import ItemFacts
from towers.funnel import FUNNEL, TOWERS_ALONE, Funnel
from towers.funnel_choice import Gain, Variant, choose_channels, crossed, save_variants
from towers.funnel_config import FunnelConfig
from towers.funnel_material import labelled_pools
from towers.fusion import FittedFusion, Fusion
from towers.labelled import CUTOFF, Labelled
from towers.material import read_sequences_of
from towers.model import Model
from towers.run import RUN, dataset_of, selection_of
from towers.scoring import model_scorer
from towers.weighing import ONE_VECTOR, sample

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FunnelResult:
    """What training the funnel came to.

    Attributes:
        folder: where it was written.
        kept: channels that were worth having.
        left_out: channels that do not apply, name -> reason.
        fused: the fused order beside recall's, on the half that it was not fitted to; None where no channel was worth
            having.
        blended: the blender's order beside the plain one, which is the fused order if that is used, or recall's; each
            user judged by a blender that did not learn from them.
        missed: share of the wanted items that are in nobody's pool.
    """

    folder: Path
    kept: list[str]
    left_out: dict[str, str]
    fused: Gain | None
    blended: Gain
    missed: float


def train_funnel(config: FunnelConfig) -> FunnelResult:
    """Fit channels to what the towers learnt from, and fusion and blender to users of the validation split.

    Where the run was refit on that split, all is chosen and learnt with the run within that it was chosen by; then the
    channels are fitted to what the refit towers saw, as the blocks are.

    Raises:
        UsageError: run and data do not belong together.
        GateFailed: there are too few users.
        Locked: another process trains this run's funnel.
    """
    with lock(config.run / ".funnel.lock", f"train the funnel of {config.run}"):
        torch.set_num_threads(config.threads)
        learner = selection_of(config.run)
        model, dataset = Model.open(learner), dataset_of(config.run, config.data)
        item_ids = [str(i) for i in dataset.items[Columns.ITEM_ID]]
        sequences = read_sequences_of(dataset, read_json(learner / RUN)["config"])
        everyone = Cases.held_out(sequences, item_ids, Split.VALID, model.exclude_seen, [CUTOFF])
        cases = sample(everyone, config.users, config.seed)
        if len(cases) < 4:
            raise GateFailed(f"{dataset.path}: {len(cases)} users of the validation split are too few to learn from")
        whole, left_out = whole_funnel(config, model.towers.seen(sequences, dataset.items, Split.VALID))
        labelled = labelled_pools(whole, model_scorer(ONE_VECTOR, model, dataset.items), cases)
        learning = np.zeros(len(cases), bool)
        learning[np.random.default_rng((config.seed, 1)).permutation(len(cases))[: len(cases) // 2]] = True
        users = Users(labelled, learning, config)
        funnel, result = choose(config, whole, users)
        variants = users.variants(whole.names)
        if learner != config.run:
            model = Model.open(config.run)
            whole, _ = whole_funnel(config, model.towers.seen(sequences, dataset.items, Split.TEST))
            kept = {name: whole.channels[name] for name in funnel.channels}
            funnel = replace(funnel, channels=kept, facts=whole.facts)
        result = replace(result, left_out=left_out)
        publish(config, funnel, whole, variants, result, model.fingerprint)
        return result


def whole_funnel(config: FunnelConfig, training: TrainingData) -> tuple[Funnel, dict[str, str]]:
    """All the channels as configured, fitted, in the towers' order; and those that do not apply, with the reasons."""
    channels, left_out = fit_channels(config, training)
    funnel = Funnel(
        channels=channels,
        fusion=TOWERS_ALONE,
        blender=None,
        facts=ItemFacts.of(training.items, training.interactions),
        depth=config.depth,
        channel_depth=config.channel_depth,
        candidates=config.candidates,
    )
    return funnel, left_out


def fit_channels(config: FunnelConfig, training: TrainingData) -> tuple[dict[str, FittedChannel], dict[str, str]]:
    """The channels as configured, by name, and those that do not apply, with the reasons."""
    fitted, left_out = {}, {}
    for name, node in config.channels.items():
        try:
            fitted[name] = instantiate(node).fit(training)
        except DoesNotApply as reason:
            log.info("channel %s left out: %s", name, reason)
            left_out[name] = str(reason)
    return fitted, left_out


@dataclass(frozen=True)
class Users:
    """Users of the validation split and the pools of all channels.

    Attributes:
        everyone: all of them.
        learning: whose half of them channels and fusion are chosen on; on the other half the fusion is compared, [U].
        config: the command's.
    """

    everyone: Labelled
    learning: NDArray[np.bool_]
    config: FunnelConfig

    def gain(self, before: NDArray[np.float64], after: NDArray[np.float64]) -> Gain:
        """How far the NDCG of some users lies above what it was, [U] each."""
        return Gain.of(before, after, self.config.bootstrap_samples, self.config.confidence, self.config.seed)

    def fused(self, channels: Sequence[int], names: Sequence[str]) -> FittedFusion:
        """The fusion of some channels, as it is configured."""
        fusion: Fusion = instantiate(self.config.fusion)
        return fusion.fit(self.everyone.of(self.learning).only(channels), [names[channel] for channel in channels])

    def variants(self, names: Sequence[str]) -> list[Variant]:
        """What an ablation looks at: each channel beside the towers, all of them, all but each."""
        everything = list(range(len(names)))
        sets = {f"towers + {names[one]}": [0, one] for one in everything[1:]}
        if len(names) > 2:
            sets["all channels"] = everything
            sets |= {f"all but {names[one]}": [c for c in everything if c != one] for one in everything[1:]}
        return [
            Variant(name, [names[channel] for channel in channels[1:]], self.fused(channels, names))
            for name, channels in sets.items()
        ]


def choose(config: FunnelConfig, whole: Funnel, users: Users) -> tuple[Funnel, FunnelResult]:
    """The channels, the fusion and the blender that are better than what is there without them."""
    learning, others = users.everyone.of(users.learning), users.everyone.of(~users.learning)
    chosen = choose_channels(learning, whole.names, instantiate(config.fusion), config.certainty)
    order: FittedFusion = TOWERS_ALONE
    columns, gain = [0], None
    if len(chosen) > 1:
        fusion, alone, some = users.fused(chosen, whole.names), others.only([0]), others.only(chosen)
        gain = users.gain(alone.ndcg(TOWERS_ALONE.scores(alone.pools)), some.ndcg(fusion.scores(some.pools)))
        columns, order = (chosen, fusion) if gain.sure(config.certainty) else (columns, order)
    kept = [whole.names[channel] for channel in columns[1:]]
    funnel = replace(whole, channels={name: whole.channels[name] for name in kept}, fusion=order)
    plain = users.everyone.only(columns)
    fused = order.scores(plain.pools)
    head = plain.kept(funnel.head(plain.pools, fused))
    blender: Fusion = instantiate(config.blender)
    blended = users.gain(plain.ndcg(fused), crossed(head, funnel.names, blender, config.folds, config.seed))
    if blended.sure(config.certainty):
        funnel = replace(funnel, blender=blender.fit(head, funnel.names))
    missed, wanted = int(plain.missed.sum()), int(plain.wanted.sum())
    return funnel, FunnelResult(config.run / FUNNEL, kept, {}, gain, blended, missed / max(missed + wanted, 1))


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


@command(FunnelConfig, "funnel")
def main(config: FunnelConfig) -> FunnelResult:
    """Train, and say what was worth it."""
    result = train_funnel(config)
    print(f"channels kept beside the towers: {', '.join(result.kept) or 'none'}")
    if result.fused is not None:
        print(f"fused beside recall: {result.fused}")
    print(f"blended beside {'fused' if result.kept else 'recall'}: {result.blended}")
    if not result.blended.sure(config.certainty):
        print(f"the blender does not gain {config.certainty:g} standard errors, so it is left out")
    print(f"{result.missed:.1%} of the wanted items are in nobody's pool; written to {result.folder}")
    return result


if __name__ == "__main__":
    main()
