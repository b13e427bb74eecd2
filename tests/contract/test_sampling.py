import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.generation import END, GenerateSpec, log_likelihoods
from contract.sampling import Sampling, choose, draw_words, uniforms

SPEC = GenerateSpec("abcd", context=2, max_len=6)
RANDOM = np.random.default_rng(0)
TABLE = np.log(RANDOM.dirichlet(np.ones(SPEC.size), SPEC.size)).astype(np.float32)
"""Log probabilities of the next character, by the last one: a model that knows bigrams."""
SEVEN = Sampling(7)


class Bigrams:
    """A WordModel; its state is the number of characters so far."""

    def score(self, words):
        return TABLE[words], [np.full((len(words), 1), words.shape[1])]

    def step(self, token, state):
        return TABLE[token], [state[0] + 1]


def drawn(indices, sampling=SEVEN, prompt=(END,)):
    return draw_words(Bigrams(), SPEC, prompt, indices, sampling)


@settings(max_examples=20)
@given(st.integers(1, 60), st.integers(0, 50), st.integers(0, 2**63 - 1), st.sampled_from([0.3, 1.0, 2.5]))
def test_a_word_depends_on_its_seed_and_index_alone(count, start, seed, temperature):
    sampling = Sampling(seed, temperature)
    together = drawn(range(start, start + count), sampling)
    assert together == [drawn(range(index, index + 1), sampling)[0] for index in range(start, start + count)]
    assert together[: count // 2] == drawn(range(start, start + count // 2), sampling)


def test_other_seeds_draw_other_words():
    assert drawn(range(20), Sampling(1)) != drawn(range(20), Sampling(2))


@pytest.mark.parametrize("seed", [0, 7, 2**63 - 1])
def test_numbers_are_philoxs_keyed_by_seed_and_index(seed):
    expected = [np.random.Generator(np.random.Philox(key=np.array([seed, row], np.uint64))).random(5) for row in (4, 5)]
    np.testing.assert_array_equal(uniforms(seed, range(4, 6), 5), expected)


def test_a_seed_draws_the_same_words_for_ever():
    assert [each.word for each in drawn(range(5))] == ["db", "dcaccc", "acddbb", "adb", "a"]


def test_log_likelihood_is_that_of_every_character_and_the_end():
    for prompt in ([END], SPEC.encode("ca")):
        for each in drawn(range(50), prompt=prompt):
            ids = [*SPEC.encode(each.word), *([END] if each.ended else [])]
            expected = sum(float(TABLE[a, b]) for a, b in itertools.pairwise(ids))
            assert each.log_likelihood == pytest.approx(expected, abs=1e-12)


def test_a_word_drawn_is_scored_to_the_same_bits():
    ended = [each for each in drawn(range(100)) if each.ended]
    scored = log_likelihoods(Bigrams(), [SPEC.encode(each.word) for each in ended])
    assert scored.tolist() == [each.log_likelihood for each in ended]


def test_log_likelihood_is_the_models_whatever_the_temperature():
    words = {each.word: each for each in drawn(range(300))}
    cool = {each.word: each for each in drawn(range(300), Sampling(7, 0.5, 3))}
    common = words.keys() & cool.keys()
    assert len(common) > 3
    assert all(words[word] == cool[word] for word in common)


def test_words_are_cut_at_max_len():
    for prompt in ("", "abcd", "abcda"):
        words = drawn(range(200), prompt=SPEC.encode(prompt))
        assert max(len(each.word) for each in words) == SPEC.max_len
        assert all(each.ended == (len(each.word) < SPEC.max_len) for each in words)


def test_words_begin_with_the_prompt_and_go_on_from_its_last_character():
    first = drawn(range(30), prompt=SPEC.encode("ba"))
    assert all(each.word.startswith("ba") for each in first)
    assert [each.word[2:] for each in first] == [each.word[2:] for each in drawn(range(30), prompt=SPEC.encode("ca"))]
    assert first != drawn(range(30), prompt=SPEC.encode("ab"))


def test_shares_are_those_of_the_probabilities():
    n = 20_000
    log_probs = np.repeat(TABLE[:1], n, axis=0)
    even = (np.arange(n) + 0.5) / n
    shares = np.bincount(choose(log_probs, even, Sampling(0)), minlength=SPEC.size) / n
    np.testing.assert_allclose(shares, np.exp(TABLE[0]), atol=1e-4)
    shares = np.bincount(choose(log_probs, even, Sampling(0, temperature=2.0)), minlength=SPEC.size) / n
    np.testing.assert_allclose(shares, np.sqrt(np.exp(TABLE[0])) / np.sqrt(np.exp(TABLE[0])).sum(), atol=1e-4)


def test_top_k_keeps_the_likeliest():
    n = 1000
    even = (np.arange(n) + 0.5) / n
    for top_k in range(1, SPEC.size + 1):
        found = set(choose(np.repeat(TABLE[:1], n, axis=0), even, Sampling(0, top_k=top_k)).tolist())
        assert found <= set(np.argsort(-TABLE[0])[:top_k].tolist())
    assert found == set(range(SPEC.size))


def test_of_equals_the_first_is_kept():
    equal = np.log(np.full((3, 4), 0.25, np.float32))
    assert choose(equal, np.array([0.0, 0.5, 1 - 2**-53]), Sampling(0, top_k=1)).tolist() == [0, 0, 0]
    assert choose(equal, np.array([0.0, 0.5, 1 - 2**-53]), Sampling(0, top_k=2)).tolist() == [0, 1, 1]


def test_greedy_words_are_all_the_same():
    words = drawn(range(5), Sampling(3, top_k=1))
    assert len(set(words)) == 1


@given(st.floats(0, 1, exclude_max=True), st.floats(0.01, 10), st.integers(0, 2**32))
def test_there_is_always_a_choice(uniform, temperature, seed):
    spread = np.random.default_rng(seed).normal(0, 30, (1, 27)).astype(np.float32)
    (chosen,) = choose(spread, np.array([uniform]), Sampling(0, temperature))
    assert 0 <= chosen < 27


def test_the_impossible_is_never_chosen():
    log_probs = np.array([[-np.inf, 0.0, -np.inf]], np.float32)
    for uniform in (0.0, 0.5, 1 - 2**-53):
        assert choose(log_probs, np.array([uniform]), Sampling(0)).tolist() == [1]
