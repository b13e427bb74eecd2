"""Sentences as a translation model knows them, and its answers as the sentence was.

What the model has no tokens for is never given to it, and stands in the answer as it stood in the text.
"""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Literal

from contract.text import Vocabulary
from service.casing import Casing

LONGEST = 100
"""Tokens given to a model at once, if it takes so many: hardly any that it was trained on are longer."""
_ADDED = 5
"""Tokens that become more when a phrase is made a sentence: bos, eos, a full stop, and those of a capital."""
_LONG_NUMBER = 6
"""Digits that a number has at least which a model is not trusted with."""

_CLAUSE_ENDS = (",", ";", ":")
# a list's bullets and numbers
_MARKER = re.compile(r"\s*(?:(?:[-*+•–—>#]+|\(?(?:[0-9]{1,3}|[A-Za-z])[.)])\s+)*")
# addresses, handles and numbers; then words, with the marks and format characters in them, and signs one by one
_ATOM = re.compile(
    r"(?P<literal>(?:[a-z][a-z0-9+.-]{1,20}://|www\.)[^\s<>]+|[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+|[@#]\w+)"
    r"|(?P<number>[$€£]?[0-9][0-9.,:/-]*[^\W\d_]*)"
    r"|(?:[^\W_][\u0300-\u036f\u00ad\u200b-\u200f\u2060\ufeff'’]*)+|[^\s]",
    re.IGNORECASE,
)
_LITERAL = re.compile(r"://|www\.|[@#]\w|[0-9](?:[.,:/-]?[0-9]){5}", re.IGNORECASE)
_NUMBER = re.compile("[0-9]+")
_BEHIND_WORD = re.compile(r"(?<=\S)(?=\s)")
_BEHIND = ".,:;!?'\")]/-"
"""Signs that are no part of an address or number when they end it."""
_RESPELT: dict[int, str] = str.maketrans(
    {
        **dict.fromkeys("‘’‚‛ʼ′", "'"),
        **dict.fromkeys("“”„‟«»″", '"'),
        **dict.fromkeys("‐‑–—―‒−", "-"),
        "…": "...",
    }
)

Ids = tuple[int, ...]
Kind = Literal["words", "literal", "unknown"]
Spelling = dict[int, str]
"""For `str.translate`."""


@dataclass(frozen=True, slots=True)
class Phrase:
    """What a model translates at once: `text`, as `ids` with bos and eos of it as a whole sentence."""

    text: str
    ids: Ids
    casing: Casing

    def answer(self, translation: str) -> str:
        """A translation of the phrase, with its case, its small letter at the beginning and its sign at the end.

        An empty one would lose the phrase, which then stays as it is.
        """
        text, end = translation.strip() or self.text, self.text[-1]
        if end.isalnum() or end in _CLAUSE_ENDS:
            text = text if text.endswith("..") else text.removesuffix(".")
            text += "" if end.isalnum() or text[-1:] == end else end
        elif end in "?!" and text[-1:].isalnum():
            text += end
        if self.text[0].islower() and not text[1:2].isupper():
            text = text[:1].lower() + text[1:]
        return self.casing.give(text)


@dataclass(frozen=True, slots=True)
class Worded:
    """A sentence made ready: phrases, and between them what stays as it is. Of its letters `unknown` have no tokens."""

    parts: tuple[Phrase | str, ...]
    letters: int
    unknown: int


