"""The explanation of an answer: each recall channel's places and scores of its items."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval_server.pipeline.recall import Ranking


@dataclass(frozen=True)
class ChannelExplanation:
    """One recall channel's view of an answer's n items.

    Attributes:
        name: of the channel.
        places: of each item in the channel's own list [n], 1 the best; 0 for an item that others offered.
        scores: the channel's score of each item [n], in its own unit.
    """

    name: str
    places: Sequence[int]
    scores: Sequence[float]


def explain(recalled: Ranking, rows: NDArray[np.int64]) -> list[ChannelExplanation]:
    """Each channel's view of rows of a ranking [n], the towers first.

    Args:
        recalled: what the rows were chosen from.
        rows: rows of the answer's items [n].
    """
    if recalled.pool is None:
        position_of = {row: position for position, row in enumerate(recalled.rows.tolist())}
        positions = [position_of[row] for row in rows.tolist()]
        places = [position + 1 for position in positions]
        return [ChannelExplanation(recalled.channel, places, recalled.scores[positions].tolist())]
    scores, places_by_channel = recalled.pool.channel_views(rows)
    return [
        ChannelExplanation(name, places_by_channel[:, number].tolist(), scores[:, number].tolist())
        for number, name in enumerate(recalled.pool.channel_names)
    ]
