import numpy as np
import pytest

from contract.generation import GenerateSpec
from model.ngrams import NGrams
from model.words import WordsConfig, read_words, split_words

SPEC = GenerateSpec("ab", 8, 12)
WORDS = [SPEC.encode(word) for word in ("ab", "ab", "aab", "b")]


def test_bigrams_are_counted():
    counts = NGrams.fit(WORDS, 2, SPEC.size).counts
    assert counts[(0,)].tolist() == [0, 3, 1]
    assert counts[(1,)].tolist() == [0, 1, 3]
    assert counts[(2,)].tolist() == [4, 0, 0]
    assert counts[()].tolist() == [4, 4, 4]


def test_a_shorter_context_fills_in_for_a_longer():
    ngrams = NGrams.fit(WORDS, 2, SPEC.size)
    # behind an a: 4 times, 2 kinds; of all 12 the 3 kinds are alike, and so is what those are mixed with
    expected = (np.array([0, 1, 3]) + 2 * np.full(3, 1 / 3)) / 6
    loss = ngrams.mean_loss([SPEC.encode("a")])
    behind_start = (np.array([0, 3, 1]) + 2 * np.full(3, 1 / 3)) / 6
    assert loss == pytest.approx(-(np.log(behind_start[1]) + np.log(expected[0])) / 2)


def test_longer_contexts_tell_more_of_what_was_seen():
    losses = [NGrams.fit(WORDS, order, SPEC.size).mean_loss(WORDS) for order in (1, 2, 3, 4)]
    assert losses == sorted(losses, reverse=True)


def test_an_unknown_context_is_no_fault():
    unseen = [SPEC.encode("bbbbaaaa")]
    assert np.isfinite(NGrams.fit(WORDS, 4, SPEC.size).mean_loss(unseen))


def test_names_bigrams(shared):
    """makemore's notebook has 2.454 for its training words, with each count raised by 1."""
    path = shared / "data" / "names.txt"
    if not path.exists():
        pytest.skip("names.txt is not beside this checkout")
    split = split_words(read_words(path)[0], WordsConfig())
    spec = GenerateSpec("abcdefghijklmnopqrstuvwxyz", 8, 30)
    train, val = ([spec.encode(word) for word in split[name]] for name in ("train", "val"))
    assert NGrams.fit(train, 2, spec.size).mean_loss(val) == pytest.approx(2.453, abs=1e-3)