class Wording:
    """For one source language and its vocabulary, and models that take `max_len` tokens."""

    def __init__(self, vocabulary: Vocabulary, language: str, max_len: int) -> None:
        self._vocabulary, self._language = vocabulary, language
        self._limit = min(max_len, LONGEST)

    def word(self, sentences: Sequence[str]) -> list[Worded]:
        """Each sentence made ready; its parts put together, phrases unanswered, are the sentence in other spelling."""
        cores = [_core(sentence) for sentence in sentences]
        casings = [Casing.of(core, self._costs) for _, core, _ in cores]
        texts = [self._spelt(core, casing, _RESPELT) for (_, core, _), casing in zip(cores, casings, strict=True)]
        encoded = self._vocabulary.encode(self._whole(texts))
        return [self._worded(*each) for each in zip(cores, casings, texts, encoded, strict=True)]

    def mended(self, worded: Worded, said: Mapping[Ids, str]) -> Worded:
        """Where a translation has other numbers than its phrase, the phrase is cut, and these stay as they are."""
        parts: list[Phrase | str] = []
        for part in worded.parts:
            lost = lost_numbers(part.text, said[part.ids]) if isinstance(part, Phrase) else None
            if isinstance(part, Phrase) and lost:
                parts += self._cut(part.text, part.casing, lost, begins=not part.text[0].islower())[0]
            else:
                parts.append(part)
        return replace(worded, parts=tuple(parts))

    def _worded(self, sentence: tuple[str, str, str], casing: Casing, text: str, ids: list[int]) -> Worded:
        before, core, after = sentence
        letters = sum(map(str.isalpha, core))
        if not letters:
            return Worded((before + core + after,), 0, 0)
        if self._fits(ids) and not _LITERAL.search(core):
            return Worded((before, Phrase(text, tuple(ids), casing), after), letters, 0)
        parts, unknown = self._cut(core, casing)
        return Worded((before, *parts, after), letters, unknown)

    def _cut(
        self, core: str, casing: Casing, lost: Set[str] = frozenset(), *, begins: bool = True
    ) -> tuple[list[Phrase | str], int]:
        """Phrases that have tokens and are short enough, and between them the rest; letters of words without tokens.

        Long numbers and those in `lost` are in none; `core` begins a sentence or does not.
        """
        plain = self._plain(core)
        parts: list[Phrase | str] = []
        unknown = 0
        for kind, run in self._runs(core, plain, lost):
            if kind == "words" and any(map(str.isalpha, run)):
                first = begins and not parts
                spelt = self._spelt(run, casing, plain, begins=first)
                phrases, unspelt = self._phrases(spelt, casing)
                parts += phrases
                unknown += unspelt
            else:
                parts.append(run)
                unknown += sum(map(str.isalpha, run)) if kind == "unknown" else 0
        return parts, unknown

    def _phrases(self, text: str, casing: Casing) -> tuple[list[Phrase | str], int]:
        """Of a text in signs and case that the model knows, the same."""
        pieces = [_stripped(piece) for piece in self._fitting(text)]
        parts: list[Phrase | str] = []
        unknown = 0
        given = self._whole([inner for _, inner, _ in pieces])
        for (lead, inner, trail), ids in zip(pieces, self._vocabulary.encode(given), strict=True):
            letters = sum(map(str.isalpha, inner))
            if letters and self._fits(ids):
                parts += [lead, Phrase(inner, tuple(ids), casing), trail]
            else:
                parts.append(lead + inner + trail)
                unknown += letters
        return parts, unknown

    def _spelt(self, text: str, casing: Casing, plain: Spelling, *, begins: bool = True) -> str:
        """In signs and case that the model knows."""
        return casing.take(_respelt(text, plain), self._language, self._costs, begins=begins)

    def _whole(self, texts: Sequence[str]) -> list[str]:
        """With a full stop, and a capital where it is known: of less, models trained on sentences make worse."""
        initials = [text[:1].upper() for text in texts]
        whole = []
        for text, initial, cost in zip(texts, initials, self._costs(initials), strict=True):
            if cost < math.inf and len(initial) == 1 and not text[1:2].isupper():
                text = initial + text[1:]
            text = text.rstrip("".join(_CLAUSE_ENDS)) or text
            whole.append(text + "." if text[-1:].isalnum() else text)
        return whole

    def _fits(self, ids: Sequence[int]) -> bool:
        return len(ids) <= self._limit and self._vocabulary.unk not in ids

    def _runs(self, core: str, plain: Spelling, lost: Set[str]) -> Iterator[tuple[Kind, str]]:
        """`core` cut where what the model has tokens for begins and ends."""
        atoms = list(_atoms(core, lost))
        spelt = [_respelt(core[start:end], plain) for _, start, end in atoms]
        kind: Kind = "words"
        begun = 0
        for (literal, start, _), spelling, known in zip(atoms, spelt, self._known(spelt), strict=True):
            if not literal and not spelling:
                continue  # a format character belongs to what it is in
            this: Kind = "literal" if literal else "words" if known else "unknown"
            if this != kind:
                if start > begun:
                    yield kind, core[begun:start]
                kind, begun = this, start
        yield kind, core[begun:]

    def _fitting(self, text: str) -> list[str]:
        """`text` in parts that the model takes, cut behind a clause if there is one, or else behind a word."""
        words = _BEHIND_WORD.split(text)
        encoded = self._encoded(words)
        parts, begun, end, filled, behind = [], 0, 0, 0, 0
        for index, word in enumerate(words):
            size = len(encoded[word]) - 2
            if filled + size > self._limit - _ADDED and index > begun:
                cut = end if end > begun else index
                parts.append("".join(words[begun:cut]))
                filled, begun = (filled - behind if cut == end else 0), cut
            filled += size
            if word.endswith(_CLAUSE_ENDS):
                end, behind = index + 1, filled
        return [*parts, "".join(words[begun:])]

    def _known(self, texts: Sequence[str]) -> list[bool]:
        """Whether there are tokens for all of it, in small letters or as it is."""
        cases = zip(self._costs([text.lower() for text in texts]), self._costs(texts), strict=True)
        return [min(costs) < math.inf for costs in cases]

    def _costs(self, texts: Sequence[str]) -> list[float]:
        """As `Costs` has it: tokens are numbered as they are frequent, and of frequencies Zipf's law is assumed."""
        costs = {
            text: math.inf if self._vocabulary.unk in ids else sum(math.log(1 + each) for each in ids[1:-1])
            for text, ids in self._encoded(texts).items()
        }
        return [costs[text] for text in texts]

    def _encoded(self, texts: Iterable[str]) -> dict[str, list[int]]:
        different = list(dict.fromkeys(texts))
        return dict(zip(different, self._vocabulary.encode(different), strict=True))

    def _plain(self, core: str) -> Spelling:
        """Plainer signs for those of `core`: what Unicode has for those without tokens, none for format characters."""
        strange = [char for char in set(unicodedata.normalize("NFC", core)) if not char.isascii()]
        without = [char for char, cost in zip(strange, self._costs(strange), strict=True) if cost == math.inf]
        plainer = {
            char: "" if unicodedata.category(char) == "Cf" else unicodedata.normalize("NFKC", char) for char in without
        }
        return {**str.maketrans(plainer), **_RESPELT}


