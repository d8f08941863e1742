"""Learnt vectors of the words in item texts and queries.

A sentence vector says what a text means; it does not say that two titles share a brand's name. A vector for each word,
learnt from behaviour and weighed by how rare the word is, does, and a new item has it from its first day.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from data_prep.config import require
from towers.text.tokenization import words_of

MOST_WORDS = 64  # distinct words read of one text


@dataclass
class WordsConfig:
    """Which words have a vector.

    Attributes:
        most: words with a vector of their own, the most frequent ones; 0 for none at all.
        least_items: items a word must occur in.
        scale: length of a fresh vector.
    """

    most: int
    least_items: int
    scale: float

    def __post_init__(self) -> None:
        require("words.most", self.most, 0)
        require("words.least_items", self.least_items, 1)
        require("words.scale", self.scale, 0)


@dataclass(frozen=True)
class Bags:
    """Word bags of n texts.

    Attributes:
        words: [n, L] codes in the vocabulary; its size where there is no word.
        weights: [n, L] weight of each; 0 where there is no word. Each row is of unit length.
    """

    words: Tensor
    weights: Tensor


class WordEmbeddings(nn.Module):
    """A text's vector is the sum of its words', weighed by TF-IDF.

    With tf occurrences in the text, and df of the N texts holding the word, the weight is
    (1 + log tf) · (1 + log((1 + N) / (1 + df))), over the length of all of the text's weights.

    Args:
        vocabulary: the words.
        width: length of a vector.
    """

    idf: Tensor

    def __init__(self, vocabulary: Sequence[str], width: int) -> None:
        super().__init__()
        self.vocabulary = list(vocabulary)
        self.codes = {word: code for code, word in enumerate(self.vocabulary)}
        self.vectors = nn.Embedding(len(self.vocabulary) + 1, width, padding_idx=len(self.vocabulary))
        self.register_buffer("idf", torch.ones(len(self.vocabulary)))

    @classmethod
    def fit(cls, config: WordsConfig, texts: Sequence[str], width: int) -> "WordEmbeddings | None":
        """The words of item texts, their vectors fresh; None where none are to be had."""
        # Not set(): its order, and so that of equally frequent words, differs from one process to the next.
        frequency = Counter(word for text in texts for word in dict.fromkeys(words_of(text)))
        kept = [word for word, items in frequency.most_common(config.most) if items >= config.least_items]
        if not kept:
            return None
        words = cls(kept, width)
        items_with = torch.tensor([frequency[word] for word in kept], dtype=torch.float32)
        words.idf.copy_(1 + torch.log((1 + len(texts)) / (1 + items_with)))
        with torch.no_grad():
            words.vectors.weight.normal_(std=config.scale * width**-0.5)
            words.vectors.weight[-1] = 0
        return words

    def read(self, texts: Sequence[str]) -> Bags:
        """Words of texts and their weights; words without a vector are passed over."""
        counted = [Counter(self.codes[word] for word in words_of(text) if word in self.codes) for text in texts]
        most = min(max(map(len, counted), default=0), MOST_WORDS)
        words = torch.full((len(texts), most), len(self.vocabulary))
        weights = torch.zeros(len(texts), most)
        for row, counts in enumerate(counted):
            kept = counts.most_common(most)
            if kept:
                codes, times = (torch.tensor(part) for part in zip(*kept, strict=True))
                words[row, : len(kept)] = codes
                weights[row, : len(kept)] = (1 + times.log()) * self.idf[codes]
        return Bags(words, functional.normalize(weights, dim=1))

    def forward(self, bags: Bags) -> Tensor:
        """Vectors of n texts, [n, width]."""
        if bags.words.shape[1] == 0:
            return bags.weights.new_zeros(len(bags.words), self.vectors.embedding_dim)
        return functional.embedding_bag(
            bags.words,
            self.vectors.weight,
            per_sample_weights=bags.weights,
            mode="sum",
            padding_idx=len(self.vocabulary),
        )


class WordTable(nn.Module):
    """Words of every row, items first, then queries.

    Args:
        words: the vocabulary; None for a table without words.
        texts: text of each row.
    """

    words: Tensor
    weights: Tensor

    def __init__(self, words: WordEmbeddings | None, texts: Sequence[str]) -> None:
        super().__init__()
        self.empty = words is None
        bags = words.read(texts) if words is not None else Bags(torch.zeros(0, 0), torch.zeros(0, 0))
        self.register_buffer("words", bags.words, persistent=False)
        self.register_buffer("weights", bags.weights, persistent=False)

    def forward(self, rows: Tensor) -> Bags | None:
        """Words of rows, [n]."""
        return None if self.empty else Bags(self.words[rows], self.weights[rows])
