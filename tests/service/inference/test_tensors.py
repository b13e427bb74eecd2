"""JSON numbers and bytes <-> arrays."""

import asyncio

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from service.inference.tensors import DATATYPES, read_bytes, read_numbers, write_bytes, write_numbers

ANY = st.sampled_from(sorted(DATATYPES)).flatmap(
    lambda dtype: arrays.arrays(
        dtype,
        arrays.array_shapes(max_dims=4, max_side=5),
        elements={"allow_nan": False, "allow_infinity": False} if "float" in dtype else None,
    )
)


def numbers(text, dtype="float64", shape=(3,)):
    return asyncio.run(read_numbers(text if isinstance(text, bytes) else text.encode(), dtype, shape))


@given(array=ANY)
def test_what_is_written_is_read(array):
    text = asyncio.run(write_numbers(array))
    np.testing.assert_array_equal(numbers(text, array.dtype.name, array.shape), array, strict=True)
    nested = orjson.dumps(array.tolist())
    np.testing.assert_array_equal(numbers(nested, array.dtype.name, array.shape), array, strict=True)
    raw = asyncio.run(read_bytes(memoryview(write_bytes(array)), array.dtype.name, array.shape))
    np.testing.assert_array_equal(raw, array, strict=True)


@pytest.mark.parametrize("nested", [False, True])
def test_long_lists_are_read_in_slices(nested):
    array = np.random.default_rng(1).normal(size=(300, 7, 11))
    text = orjson.dumps(array.tolist() if nested else array.ravel().tolist(), option=orjson.OPT_INDENT_2)
    np.testing.assert_array_equal(numbers(text, shape=array.shape), array, strict=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1, 2]", r"expected 3 values for shape \[3\], came 2"),
        ("[1, 2, 3, 4]", "came 4"),
        ("[]", "came none between two commas, or none at all"),
        ("[1, 2, 3,]", "expected numbers within FP64"),
        ("[[1], [2], [3]]", "expected a flat list, or one nested as shape"),
        ("[1, [2], 3]", "expected a flat list"),
        ("[1, 2, 3]]", "expected a flat list"),
        ('[1, 2, "3"]', 'expected numbers within FP64, came "3"'),
        ("[1, 2, null]", "came null"),
        ("[1, 2, true]", "came true"),
        ("[1, 2, NaN]", 'came "1, 2, NaN"'),
        ("[1, 2, 1e999]", "expected numbers within FP64"),
        ("[1, 2, {}]", "came {}"),
        ("[1 2, 3]", 'expected numbers within FP64, came "1 2, 3"'),
    ],
)
def test_other_lists_are_refused(text, message):
    with pytest.raises(ValueError, match=message):
        numbers(text)


def test_a_comma_too_many_is_seen_where_a_slice_ends():
    text = "[" + "1.5, " * 20_000
    for end in (",]", "]", ", ]"):
        with pytest.raises(ValueError, match=r"expected numbers|came none between two commas"):
            numbers(text + end, shape=(20_000,))


@pytest.mark.parametrize(
    ("dtype", "text"),
    [
        ("int64", "[1.0]"),
        ("int64", "[true]"),
        ("int64", "[9223372036854775808]"),
        ("int64", "[123456789012345678901234567890]"),
        ("bool", "[1]"),
        ("bool", "[0.0]"),
        ("float32", "[1e39]"),
        ("float32", "[true]"),
    ],
)
def test_numbers_that_a_type_does_not_have_are_refused(dtype, text):
    with pytest.raises(ValueError, match=r"expected (integers|true or false|numbers within FP32)"):
        numbers(text, dtype, (1,))


def test_a_huge_shape_allocates_nothing():
    with pytest.raises(ValueError, match="came 1"):
        numbers("[1]", shape=(2**62, 2**62))
    with pytest.raises(ValueError, match="bytes"):
        asyncio.run(read_bytes(memoryview(b"1"), "bool", (2**62, 2**62)))


@pytest.mark.parametrize("text", ["[]", " [ ] ", "[[[]],[[]]]", "[[[]],\n[[]]]"])
def test_lists_of_nothing(text):
    assert numbers(text, shape=(2, 1, 0)).shape == (2, 1, 0)


@pytest.mark.parametrize("text", ["[1]", "[[]]", "[,]", "[[[],[]]]", "[null]"])
@pytest.mark.parametrize("shape", [(2, 1, 0), (2**62, 0)])
def test_anything_else_is_not_nothing(text, shape):
    with pytest.raises(ValueError, match="expected no values for shape"):
        numbers(text, shape=shape)


def test_bytes_are_read_at_any_address():
    array = np.arange(5.0)
    for shift in range(8):
        raw = memoryview(b"x" * shift + array.tobytes())[shift:]
        read = asyncio.run(read_bytes(raw, "float64", (5,)))
        assert read.flags.aligned
        np.testing.assert_array_equal(read, array)


def test_a_bool_is_a_byte_of_0_or_1():
    with pytest.raises(ValueError, match="expected bytes 0 and 1, came 2"):
        asyncio.run(read_bytes(memoryview(b"\0\1\2"), "bool", (3,)))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_json_does_not_tell_what_is_not_finite(value):
    with pytest.raises(ValueError, match="not finite"):
        asyncio.run(write_numbers(np.array([1.0, value])))
