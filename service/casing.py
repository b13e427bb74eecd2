"""CAPITALS and Title Case: told from names and acronyms, taken away before a model sees them, and given back."""

import re
from collections.abc import Callable, Sequence
from enum import Enum

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
# behind an apostrophe a new word begins, if it is not one letter, as in Tom's
_CAPITAL = re.compile(r"[^\W\d_]{4,}|(?<=['’])[^\W\d_]{2,}")

Costs = Callable[[Sequence[str]], list[float]]
"""How rare each word is, as the logarithm of one in how many, roughly; infinite if it is no word of the language."""
_ACRONYM = 3
"""Letters that one has at most."""
_NAME = 2.0
"""By how much a name is less rare with a capital than without: more than what begins sentences, such as "The"."""


class Casing(Enum):
    """How a sentence is written."""

    PLAIN = "plain"
    CAPS = "caps"
    TITLE = "title"

    @classmethod
    def of(cls, sentence: str, costs: Costs) -> "Casing":
        """CAPS if every letter is a capital, and a word has two.

        TITLE if it has no full stop, all words of over three letters begin with a capital, and two or more behind the
        first, not fewer than the names there, need not: of "Tom and Mary" none, of "The Old Man and the Sea" three.
        """
        words = _WORD.findall(sentence)
        if not words:
            return cls.PLAIN
        if all(word.isupper() for word in words):
            return cls.CAPS if any(len(word) > 1 for word in words) else cls.PLAIN
        capital = [word for word in words[1:] if word[0].isupper()]
        if len(capital) < 2 or sentence.endswith(".") or not all(word[0].isupper() for word in words if len(word) > 3):
            return cls.PLAIN
        capital = capital[:50]  # of a long one the beginning tells
        pairs = zip(costs([word.lower() for word in capital]), costs(capital), strict=True)
        ordinary = sum(lower <= upper + _NAME for lower, upper in pairs)
        return cls.TITLE if ordinary >= 2 and 2 * ordinary >= len(capital) else cls.PLAIN

    def take(self, text: str, language: str, costs: Costs, *, begins: bool) -> str:
        """`text` in a sentence's case: names keep their capital, and acronyms theirs, if `costs` knows them."""
        if self is Casing.PLAIN:
            return text
        words = _WORD.findall(text)
        lower, upper = [word.lower() for word in words], [word.capitalize() for word in words]
        chosen = [
            _choose(*each) for each in zip(lower, upper, words, costs(lower), costs(upper), costs(words), strict=True)
        ]
        for index, word in enumerate(lower):
            if word == chosen[index] and ((begins and index == 0) or (language == "en" and _is_i(word))):
                chosen[index] = upper[index]
        given = iter(chosen)
        return _WORD.sub(lambda _: next(given), text)

    def give(self, text: str) -> str:
        """A translation in this case."""
        if self is Casing.CAPS:
            return text.upper()
        if self is Casing.TITLE:
            text = _CAPITAL.sub(lambda match: match[0][0].upper() + match[0][1:], text)
            return text[:1].upper() + text[1:]
        return text


def _choose(lower: str, upper: str, word: str, plain: float, name: float, given: float) -> str:
    """Of three spellings with their costs the likeliest; an acronym's own may cost a little more."""
    if len(word) <= _ACRONYM and word.isupper() and given < min(plain, name) + _NAME:
        return word
    return upper if name < plain - _NAME else lower


def _is_i(word: str) -> bool:
    return word == "i" or word.startswith(("i'", "i’"))
