"""How likely a model finds words that it has not seen, beside counting, and what it makes up itself."""

from dataclasses import dataclass

import numpy as np

from contract.generation import END, WordModel, log_likelihoods
from contract.sampling import Sampling, draw_words
from model.generation import WordsData
from model.ngrams import NGrams

ORDERS = (2, 3, 5)
BATCH = 500
GENERATED = 1000
SAMPLES = 20
SEED = 1


@dataclass(frozen=True, slots=True)
class GenerationEvaluation:
    """`losses` are by model, "model" first: cross-entropy in nats of every next character, end signs included.

    `new_words` are the split's words that training has not, and `new_loss` the model's on them. Of GENERATED words, at
    temperature 1, `distinct` is the share of different ones, and `new` the share that training has not; `samples` are
    some that no split has.
    """

    split: str
    words: int
    losses: dict[str, float]
    new_words: int
    new_loss: float
    distinct: float
    new: float
    samples: tuple[str, ...]


def evaluate_generation(model: WordModel, data: WordsData, split: str = "test") -> GenerationEvaluation:
    """Score every word of `split`, and generate some."""
    spec, known = data.spec, set(data.splits["train"])
    words = data.splits[split]
    encoded = [spec.encode(word) for word in words]
    train = [spec.encode(word) for word in data.splits["train"]]
    batches = [encoded[start : start + BATCH] for start in range(0, len(encoded), BATCH)]
    totals = np.concatenate([log_likelihoods(model, batch) for batch in batches])
    lengths = np.array([len(each) for each in encoded])
    unseen = np.array([word not in known for word in words])
    counting = {f"{order}-grams": NGrams.fit(train, order, spec.size).mean_loss(encoded) for order in ORDERS}
    generated = [each.word for each in draw_words(model, spec, [END], range(GENERATED), Sampling(SEED))]
    in_data = {word for each in data.splits.values() for word in each}
    return GenerationEvaluation(
        split=split,
        words=len(words),
        losses={"model": float(-totals.sum() / lengths.sum()), **counting},
        new_words=int(unseen.sum()),
        new_loss=float(-totals[unseen].sum() / max(1, lengths[unseen].sum())),
        distinct=len(set(generated)) / len(generated),
        new=sum(word not in known for word in generated) / len(generated),
        samples=tuple([word for word in generated if word not in in_data][:SAMPLES]),
    )
