import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.decoding import (
    REPEATS,
    Beam,
    allowed_repeats,
    padded,
    repeats,
    repeats_endlessly,
    score,
    search,
    stripped,
)

BOS, EOS = 0, 1


class Model:
    """A tiny made-up model: the next token hangs on the sentence, the token before and the one before that.

    It is fed as a step graph is; memory and state are rows' own, so that rows mixed up would show.
    """

    def __init__(self, seed, sentences, size):
        scores = np.random.default_rng(seed).normal(0, 2, (sentences, size, size, size))
        scores[..., BOS] = -30  # no model says it
        self.table = scores - np.log(np.exp(scores).sum(-1, keepdims=True))
        self.rows = []

    def encoded(self, sentences):
        return {"which": np.array(sentences), "before": np.zeros(len(sentences), np.int64)}

    def step(self, tensors):
        self.rows.append(len(tensors["token"]))
        log_probs = self.table[tensors["which"], tensors["before"], tensors["token"]]
        return {"log_probs": log_probs.astype(np.float32), "next_before": tensors["token"]}

    def score(self, sentence, ids):
        """Log probability of the tokens behind bos."""
        path = [BOS, BOS, *ids]
        return sum(self.table[sentence, a, b, c] for a, b, c in zip(path, path[1:], path[2:], strict=False))

    def search(self, beam, caps, sentences=None, sources=None):
        sentences = range(len(caps)) if sentences is None else sentences
        sources = sources or [[9]] * len(caps)
        return search(self.encoded(sentences), self.step, sources, caps, BOS, EOS, beam)


def every(model, sentence, cap, beam, size):
    """All translations that come to an end within the cap, best first, as (ids, score)."""
    found = [
        (ids, model.score(sentence, [*ids, EOS]) / beam.divisor(length + 1))
        for length in range(cap - 1)
        for ids in itertools.product(range(EOS + 1, size), repeat=length)
        if repeats(ids, REPEATS) <= REPEATS
    ]
    return sorted(found, key=lambda each: -each[1])


@given(st.integers(0, 10**6), st.integers(3, 5), st.floats(0, 2), st.lists(st.integers(3, 5), min_size=1, max_size=3))
def test_a_beam_of_every_prefix_finds_the_best_of_all(seed, size, penalty, caps):
    model = Model(seed, len(caps), size)
    beam = Beam(size=(size - 1) ** (max(caps) - 1), n_best=2, length_penalty=penalty)
    for sentence, (cap, came) in enumerate(zip(caps, model.search(beam, caps), strict=True)):
        expected = every(model, sentence, cap, beam, size)[:2]
        ended = [each for each in came if len(each.ids) < cap - 1]
        np.testing.assert_allclose([each.score for each in ended], [score for _, score in expected][: len(ended)])
        assert [each.ids for each in ended] == [ids for ids, _ in expected][: len(ended)]
        assert len(ended) == len(expected)


@given(st.integers(0, 10**6), st.integers(3, 30), st.lists(st.integers(2, 12), min_size=1, max_size=6))
def test_one_beam_is_greedy(seed, size, caps):
    model = Model(seed, len(caps), size)
    for sentence, (cap, (came,)) in enumerate(zip(caps, model.search(Beam(), caps), strict=True)):
        ids = [BOS, BOS]
        while len(ids) - 1 < cap:
            log_probs = model.table[sentence, ids[-2], ids[-1]].astype(np.float32).copy()
            for token in range(size):
                if repeats([*ids[1:], token], REPEATS) > REPEATS:
                    log_probs[token] = -np.inf
            ids.append(int(log_probs.argmax()))
            if ids[-1] == EOS:
                break
        assert list(came.ids) == [each for each in ids[2:] if each != EOS]


@given(st.integers(0, 10**6), st.integers(1, 4), st.lists(st.integers(2, 9), min_size=2, max_size=6))
def test_a_sentence_alone_and_in_a_batch(seed, size, caps):
    model = Model(seed, len(caps), 7)
    beam = Beam(size=size, n_best=size)
    together = model.search(beam, caps)
    for sentence, cap in enumerate(caps):
        assert model.search(beam, [cap], [sentence]) == [together[sentence]]


