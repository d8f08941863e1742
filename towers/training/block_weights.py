"""The weight of each block beside the towers, chosen on validation users."""

from collections.abc import Callable, Sequence

import pandas as pd
from numpy import float32
from numpy.typing import NDArray

from towers.baselines.late_fusion import Mix, choose_weights
from towers.blocks import BlockProfile, FittedBlock
from towers.metrics.cases import Cases
from towers.metrics.evaluation import Scorer
from towers.model.one_vector import OneVectorModel, WeightedBlock
from towers.model.scorer import ONE_VECTOR, Encode, VectorScorer
from towers.model.trained_towers import TrainedTowers
from towers.training.config import BlockWeightsConfig


def weigh_blocks(
    towers: TrainedTowers,
    blocks: Sequence[FittedBlock],
    items: pd.DataFrame,
    cases: Cases,
    config: BlockWeightsConfig,
    batch_size: int,
) -> OneVectorModel:
    """Put blocks beside the towers, each with the weight that ranks best.

    Args:
        towers: the towers, which weigh 1.
        blocks: fitted blocks.
        items: the catalogue.
        cases: validation users who decide.
        config: the weights tried.
        batch_size: users scored at a time.

    Returns:
        The model; a block that is best left out is.
    """
    if not blocks or not len(cases):
        return OneVectorModel(towers, [])
    whole = OneVectorModel(towers, [WeightedBlock(block, 1.0) for block in blocks])
    mix = calibrated(ONE_VECTOR, _parts(whole, items), cases, batch_size)
    weights = choose_weights(mix, cases, config.grid, config.passes, config.certainty, batch_size)
    scaled = [weight * mix.deviations[0] / deviation for weight, deviation in zip(weights, mix.deviations, strict=True)]
    return OneVectorModel(towers, [WeightedBlock(b, w) for b, w in zip(blocks, scaled[1:], strict=True) if w > 0])


def calibrated(name: str, parts: Sequence[tuple[Scorer, float]], cases: Cases, batch_size: int) -> Mix:
    """A mix of scorers and their weights, whose scores' deviations are measured on the first of some cases."""
    histories = [cases.history(case) for case in range(min(len(cases), 1024))]
    queries = cases.queries[: len(histories)] if cases.queries else [""] * len(histories)
    return Mix(name, parts).calibrate(histories, queries, batch_size)


def _parts(model: OneVectorModel, items: pd.DataFrame) -> list[tuple[Scorer, float]]:
    """The towers, which weigh 1, and each block, which weighs nothing yet, as scorers of their own."""
    vectors = model.item_vectors(items)
    encoder = model.user_encoder(items, vectors)
    towers, end = encoder.towers, model.towers.dim
    parts: list[tuple[Scorer, float]] = [
        (VectorScorer("towers", towers.encode, vectors[:, :end], towers.max_history), 1.0)
    ]
    for part, profile in zip(model.blocks, encoder.profiles.values(), strict=True):
        block, start = part.block, end
        end += block.dim
        encode = _encode(profile, towers.sentence)
        parts.append((VectorScorer(block.name, encode, vectors[:, start:end], block.reading.max_history), 0.0))
    return parts


def _encode(profile: BlockProfile, sentence: Callable[[str], NDArray[float32] | None]) -> Encode:
    """A block's user vectors from histories and search texts."""
    return lambda histories, queries: profile.encode(histories, [sentence(query) for query in queries])
