"""How good translations are, beside the first translation that the data gives."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import jiwer
import sacrebleu

from model.translation import PairsData, first_translations

Translator = Callable[[Sequence[str]], list[str]]

LENGTHS = ((1, 5), (6, 9), (10, 14), (15, None))
"""Words of the source, from and to."""
SAMPLES = 20


@dataclass(frozen=True, slots=True)
class LengthScores:
    """Of the sentences with `words` words, such as "6-9"."""

    words: str
    sentences: int
    bleu: float
    chrf: float


@dataclass(frozen=True, slots=True)
class Sample:
    """A sentence, the translation that the data gives first, and the model's."""

    source: str
    reference: str
    translation: str


@dataclass(frozen=True, slots=True)
class TranslationEvaluation:
    """BLEU (Papineni et al. 2002) and chrF (Popović 2015), from 0 to 100, as sacrebleu computes them and signs.

    One reference a sentence. `cer` and `wer` are edits over the reference's characters and words.
    """

    split: str
    sentences: int
    bleu: float
    chrf: float
    cer: float
    wer: float
    signatures: dict[str, str]
    by_length: tuple[LengthScores, ...]
    samples: tuple[Sample, ...]


def evaluate_translation(translator: Translator, data: PairsData, split: str = "test") -> TranslationEvaluation:
    """Translate every source sentence of `split`, once."""
    pairs = first_translations(data.splits[split])
    sources, references = list(pairs.sources), list(pairs.targets)
    translations = translator(sources)
    bleu, chrf = sacrebleu.BLEU(), sacrebleu.CHRF()
    by_length = []
    for least, most in LENGTHS:
        chosen = [i for i, text in enumerate(sources) if least <= len(text.split()) <= (most or len(text))]
        if chosen:
            ours, theirs = [translations[i] for i in chosen], [[references[i] for i in chosen]]
            label = f"{least}-{most}" if most else f"{least}+"
            by_length.append(
                LengthScores(
                    label, len(chosen), bleu.corpus_score(ours, theirs).score, chrf.corpus_score(ours, theirs).score
                )
            )
    shown = [i * len(sources) // SAMPLES for i in range(SAMPLES)] if len(sources) >= SAMPLES else range(len(sources))
    return TranslationEvaluation(
        split=split,
        sentences=len(sources),
        bleu=bleu.corpus_score(translations, [references]).score,
        chrf=chrf.corpus_score(translations, [references]).score,
        cer=jiwer.cer(references, translations),
        wer=jiwer.wer(references, translations),
        signatures={"BLEU": str(bleu.get_signature()), "chrF": str(chrf.get_signature())},
        by_length=tuple(by_length),
        samples=tuple(Sample(sources[i], references[i], translations[i]) for i in shown),
    )
