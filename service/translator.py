"""Texts -> sentences -> a model's phrases -> their translations, put together as the texts were."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from iso639 import Lang
from iso639.exceptions import InvalidLanguageValue

from contract.errors import Fault, FaultyRequest, NotReady, UnknownModel
from contract.quoting import shown
from contract.text import Vocabulary
from contract.translation import TranslateSpec
from service.decoder import Decoder
from service.engine.admission import Passage
from service.engine.repository import LoadedBundle
from service.faults import faults_of
from service.schemas import TranslateRequest
from service.sentences import sentences
from service.settings import Settings
from service.tally import tally
from service.turns import Turns
from service.wording import Ids, Phrase, Worded, Wording, lost_numbers

AUTO = "auto"
_SLICE = 1000
"""Characters made ready in one go."""
_DECODED = 64
_SAMPLES = {
    "en": "The night train is late again.\nPlease wait for me at the station!",
    "it": "Il treno di notte è di nuovo in ritardo.\nAspettami alla stazione, per favore!",
}
_BEAM = 4
"""Hypotheses kept at least, however few are asked for."""


@dataclass(frozen=True, slots=True)
class Translation:
    """`content` is the answer as TranslateResponse describes it; who made it, of how many texts, in how many tokens."""

    content: dict[str, Any]
    model: str
    texts: int
    tokens: int


class Translators:
    """The translators of a repository's bundles."""

    def __init__(self, translators: Iterable["Translator"], settings: Settings) -> None:
        """Of several for the same languages the first is asked, if a request names none.

        Of each name the first is the newest version; the others are asked where a request names their version.
        """
        self._all = list(translators)
        newest: dict[str, Translator] = {}
        for each in self._all:
            newest.setdefault(each.name, each)
        self._newest = list(newest.values())
        self._settings = settings

    def languages(self) -> list[dict[str, Any]]:
        """As GET /languages has them."""
        targets: dict[str, set[str]] = {}
        for each in self._newest:
            targets.setdefault(each.spec.source, set()).add(each.spec.target)
            targets.setdefault(each.spec.target, set())
        return [{"code": code, "name": _name(code), "targets": sorted(targets[code])} for code in sorted(targets)]

    def choose(self, request: TranslateRequest) -> "Translator":
        """The model named; else, of those for the two languages, the first.

        Raises UnknownModel, FaultyRequest if none has these languages, NotReady if there is none at all.
        """
        if not self._newest:
            raise NotReady("no bundle that translates is served; /readyz tells why")
        fitting = self._newest
        if request.model is not None:
            fitting = [each for each in self._newest if each.name == request.model]
            fitting += [each for each in self._all if f"{each.name}:{each.version}" == request.model]
            if not fitting:
                served = ", ".join(f"{each.name}:{each.version}" for each in self._all)
                raise UnknownModel(f"expected one of the models that translate ({served}), came {shown(request.model)}")
        specs = [each.spec for each in fitting]
        fault = _language_fault(request, specs)
        if fault is not None:
            raise FaultyRequest([fault])
        chosen = next(each for each in fitting if _has(each.spec, request.source, request.target))
        tally().chose(chosen.name, chosen.version)
        return chosen

    async def faults(self, request: TranslateRequest) -> list[Fault]:
        """What is wrong with the content of a request, as far as its model can be told."""
        faults = _text_faults(request, self._settings)

        async def check() -> None:
            translator = self.choose(request)
            if not faults:
                await translator.prepare(request, self._settings.max_attention_values)

        return faults + await faults_of(check)

    async def translate(self, request: TranslateRequest, passage: Passage) -> Translation:
        """Raises as `choose` does, QueueFull, and FaultyRequest with every fault."""
        if _text_faults(request, self._settings):
            raise FaultyRequest(await self.faults(request))
        return await self.choose(request).translate(request, passage, self._settings.max_attention_values)


