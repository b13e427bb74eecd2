import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.attention import AttentionSpec, Axis


@given(st.integers(0, 50), st.integers(1, 200), st.integers(1, 20))
def test_every_step_is_one_position_s(start, steps, stride):
    axis = Axis(start, start + steps, stride)
    spans = zip(axis.first_steps(), axis.last_steps(), strict=True)
    covered = [step for first, last in spans for step in range(first, last + 1)]
    assert covered == list(range(start, start + steps))
    assert len(axis) == len(axis.first_steps())


def test_distilled_steps_by_hand():
    axis = Axis(0, 7, 2)
    assert axis.first_steps().tolist() == [0, 2, 4, 6]
    assert axis.last_steps().tolist() == [1, 3, 5, 6]
    np.testing.assert_array_equal(Axis(2, 5, 1).first_steps(), Axis(2, 5, 1).last_steps())


@pytest.mark.parametrize(("start", "stop", "stride"), [(-1, 3, 1), (3, 3, 1), (4, 3, 1), (0, 3, 0), (0, 3, -2)])
def test_refuses_an_axis_of_nothing(start, stop, stride):
    with pytest.raises(ValueError, match=rf"expected 0 <= start < stop .*, came {start}, {stop}, {stride}$"):
        Axis(start, stop, stride)


def test_refuses_no_heads_and_no_layer():
    with pytest.raises(ValueError, match="came -1 and 0"):
        AttentionSpec("encoder", -1, 0, Axis(0, 4, 1), Axis(0, 4, 1))