def _respelt(text: str, plain: Spelling) -> str:
    return unicodedata.normalize("NFC", text).translate(plain)


def lost_numbers(text: str, translation: str) -> set[str]:
    """Those of two digits or more that a translation lacks; all of the text, if the translation has others besides."""
    numbers = _NUMBER.findall(text)
    if not numbers:
        return set()
    written, came = (
        Counter(each for each in some if len(each) > 1) for some in (numbers, _NUMBER.findall(translation))
    )
    return set(written - came) or (set(numbers) if came != written else set())


def _atoms(core: str, lost: Set[str]) -> Iterator[tuple[bool, int, int]]:
    """Words and signs, whether each is to stay as it is, from where to where."""
    at = 0
    while match := _ATOM.search(core, at):
        start, at = match.span()
        whole = match[0].rstrip(_BEHIND) if match["literal"] or match["number"] else match[0]
        numbers = _NUMBER.findall(whole)
        stays = bool(match["literal"]) or sum(map(len, numbers)) >= _LONG_NUMBER or not lost.isdisjoint(numbers)
        if stays:
            at = start + len(whole)
        yield stays, start, at


def _core(sentence: str) -> tuple[str, str, str]:
    """What is in front of the text in a sentence, such as a list's number; the text; the space behind it."""
    match = _MARKER.match(sentence)
    start = match.end() if match else 0
    _, core, after = _stripped(sentence[start:])
    return sentence[:start], core, after


def _stripped(text: str) -> tuple[str, str, str]:
    """The white space in front, the text, the white space behind."""
    inner = text.strip()
    start = text.index(inner)
    return text[:start], inner, text[start + len(inner) :]
