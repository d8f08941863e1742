"""Learnt vectors of words, and what an item says of who had it."""

import math
import os

import numpy as np
import torch

from tests import processes
from towers.modules.item_tower import NO_ID, ItemTower, ItemTowerSettings
from towers.modules.word_embeddings import WordEmbeddings, WordsConfig, WordTable
from towers.text.tokenization import words_of

TEXTS = ["Acme tea, green", "acme coffee", "Tea tea pot", "解决 tea"]


def fitted(most: int = 10, least_items: int = 1) -> WordEmbeddings:
    words = WordEmbeddings.fit(WordsConfig(most=most, least_items=least_items, scale=1.0), TEXTS, width=3)
    assert words is not None
    return words


def test_words_are_lower_case_and_scripts_without_spaces_are_read_letter_by_letter():
    assert words_of("Acme's TEA-pot, 12 oz") == ["acme", "s", "tea", "pot", "12", "oz"]
    assert words_of("茶叶 tea抹茶") == ["茶", "叶", "tea", "抹", "茶"]


def test_only_words_of_enough_items_have_a_vector_and_the_most_frequent_come_first():
    assert fitted(least_items=2).vocabulary == ["tea", "acme"]
    assert fitted(most=1).vocabulary == ["tea"]
    assert WordEmbeddings.fit(WordsConfig(most=0, least_items=1, scale=1.0), TEXTS, 3) is None
    assert WordEmbeddings.fit(WordsConfig(most=9, least_items=9, scale=1.0), TEXTS, 3) is None


def test_a_texts_vector_is_the_tf_idf_sum_of_its_words():
    words = fitted()
    vector = {word: words.vectors.weight[code].detach().numpy() for word, code in words.codes.items()}
    idf = {word: 1 + math.log(5 / (1 + items)) for word, items in {"tea": 3, "pot": 1}.items()}
    weight = {"tea": (1 + math.log(2)) * idf["tea"], "pot": idf["pot"]}
    length = math.hypot(*weight.values())
    expected = sum(w / length * vector[word] for word, w in weight.items())
    (found,) = words(words.read(["tea Tea pot unheard-of"])).detach().numpy()
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_texts_without_known_words_add_nothing():
    words = fitted()
    assert not words(words.read(["", "unheard of"])).any()
    assert words(words.read([])).shape == (0, 3)
    table = WordTable(None, TEXTS)
    assert table(torch.tensor([0, 1])) is None


def test_a_table_gives_each_row_the_words_of_its_text():
    words = fitted()
    table = WordTable(words, TEXTS)
    rows = torch.tensor([2, 0, 2])
    torch.testing.assert_close(words(table(rows)), words(words.read([TEXTS[row] for row in rows])))


def test_an_item_in_a_history_takes_its_learnt_step_and_keeps_its_prior():
    tower = ItemTower(ItemTowerSettings(text_dim=2, dim=3, num_ids=2, num_priors=2, history=True)).eval()
    vectors = torch.tensor([[1.0, 0.0, 0.5], [0.0, 1.0, 0.25]])
    torch.testing.assert_close(tower.in_history(vectors, torch.tensor([0, 1])), vectors)  # no step before training
    with torch.no_grad():
        tower.history.weight.copy_(torch.tensor([[2.0, 3.0], [4.0, 5.0]]))
    found = tower.in_history(vectors, torch.tensor([1, NO_ID]))
    torch.testing.assert_close(found, torch.tensor([[5.0, 5.0, 0.5], [0.0, 1.0, 0.25]]))


def test_the_vocabulary_has_the_same_order_in_every_process():
    script = (
        "from towers.modules.word_embeddings import WordEmbeddings, WordsConfig\n"
        "texts = ['red green blue black', 'white grey pink brown']\n"
        "print(WordEmbeddings.fit(WordsConfig(most=6, least_items=1, scale=1.0), texts, 2).vocabulary)"
    )
    said = [
        processes.run(processes.python("-c", script), check=True, env={**os.environ, "PYTHONHASHSEED": seed}).stdout
        for seed in ("1", "2", "3")
    ]
    assert len(set(said)) == 1
