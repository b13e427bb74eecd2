"""POST /v2/models/{name}/infer on graphs of a translator, whose lengths differ from call to call."""

import numpy as np
import pytest

from contract.bundle import read_bundle
from tests.service.conftest import BUNDLES
from tests.service.inferring import array, fault, infer, tensors

TRANSLATORS = BUNDLES.parent / "translators"


@pytest.fixture
def words(serving):
    return serving(TRANSLATORS)


@pytest.fixture(scope="module")
def vectors():
    return read_bundle(TRANSLATORS / "words" / "1").golden()


@pytest.fixture
def step(words, vectors):
    """What the step graph takes, first."""
    return {each["name"]: vectors[each["name"]] for each in words.get("/v2/models/words@step").json()["inputs"]}


def test_rows_of_different_jobs_are_padded_to_one_length(words, vectors):
    source = np.concatenate([vectors["source"]] * 6)
    caps = np.concatenate([vectors["caps"]] * 6)
    caps[::2] = 1
    came = array(infer(words, tensors(source=source, caps=caps), "words"))
    assert came.shape[0] == 12
    for row in range(12):
        alone = tensors(source=source[row : row + 1], caps=caps[row : row + 1])
        expected = array(infer(words, alone, "words"))[0]
        np.testing.assert_array_equal(came[row, : len(expected)], expected)
        assert len(set(came[row, len(expected) :])) <= 1


def test_a_step_begins_with_nothing_to_remember(words, vectors, step):
    np.testing.assert_allclose(array(infer(words, tensors(**step), "words@step")), vectors["log_probs"], rtol=1e-4)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"source": np.array([[10**6], [1]])}, "inputs/0/data: expected numbers from 0 to "),
        ({"source": np.array([[-1], [1]])}, "inputs/0/data: expected numbers from 0 to "),
        ({"source": np.ones((2, 33), np.int64)}, "inputs/0/shape/1: expected a length of at most 32, came 33"),
        ({"source": np.ones((2, 0), np.int64)}, "inputs/0/shape: expected [-1, -1]"),
        ({"caps": np.array([2**62, 1])}, "inputs/1/data: expected numbers from 1 to 32"),
        ({"caps": np.array([0, 1])}, "inputs/1/data: expected numbers from 1 to 32"),
    ],
)
def test_numbers_that_would_fail_or_never_end_are_refused(words, vectors, changed, message):
    request = tensors(**{"source": vectors["source"], "caps": vectors["caps"], **changed})
    assert message in fault(words, request, name="words")


def test_lengths_that_do_not_go_together_are_the_clients_fault(words, step):
    request = tensors(**{**step, "mask": np.ones((2, 3), bool)})
    told = fault(words, request, name="words@step")
    assert told.startswith("inputs: expected tensors that words@step can compute on, but ")