class Translator:
    """Serves one bundle that translates."""

    def __init__(
        self,
        name: str,
        version: int,
        spec: TranslateSpec,
        vocabularies: tuple[Vocabulary, Vocabulary],
        decoder: Decoder,
    ) -> None:
        self.name, self.version, self.spec = name, version, spec
        self._source, self._target = vocabularies
        self._wording = Wording(self._source, spec.source, spec.max_len)
        self.decoder = decoder

    async def prepare(self, request: TranslateRequest, max_maps: int) -> list[list[Worded]]:
        """Each text's sentences.

        Raises FaultyRequest for texts of which most letters have no tokens, and for maps of more than `max_maps`
        weights even if all translations were empty.
        """
        turns = Turns()
        split: list[list[str]] = []
        for text in request.texts:
            split.append([])
            for sentence in sentences(text, self.spec.source):
                split[-1].append(sentence)
                await turns.pause()
        worded: dict[str, Worded] = {}
        for some in _slices(dict.fromkeys(sentence for text in split for sentence in text)):
            worded |= zip(some, self._wording.word(some), strict=True)
            await turns.pause()
        prepared = [[worded[sentence] for sentence in text] for text in split]
        faults = []
        for index, text in enumerate(prepared):
            letters, unknown = sum(each.letters for each in text), sum(each.unknown for each in text)
            if 2 * unknown > letters:
                message = f"expected text in {_name(self.spec.source)}, came {unknown} of {letters} letters in words"
                faults.append(Fault(request.pointer(index), f"{message} that {self.name} cannot spell"))
        if request.attention:
            times = Counter(phrase.ids for text in prepared for phrase in _phrases(text))
            faults += self._map_faults(times, dict.fromkeys(times, ()), max_maps, "at least ")
        if faults:
            raise FaultyRequest(faults)
        return prepared

    def _map_faults(
        self, times: Mapping[Ids, int], best: Mapping[Ids, Sequence[int]], most: int, about: str = ""
    ) -> list[Fault]:
        """Why maps of these translations, each told so many `times`, are not to be had."""
        if not self.decoder.map_weights(1, 1):
            return [Fault("/attention", f"expected false, since {self.name} has no maps to show")]
        size = sum(
            count * self.decoder.map_weights(len(source), 1 + len(best[source])) for source, count in times.items()
        )
        if size <= most:
            return []
        message = f"expected texts whose maps have up to {most} weights, came {about}{size}; send fewer at a time"
        return [Fault("/attention", message)]

    async def translate(self, request: TranslateRequest, passage: Passage, max_maps: int) -> Translation:
        """Raises QueueFull, and FaultyRequest with every fault; one at /attention beyond `max_maps` weights of maps."""
        passage.enter(self.name, len(request.texts))
        prepared = await self.prepare(request, max_maps)
        passes = 1 + sum((request.alternatives > 0, request.scores, request.attention))
        passage.expect(passes * len({phrase.ids for text in prepared for phrase in _phrases(text)}))
        best: dict[Ids, list[int]] = {}
        said: dict[Ids, str] = {}
        # a second time for what is left of phrases whose numbers came back as others
        while new := list(
            dict.fromkeys(phrase.ids for text in prepared for phrase in _phrases(text) if phrase.ids not in said)
        ):
            found = await self.decoder.greedy(new, passage)
            best |= zip(new, found, strict=True)
            said |= zip(new, await self._decoded(found), strict=True)
            prepared = await self._mended(prepared, said)
        times = Counter(phrase.ids for text in prepared for phrase in _phrases(text))
        if request.attention and (faults := self._map_faults(times, best, max_maps)):
            raise FaultyRequest(faults)
        translated = await self._put_together(prepared, said)
        answers: dict[str, Sequence[Any]] = {"translatedText": translated}
        if request.source == AUTO:
            # LibreTranslate's answer where it cannot tell: nothing was detected, there was but one possibility
            answers["detectedLanguage"] = [{"confidence": 0.0, "language": self.spec.source}] * len(translated)
        if request.alternatives:
            answers["alternatives"] = await self._alternatives(
                request.alternatives, prepared, translated, said, passage
            )
        if request.scores:
            scores = await self._scores({ids: best[ids] for ids in times}, passage)
            answers["scores"] = [[scores[phrase.ids] for phrase in _phrases(text)] for text in prepared]
        if request.attention:
            maps = await self._maps({ids: best[ids] for ids in times}, passage)
            answers["attention"] = [[maps[phrase.ids] for phrase in _phrases(text)] for text in prepared]
        single = isinstance(request.q, str)
        content = {name: each[0] if single else each for name, each in answers.items()}
        return Translation(content, self.name, len(translated), sum(map(len, best.values())))

    async def _mended(self, prepared: Sequence[Sequence[Worded]], said: Mapping[Ids, str]) -> list[list[Worded]]:
        mended: list[list[Worded]] = []
        turns = Turns()
        for text in prepared:
            mended.append([])
            for each in text:
                mended[-1].append(self._wording.mended(each, said))
                await turns.pause()
        return mended

    async def _put_together(self, prepared: Sequence[Sequence[Worded]], translations: Mapping[Ids, str]) -> list[str]:
        """The texts, each phrase with its translation in its place."""
        texts, turns = [], Turns()
        for text in prepared:
            parts: list[str] = []
            for each in text:
                parts += [part if isinstance(part, str) else part.answer(translations[part.ids]) for part in each.parts]
                await turns.pause()
            texts.append("".join(parts))
        return texts

    async def _alternatives(
        self,
        wanted: int,
        prepared: Sequence[Sequence[Worded]],
        translated: Sequence[str],
        said: Mapping[Ids, str],
        passage: Passage,
    ) -> list[list[str]]:
        """Up to `wanted` others of each text: each phrase in its next best translation, or its best if none is left."""
        n_best = wanted + 1  # since one of them is usually the translation itself
        sources = list(dict.fromkeys(phrase.ids for text in prepared for phrase in _phrases(text)))
        found = await self.decoder.beam(sources, passage, n_best=n_best, beam_size=max(_BEAM, n_best))
        others: list[list[str]] = [[] for _ in translated]
        for rank in range(n_best):
            ranked = await self._decoded([each[rank if rank < len(each) else 0].ids for each in found])
            kept = {
                ids: said[ids] if lost_numbers(self._source.decode([ids])[0], text) else text
                for ids, text in zip(sources, ranked, strict=True)
            }
            texts = await self._put_together(prepared, kept)
            for text, first, other in zip(texts, translated, others, strict=True):
                if text != first and text not in other and len(other) < wanted:
                    other.append(text)
        return others

    async def _scores(self, best: Mapping[Ids, Sequence[int]], passage: Passage) -> dict[Ids, dict[str, Any]]:
        """Log-probabilities of each translation's tokens, eos included, each given those before it."""
        told = {}
        for source, target in best.items():
            scores = [round(float(each), 4) for each in await self.decoder.score(source, target, passage)]
            tokens = self._target.tokens([*target, self._target.eos])
            told[source] = {"tokens": tokens, "log_probs": scores, "total": round(sum(scores), 4)}
        return told

    async def _maps(self, best: Mapping[Ids, Sequence[int]], passage: Passage) -> dict[Ids, dict[str, Any]]:
        """Maps by layer and head of each translation."""
        told = {}
        for source, target in best.items():
            maps = await self.decoder.maps(source, target, passage)
            tokens = {
                "source": self._source.tokens(source),
                "target": self._target.tokens([self._target.bos, *target]),
            }
            told[source] = tokens | {kind: np.round(each, 4) for kind, each in maps.items()}
        return told

    async def _decoded(self, found: Sequence[Sequence[int]]) -> list[str]:
        texts: list[str] = []
        turns = Turns()
        for start in range(0, len(found), _DECODED):
            texts += self._target.decode(found[start : start + _DECODED])
            await turns.pause()
        return texts


