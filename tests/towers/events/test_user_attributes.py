"""Attributes of users: their codes, and what the user tower makes of them."""

import numpy as np
import pandas as pd
import pytest
import torch

from data_prep.errors import UsageError
from tests.index.bundle.test_histories import sequences
from tests.towers.modules.test_user_tower import a_batch, user_tower
from towers.events.history import History
from towers.events.user_attributes import UserAttributes
from towers.modules.tokens import PADDING, EventTypes, SequenceTokens, tokenize

KNOWN = {"age": ["19-24", "65+"], "income": ["high"]}


def test_codes_begin_at_one_and_what_training_never_saw_is_zero():
    attributes = UserAttributes(KNOWN)
    users = [{"age": "65+", "income": "high"}, {"age": "90+"}, {}, {"income": "", "age": "19-24", "hat": "red"}]
    assert attributes.codes(users).tolist() == [[2, 1], [0, 0], [0, 0], [1, 0]]
    assert attributes.sizes == [3, 2]
    assert attributes.codes([]).shape == (0, 2)
    assert UserAttributes({}).codes(users).shape == (4, 0)


def test_the_vocabulary_holds_the_values_of_training_users_alone():
    values = {"age": np.array(["b", "", "a", "c"], dtype=object)}
    found = UserAttributes.of(values, np.array([True, True, True, False]))
    assert found.values == {"age": ["a", "b"]}
    assert found.table(values, 4).tolist() == [[2], [0], [1], [0]]


def test_a_log_takes_the_columns_asked_for_and_leaves_unknown_users_empty():
    users = pd.DataFrame({"user_id": ["u2", "u0"], "age": ["65+", None], "kids": [2, 0]})
    log = sequences([1, 2, 1]).with_attributes(users, ["age", "kids"])
    assert {column: values.tolist() for column, values in log.attributes.items()} == {
        "age": ["", "", "65+"],
        "kids": ["0", "", "2"],
    }
    history = log.history(2, int(log.offsets[3]))
    assert history.attributes == history.last(1).attributes == {"age": "65+", "kids": "2"}


def test_attributes_that_are_not_there_are_refused_with_those_that_are():
    users = pd.DataFrame({"user_id": ["u0"], "age": ["65+"], "kids": ["2"]})
    with pytest.raises(UsageError, match=r"users have no hat; there is age, kids"):
        sequences([1]).with_attributes(users, ["age", "hat"])
    with pytest.raises(UsageError, match=r"tower.attributes.columns: hat: .* no\s*users.parquet"):
        sequences([1]).with_attributes(None, ["hat"])


def test_somebody_with_no_history_has_a_vector_of_their_attributes():
    tower = user_tower(attributes=KNOWN)
    events = EventTypes(["view"])
    people = [{"age": "65+"}, {"age": "19-24"}, {"income": "high"}, {"age": "unheard of"}, {}]
    histories = [History(np.zeros(0, np.int64), (), np.zeros(0), person) for person in people]
    tokens = tokenize(histories, [PADDING] * 5, events, 6, tower.attributes)
    found = tower.last(torch.zeros(5, 0, tower.dim), tokens)
    assert len(found.round(decimals=4).unique(dim=0)) == 4
    torch.testing.assert_close(found[3], found[4])  # unknown is nothing known


def test_unknown_attributes_change_nothing_and_stay_so_in_training():
    plain, tower = user_tower(), user_tower(attributes=KNOWN)
    tower.load_state_dict(plain.state_dict(), strict=False)
    vectors, events, gaps = a_batch()
    unknown = torch.zeros(3, 2, dtype=torch.int64)
    torch.testing.assert_close(tower(vectors, events, gaps, unknown), plain(vectors, events, gaps))
    tower(vectors, events, gaps, torch.tensor([[0, 1], [1, 0], [0, 0]])).sum().backward()
    for embedding in tower.attribute_vectors:
        assert not embedding.weight[0].any() and not embedding.weight.grad[0].any()
        assert embedding.weight.grad.any()


def test_attributes_are_withheld_from_about_their_share_of_training_sequences_all_at_once():
    torch.manual_seed(0)
    tower = user_tower(attributes=KNOWN, attribute_dropout=0.25, dropout=0.0, input_dropout=0.0, layers=1)
    nobody = SequenceTokens(*(torch.zeros(4000, 0, dtype=torch.int64),) * 3, torch.zeros(4000, dtype=torch.int64))
    stranger = tower.last(torch.zeros(4000, 0, tower.dim), nobody)[0]
    known = SequenceTokens(
        nobody.rows, nobody.events, nobody.gaps, nobody.lengths, torch.tensor([[1, 1]]).expand(4000, 2)
    )
    found = tower.train().last(torch.zeros(4000, 0, tower.dim), known)
    withheld = torch.isclose(found, stranger, atol=1e-5).all(dim=1)
    assert withheld.float().mean().item() == pytest.approx(0.25, abs=0.03)
    assert len(found[~withheld].round(decimals=4).unique(dim=0)) == 1
    assert not torch.isclose(tower.eval().last(torch.zeros(4000, 0, tower.dim), known), stranger).all(dim=1).any()