@given(st.integers(0, 10**6), st.integers(1, 5))
def test_a_score_is_that_of_its_own_tokens_and_the_best_comes_first(seed, size):
    model, beam = Model(seed, 1, 9), Beam(size=size, n_best=size)
    (came,) = model.search(beam, [8])
    assert 1 <= len(came) <= size
    assert len({each.ids for each in came}) == len(came)
    ended = [each for each in came if len(each.ids) < 7]
    assert [each.score for each in ended] == sorted((each.score for each in ended), reverse=True)
    for each in came:
        whole = [*each.ids, EOS] if each in ended else each.ids
        assert each.score == pytest.approx(model.score(0, whole) / beam.divisor(len(whole)), rel=1e-5)


def test_the_score_of_a_translation_s_tokens():
    model = Model(4, 3, 6)
    came = score(model.encoded([2]), model.step, [BOS, 3, 5, EOS])
    np.testing.assert_allclose(
        came, [model.table[2, BOS, BOS, 3], model.table[2, BOS, 3, 5], model.table[2, 3, 5, EOS]], 1e-6
    )


def test_rows_that_are_done_leave_the_batch():
    model = Model(1, 4, 5)
    model.table[..., EOS] = -50  # none ends before its cap
    model.search(Beam(size=2), [2, 4, 6, 9])
    assert model.rows == [4, 6, 6, 4, 4, 2, 2, 2]


def test_a_wider_beam_finds_what_greedy_misses():
    table = np.full((1, 4, 4, 4), -9.0)
    table[0, BOS, BOS] = -9, -9, np.log(0.6), np.log(0.4)
    table[0, :, 2] = -9, np.log(0.3), np.log(0.4), np.log(0.3)
    table[0, :, 3, EOS] = np.log(0.95)
    model = Model(0, 1, 4)
    model.table = table
    assert model.search(Beam(length_penalty=0), [5])[0][0].ids != (3,)
    assert model.search(Beam(size=2, length_penalty=0), [5])[0][0].ids == (3,)


def test_the_length_penalty_is_that_of_the_paper():
    assert Beam().divisor(1) == 1
    assert Beam(length_penalty=1).divisor(7) == 2
    assert Beam(length_penalty=0).divisor(50) == 1


@pytest.mark.parametrize(("size", "n_best", "penalty"), [(0, 0, 1), (2, 3, 1), (2, 0, 1), (2, 1, -1)])
def test_refuses_a_beam_that_cannot_be(size, n_best, penalty):
    with pytest.raises(ValueError, match="expected 1 <= n_best <= size"):
        Beam(size, n_best, penalty)


def counted(ids):
    """The same as `repeats`, one run and one start after the other."""
    most = 1
    for start, period in itertools.product(range(len(ids)), range(1, len(ids))):
        run, times = ids[start : start + period], 1
        while len(run) == period and ids[start + times * period : start + (times + 1) * period] == run:
            times += 1
        most = max(most, times)
    return most


@given(st.lists(st.integers(0, 2), min_size=1, max_size=14))
def test_repeats_are_counted(ids):
    assert repeats(ids) == counted(ids)
    for enough in (2, 3):
        assert max(repeats(ids, enough), enough) == max(counted(ids), enough)


def test_nothing_repeats_in_nothing():
    assert repeats([]) == 0


@given(st.integers(0, 10**6), st.integers(1, 3), st.lists(st.integers(0, 3), min_size=1, max_size=8))
def test_no_run_comes_more_often_than_allowed(seed, size, source):
    model = Model(seed, 1, 4)
    model.table[..., EOS] = -50  # it would never end
    for each in model.search(Beam(size=size), [25], sources=[source])[0]:
        assert counted(list(each.ids)) <= allowed_repeats(source)
        assert not repeats_endlessly(source, each.ids)


def test_a_source_that_repeats_may_be_repeated():
    assert not repeats_endlessly([5] * 6, [7] * 6)
    assert repeats_endlessly([5] * 6, [7] * 7)
    assert repeats_endlessly([5, 6], [7, 8] * 4)
    assert not repeats_endlessly([5, 6], [7, 8] * 3)


def test_padding_and_back():
    rows = [[0, 5, 1], [0, 5, 6, 7, 1]]
    assert padded(rows, 9).tolist() == [[0, 5, 1, 9, 9], [0, 5, 6, 7, 1]]
    assert stripped(padded(rows, 9), {0, 1, 9}) == [[5], [5, 6, 7]]
