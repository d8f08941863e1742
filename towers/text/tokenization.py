"""Tokenization of item texts and search texts alike: normalised, cut into words, and made into tokens of a search."""

import re
import unicodedata
from itertools import pairwise

IDEOGRAPHS = "぀-ヿ㐀-䶿一-鿿豈-﫿가-힯"
# Scripts that do not put spaces between words are read letter by letter.
WORD = re.compile(rf"[{IDEOGRAPHS}]|[^\W{IDEOGRAPHS}]+")
RUN = re.compile(rf"[{IDEOGRAPHS}]+|[^\W{IDEOGRAPHS}]+")


def normalized(text: str, lower: bool = True) -> str:
    """One spelling for what looks alike: compatible letters, lower case, single spaces, no control characters.

    Full-width letters become plain ones, "①" becomes "1", "ﬁ" becomes "fi". Source: Unicode Standard Annex #15, NFKC.

    Args:
        text: anything.
        lower: whether case says nothing.
    """
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    if not text.isprintable():
        text = "".join(" " if unicodedata.category(letter) == "Cc" else letter for letter in text)
    return " ".join((text.lower() if lower else text).split())


def words_of(text: str) -> list[str]:
    """The words of a text, normalised; letters one by one where a script has no spaces."""
    return WORD.findall(normalized(text))


def tokens_of(text: str) -> list[str]:
    """Tokens that a search by words compares: words, and pairs of neighbouring letters where a script has no spaces.

    Two letters are about a word of Chinese, and need no dictionary; one by itself stays one. Source: Nie, Gao, Zhang &
    Zhou, "On the use of words and n-grams for Chinese information retrieval", IRAL 2000.
    """
    tokens: list[str] = []
    for run in RUN.findall(normalized(text)):
        bigrams = [first + second for first, second in pairwise(run)] if is_ideograph(run[0]) else []
        tokens += bigrams or [run]
    return tokens


def is_ideograph(letter: str) -> bool:
    """Whether a letter is of a script without spaces."""
    return re.match(rf"[{IDEOGRAPHS}]", letter) is not None


def singular_of(token: str) -> str:
    """An English plural as its singular, so that "batteries" find a battery; anything else as it is.

    Words of other languages that end in s lose it on both sides alike. Source: Harman, "How effective is suffixing?",
    1991, the S stemmer.
    """
    if len(token) <= 3 or not token.isalpha():
        return token
    if token.endswith("ies") and not token.endswith(("eies", "aies")):
        return token[:-3] + "y"
    if token.endswith("es") and not token.endswith(("aes", "ees", "oes")):
        return token[:-1]
    return token[:-1] if token.endswith("s") and not token.endswith(("us", "ss")) else token
