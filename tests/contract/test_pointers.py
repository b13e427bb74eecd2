import pytest

from contract.pointers import escape


@pytest.mark.parametrize(
    ("part", "escaped"), [("OT", "OT"), ("p/q", "p~1q"), ("~1", "~01"), ("a~/b", "a~0~1b"), ("", "")]
)
def test_escapes_what_a_pointer_uses(part, escaped):
    assert escape(part) == escaped
