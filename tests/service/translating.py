"""A translator without a model: its decoder knows a few words, and says what else it gets in other letters."""

import re
from dataclasses import dataclass
from functools import cache

import numpy as np
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from contract.text import SpecialTokens, Vocabulary
from contract.translation import TranslateSpec
from service.translator import Translator

WORDS = {"hello": "ciao", "good": "buono", "morning": "mattino", "world": "mondo", "the": "il", "cat": "gatto"}
LETTERS = "abcdefghijklmnopqrstuvwxyz"
# the words of all tests, often enough to be tokens; names with capitals alone
SENTENCES = [
    *["Hello world. Good morning, the cat is on the table! Where is the old dog? I am here; we are not."] * 20,
    *["hello world good morning the cat is on the table where is the old dog am here we are not old man and sea"] * 40,
    *["Tom and Mary, Anna in Boston with Tom and Mary."] * 40,
    *[f"{letter} {letter.upper()} {letter}{letter} 0123456789 è é à" for letter in LETTERS] * 2,
    *["it's Tom's \"so\" - ... ; : 10:30 ? !"] * 2,
]


@cache
def vocabulary():
    special = SpecialTokens()
    tokenizer = Tokenizer(models.BPE(unk_token=special.unk, fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Metaspace(),
            pre_tokenizers.Punctuation("isolated"),
            pre_tokenizers.Digits(individual_digits=True),
        ]
    )
    tokenizer.decoder = decoders.Metaspace()
    names = [special.pad, special.unk, special.bos, special.eos]
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=[AddedToken(name, special=True) for name in names], show_progress=False
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    return Vocabulary(tokenizer.to_str().encode(), special)


@dataclass(frozen=True, slots=True)
class Hypothesis:
    ids: list[int]
    score: float


class WordByWord:
    """A decoder. `asked` has the texts of each call, `sources` what came in the last."""

    def __init__(self, vocabulary):
        self.vocabulary = vocabulary
        self.asked = []

    async def greedy(self, sources, passage):
        self.asked.append(self.vocabulary.decode(sources))
        return [ids[1:-1] for ids in self.vocabulary.encode([self._say(text) for text in self.asked[-1]])]

    async def beam(self, sources, passage, *, n_best, beam_size):
        assert beam_size >= n_best
        best = self.vocabulary.decode(await self.greedy(sources, passage))
        ranked = [[rank * "so " + text for rank in range(n_best)] for text in best]
        return [[Hypothesis(ids[1:-1], -1.0) for ids in self.vocabulary.encode(texts)] for texts in ranked]

    def map_weights(self, source_len, target_len):
        return 2 * (source_len**2 + target_len**2 + target_len * source_len)

    async def maps(self, source, target, passage):
        s, t = len(source), len(target) + 1
        return {
            "encoder": np.full((2, 1, s, s), 1 / s, "f4"),
            "decoder": np.tril(np.ones((2, 1, t, t), "f4")) / np.arange(1, t + 1)[:, None],
            "cross": np.full((2, 1, t, s), 1 / s, "f4"),
        }

    async def score(self, source, target, passage):
        return [-0.5] * (len(target) + 1)

    def _say(self, text):
        text = text.replace("1995", "195").replace("3 ", "330 ")  # as models do
        return re.sub(r"[^\W\d_]+", lambda match: self._word(match[0]), text)

    def _word(self, word):
        said = WORDS.get(word.lower(), word)
        return said.capitalize() if word[0].isupper() else said


def translator(name="word-by-word", source="en", target="it", max_len=60):
    words = vocabulary()
    spec = TranslateSpec(source, target, "tokenizer.json", "tokenizer.json", len(words), len(words), max_len)
    return Translator(name, 1, spec, (words, words), WordByWord(words))
