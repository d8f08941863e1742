"""What each block, and each channel beside the vector, is to weigh: chosen on validation users."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from towers.baselines import Baseline
from towers.baselines.late_fusion import Mix, choose_weights
from towers.blocks import BlockProfile, FittedBlock
from towers.metrics.cases import Cases
from towers.metrics.evaluation import Scorer
from towers.model.one_vector import OneVectorModel, WeightedBlock
from towers.model.scorer import LATE_FUSED, ONE_VECTOR, Encode, VectorScorer, model_scorer
from towers.model.trained_towers import TrainedTowers
from towers.training.config import WeighingConfig


def weigh_blocks(
    towers: TrainedTowers,
    blocks: Sequence[FittedBlock],
    items: pd.DataFrame,
    cases: Cases,
    config: WeighingConfig,
    batch_size: int,
) -> OneVectorModel:
    """Put blocks beside the towers, each with the weight that ranks best.

    Args:
        towers: the towers, which weigh 1.
        blocks: fitted blocks.
        items: the catalogue.
        cases: validation users who decide.
        config: what is tried.
        batch_size: users scored at a time.

    Returns:
        The model; a block that is best left out is.
    """
    if not blocks or not len(cases):
        return OneVectorModel(towers, [])
    whole = OneVectorModel(towers, [WeightedBlock(block, 1.0) for block in blocks])
    vectors = whole.item_vectors(items)
    encoder = whole.user_encoder(items, vectors)
    parts: list[tuple[Scorer, float]] = []
    own = vectors[:, : towers.dim]
    parts.append((VectorScorer("towers", encoder.towers.encode, own, encoder.towers.max_history), 1.0))
    start = towers.dim
    for block, profile in zip(blocks, encoder.profiles.values(), strict=True):
        own = vectors[:, start : start + block.dim]
        parts.append(
            (VectorScorer(block.name, _encode(profile, encoder.towers.sentence), own, block.reading.max_history), 0.0)
        )
        start += block.dim
    mix = _calibrated(ONE_VECTOR, parts, cases, batch_size)
    weights = choose_weights(mix, cases, config.grid, config.passes, config.certainty, batch_size)
    found = [weight * mix.deviations[0] / deviation for weight, deviation in zip(weights, mix.deviations, strict=True)]
    return OneVectorModel(towers, [WeightedBlock(b, w) for b, w in zip(blocks, found[1:], strict=True) if w > 0])


def late_fusion(
    model: OneVectorModel,
    channels: Mapping[str, Baseline],
    weights: Mapping[str, float],
    items: pd.DataFrame,
    cases: Cases,
    batch_size: int,
) -> Mix:
    """The model's one vector and, fused late, scorers that do not fit into a vector.

    Args:
        model: weighs 1.
        channels: fitted baselines, by name.
        weights: of each, in score deviations.
        items: the catalogue.
        cases: users over whom deviations are measured.
        batch_size: users scored at a time.
    """
    parts: list[tuple[Scorer, float]] = [(model_scorer(ONE_VECTOR, model, items), 1.0)]
    parts += [(channel, weights[name]) for name, channel in channels.items()]
    return _calibrated(LATE_FUSED, parts, cases, batch_size)


def weigh_channels(
    model: OneVectorModel,
    channels: Mapping[str, Baseline],
    items: pd.DataFrame,
    cases: Cases,
    config: WeighingConfig,
    batch_size: int,
) -> dict[str, float]:
    """Weights of channels fused late, by name, that rank best; arguments as of `weigh_blocks` and `late_fusion`."""
    if not channels or not len(cases):
        return dict.fromkeys(channels, 0.0)
    mix = late_fusion(model, channels, dict.fromkeys(channels, 0.0), items, cases, batch_size)
    weights = choose_weights(mix, cases, config.grid, config.passes, config.certainty, batch_size)
    return dict(zip(channels, weights[1:], strict=True))


def _encode(profile: BlockProfile, sentence: Callable[[str], NDArray[np.float32] | None]) -> Encode:
    """A block's user vectors from histories and search texts."""
    return lambda histories, queries: profile.encode(histories, [sentence(query) for query in queries])


def _calibrated(name: str, parts: Sequence[tuple[Scorer, float]], cases: Cases, batch_size: int) -> Mix:
    histories = [cases.history(case) for case in range(min(len(cases), 1024))]
    queries = cases.queries[: len(histories)] if cases.queries else [""] * len(histories)
    return Mix(name, parts).calibrate(histories, queries, batch_size)
