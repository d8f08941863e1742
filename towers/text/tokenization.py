"""How words are read, in item texts and search texts alike: normalised, cut into words, and made into search terms."""

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


def terms_of(text: str) -> list[str]:
    """What a search by words compares: words, and pairs of neighbouring letters where a script has no spaces.

    Two letters are about a word of Chinese, and need no dictionary; one by itself stays one. Source: Nie, Gao, Zhang &
    Zhou, "On the use of words and n-grams for Chinese information retrieval", IRAL 2000.
    """
    terms: list[str] = []
    for run in RUN.findall(normalized(text)):
        bigrams = [first + second for first, second in pairwise(run)] if is_ideograph(run[0]) else []
        terms += bigrams or [run]
    return terms


def is_ideograph(letter: str) -> bool:
    """Whether a letter is of a script without spaces."""
    return re.match(rf"[{IDEOGRAPHS}]", letter) is not None


def singular_of(term: str) -> str:
    """An English plural as its singular, so that "batteries" find a battery; anything else as it is.

    Words of other languages that end in s lose it on both sides alike. Source: Harman, "How effective is suffixing?",
    1991, the S stemmer.
    """
    if len(term) <= 3 or not term.isalpha():
        return term
    if term.endswith("ies") and not term.endswith(("eies", "aies")):
        return term[:-3] + "y"
    if term.endswith("es") and not term.endswith(("aes", "ees", "oes")):
        return term[:-1]
    return term[:-1] if term.endswith("s") and not term.endswith(("us", "ss")) else term
