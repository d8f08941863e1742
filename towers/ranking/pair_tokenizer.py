"""One context beside many items as a tokenizer gives them, without reading any text again and again."""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from functools import lru_cache, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

REMEMBERED = 1 << 16
"""Item texts whose tokens are remembered, those used last. With the text itself some 460 bytes each at 90 characters,
30 MB once so many were seen; of longer texts no more tokens than there is room for."""

IDS, MASK, TYPES = "input_ids", "attention_mask", "token_type_ids"
"""Names of a transformer's input tensors."""

PROBES = ("", "milk", " Fresh MILK,\n1.5 l ", "Ölmühle 牛奶 🥛 e\u0301")
"""Texts, each to stand beside each, by which it is seen whether a tokenizer does what is expected of it."""


def encode_pairs(
    tokenizer: Any, contexts: Sequence[str], candidates: Sequence[str], max_tokens: int
) -> Mapping[str, Tensor]:
    """The tokens of n pairs by the tokenizer itself, [n, tokens] each.

    Args:
        tokenizer: of transformers.
        contexts: n contexts.
        candidates: n item texts.
        max_tokens: of a pair; the longer of the two is cut first.
    """
    encoded: Mapping[str, Tensor] = tokenizer(
        list(contexts),
        list(candidates),
        truncation="longest_first",
        max_length=max_tokens,
        padding=True,
        return_tensors="pt",
    )
    return encoded


class PairTokens:
    """Makes of one context and n items the tensors that `encode_pairs` makes of these n pairs.

    The context is read once, an item's text once as long as it is remembered; any number of threads may ask. Where
    the special tokens go, and which, is what the tokenizer does with a pair of its own: each special token, and either
    text as a whole, has a *slot*.

    Args:
        tokenizer: a fast one, of which nobody else makes use: it is set to cut and pad nothing from now on.
        max_tokens: of a pair.

    Raises:
        ValueError: the tokenizer does not say which tokens are of which text, or makes other tensors too.
    """

    def __init__(self, tokenizer: Any, max_tokens: int) -> None:
        pair = tokenizer(["milk"], ["milk"], return_tensors="pt")
        texts = pair.sequence_ids(0)  # [tokens], None for a special token
        if not {0, 1} <= set(texts) or not set(pair) <= {IDS, MASK, TYPES}:
            raise ValueError(f"{type(tokenizer).__name__} makes {list(pair)} of texts {texts}")
        slots = [i for i, text in enumerate(texts) if text is None or text not in texts[:i]]
        self._names = tuple(pair)
        self._ids = pair[IDS][0].numpy()[slots]  # [slots]
        self._types = pair[TYPES][0].numpy()[slots] if TYPES in pair else np.zeros_like(self._ids)  # [slots]
        self._texts = np.array([texts[i] is not None for i in slots])  # [slots]
        self._room = max(0, max_tokens - len(slots) + 2)
        self._padding = tokenizer.pad_token_id, tokenizer.pad_token_type_id
        self._pads_left = tokenizer.padding_side == "left"
        self._cuts_left = tokenizer.truncation_side == "left"
        self._tokens = _reading(tokenizer)
        self._item = lru_cache(REMEMBERED)(_shortening(self._tokens, self._room, self._cuts_left))

    def beside(self, context: str) -> Callable[[Sequence[str]], dict[str, Tensor]]:
        """The function from n item texts to the tensors of their pairs with this context, [n, tokens] each; n > 0."""
        return partial(self._pairs, self._tokens(context))

    def _pairs(self, context: NDArray[np.int32], candidates: Sequence[str]) -> dict[str, Tensor]:
        items = [self._item(text) for text in candidates]
        kept = longest_first(len(context), np.array([length for length, _ in items]), self._room)  # [n, 2]
        read: list[NDArray[np.int32]] = []
        for (_, item), (of_context, of_item) in zip(items, kept.tolist(), strict=True):
            read += (_cut(context, of_context, self._cuts_left), _cut(item, of_item, self._cuts_left))
        lengths = np.ones((len(items), len(self._ids)), np.int64)
        lengths[:, self._texts] = kept
        slots = np.repeat(np.tile(np.arange(len(self._ids)), len(items)), lengths.ravel())  # [tokens of all pairs]
        ids = self._ids[slots]
        ids[self._texts[slots]] = np.concatenate(read)
        inside = self._inside(lengths.sum(axis=1))  # [n, tokens]
        made = {MASK: inside.astype(np.int64)}
        for name, values, padding in zip((IDS, TYPES), (ids, self._types[slots]), self._padding, strict=True):
            made[name] = np.full(inside.shape, padding, np.int64)
            made[name][inside] = values
        return {name: torch.from_numpy(made[name]) for name in self._names}

    def _inside(self, lengths: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Where pairs of these lengths [n] have tokens and not padding, [n, tokens]."""
        inside = np.arange(lengths.max()) < lengths[:, None]
        return inside[:, ::-1] if self._pads_left else inside


def remembering(tokenizer: Any, max_tokens: int) -> PairTokens | None:
    """A tokenizer's pairs made from tokens that are remembered; None where that would not be what the tokenizer makes.

    Args:
        tokenizer: of transformers; stays as it is.
        max_tokens: of a pair.
    """
    if not tokenizer.is_fast:
        return None
    copy = deepcopy(tokenizer)
    texts = [*PROBES, " ".join(copy.all_special_tokens), "rye " * max_tokens]
    expected = [encode_pairs(copy, [context] * len(texts), texts, max_tokens) for context in texts]
    try:
        remembered = PairTokens(copy, max_tokens)
        tokens = [remembered.beside(context)(texts) for context in texts]
    except ValueError:
        return None
    return remembered if all(map(_same, tokens, expected)) else None


def longest_first(context: int, items: NDArray[np.int64], room: int) -> NDArray[np.int64]:
    """Tokens that are left of a context and of each of n items where both have to fit, [n, 2].

    The shorter one keeps up to half of the room, the longer one gets the rest; of two equally long ones the item gets
    the odd token. Source: `truncate_encodings` in Hugging Face's tokenizers, `LongestFirst`.

    Args:
        context: its tokens.
        items: tokens of each item, [n].
        room: tokens of both together.
    """
    short = np.minimum(np.minimum(context, items), room // 2)
    long = np.minimum(np.maximum(context, items), room - short)
    return np.where((context > items)[:, None], np.stack((long, short), axis=1), np.stack((short, long), axis=1))


def _reading(tokenizer: Any) -> Callable[[str], NDArray[np.int32]]:
    """The function from a text to all its tokens, [tokens], no special ones added.

    Of the tokenizer alone: pairs that held on to themselves would outlive their use.
    """
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    backend.encode_special_tokens = tokenizer.split_special_tokens

    def tokens(text: str) -> NDArray[np.int32]:
        return np.array(backend.encode(text, add_special_tokens=False).ids, np.int32)

    return tokens


def _shortening(
    read: Callable[[str], NDArray[np.int32]], room: int, from_left: bool
) -> Callable[[str], tuple[int, NDArray[np.int32]]]:
    """The function from a text to the number of its tokens, and as many of them as there ever is room for."""

    def shortened(text: str) -> tuple[int, NDArray[np.int32]]:
        tokens = read(text)
        return len(tokens), _cut(tokens, min(len(tokens), room), from_left).copy()

    return shortened


def _cut(tokens: NDArray[np.int32], length: int, from_left: bool) -> NDArray[np.int32]:
    return tokens[len(tokens) - length :] if from_left else tokens[:length]


def _same(tokens: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> bool:
    return list(tokens) == list(expected) and all(torch.equal(tokens[name], expected[name]) for name in expected)
