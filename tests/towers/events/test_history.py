"""Histories in packs."""

import numpy as np
from hypothesis import given, strategies as st

from towers.events.history import History, packs_of_like_length


@given(st.lists(st.integers(0, 12), max_size=30), st.integers(1, 10), st.integers(1, 40))
def test_packs_hold_everybody_once_and_stay_within_the_tokens(lengths, longest, tokens):
    histories = [History(np.zeros(n, np.int64), ["view"] * n, np.full(n, np.nan)) for n in lengths]
    packs = packs_of_like_length(histories, longest, tokens)
    assert sorted(i for pack in packs for i in pack) == list(range(len(lengths)))
    for pack in packs:
        padded = len(pack) * max(min(lengths[i], longest) for i in pack)
        assert padded <= tokens or len(pack) == 1