def _name(code: str) -> str:
    """Of a language, in English."""
    try:
        return str(Lang(code).name)
    except InvalidLanguageValue:
        return code


def sample_request(loaded: LoadedBundle) -> dict[str, Any]:
    """A body for POST /translate: a text of ours, or where the model cannot spell it, words of its vocabulary."""
    spec = loaded.manifest.translate_spec
    assert loaded.vocabularies is not None  # noqa: S101 a bundle that translates has them
    vocabulary, _ = loaded.vocabularies
    text = _SAMPLES.get(spec.source, "")
    if not text or vocabulary.unk in vocabulary.encode([text])[0]:
        (text,) = vocabulary.decode(loaded.golden["source"][:1].tolist())
    return {"model": loaded.manifest.name, "q": text, "source": spec.source, "target": spec.target}


def _phrases(text: Sequence[Worded]) -> Iterator[Phrase]:
    return (part for each in text for part in each.parts if isinstance(part, Phrase))


def _slices(texts: Iterable[str]) -> Iterator[list[str]]:
    """In groups of about _SLICE characters."""
    some: list[str] = []
    size = 0
    for text in texts:
        some.append(text)
        size += len(text)
        if size > _SLICE:
            yield some
            some, size = [], 0
    if some:
        yield some


def _has(spec: TranslateSpec, source: str, target: str) -> bool:
    return source in (spec.source, AUTO) and spec.target == target


def _language_fault(request: TranslateRequest, specs: Sequence[TranslateSpec]) -> Fault | None:
    """Why none of these has the languages asked for, or which of them has cannot be told."""
    sources = {spec.source for spec in specs if _has(spec, request.source, request.target)}
    if len(sources) == 1:
        return None
    pairs = ", ".join(sorted({f"{spec.source} to {spec.target}" for spec in specs}))
    if sources:
        return Fault("/source", f"expected a language, since none is detected here; served are {pairs}")
    place = "source" if request.source not in {AUTO, *(spec.source for spec in specs)} else "target"
    return Fault(f"/{place}", f"{shown(getattr(request, place))} is not supported; served are {pairs}")


def _text_faults(request: TranslateRequest, settings: Settings) -> list[Fault]:
    """What is wrong with `q`."""
    texts = request.texts
    if not isinstance(request.q, str | list):
        return [Fault("/q", f"expected a text, or an array of texts, came {shown(request.q)}")]
    if len(texts) > settings.max_texts:
        return [Fault("/q", f"expected up to {settings.max_texts} texts, came {len(texts)}")]
    faults = [
        Fault(request.pointer(index), f"expected a text, came {shown(text)}")
        for index, text in enumerate(texts)
        if not isinstance(text, str)
    ]
    size = sum(len(text) for text in texts if isinstance(text, str)) * (1 + request.alternatives)
    if size > settings.max_chars:
        counted = " counted once more for each alternative," if request.alternatives else ""
        faults.append(Fault("/q", f"expected up to {settings.max_chars} characters,{counted} came {size}"))
    return faults
