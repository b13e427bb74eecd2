"""How a CSV is written, and where its timestamps are."""

import io

import pandas as pd
import pytest

from contract.errors import FaultyInput
from contract.tables import MISSING, CsvForm, find_times

COMMAS, GERMAN = CsvForm(), CsvForm(";", ",")


@pytest.mark.parametrize(
    ("content", "form"),
    [
        (b"", COMMAS),
        (b"a,b\n1,2\n", COMMAS),
        (b"a\n1;2\n", COMMAS),
        (b"a;b\n1;2\n", CsvForm(";")),
        (b"\xef\xbb\xbf \r\na;b;c\r\n1,5;2;x\r\n", GERMAN),
        (b"a\tb\n1\t-2,25", CsvForm("\t", ",")),
        (b'"when, and where";b;c\n1;"2,5";3\n', GERMAN),
        (b"kW, net;b;c\n1;2.5;3\n", CsvForm(";")),
        (b"a;b\nRome, Italy;1.5\n", CsvForm(";")),
        (b"a,b;c\n1,5,6\n", COMMAS),
        (b'a,b\n"1,5",2\n', COMMAS),
    ],
)
def test_separator_and_decimal_sign_are_told_from_the_table(content, form):
    assert CsvForm.of(content) == form


@pytest.mark.parametrize(
    ("content", "pointer", "message"),
    [
        (b"a,b\n1,2\0\0\n", "", "expected CSV in UTF-8, came a NUL as byte 7, as UTF-16 has"),
        ("a,b\n".encode("utf-16"), "", "expected CSV in UTF-8, came a NUL as byte 3, as UTF-16 has"),
        (b'a,b\n1,2\n\n"6"7,3\n', "/rows/1", "expected CSV: ',' expected after '\"'"),
        (b'a;b\n"6"7;3\n', "/rows/0", "expected CSV: ';' expected after '\"'"),
        (b'"a"b,c\n1,2\n', "", "expected CSV: ',' expected after '\"'"),
        (b'a,b\nx"y"z,"\xff"1\n', "", "expected CSV in UTF-8: "),
    ],
)
def test_what_would_be_read_as_something_else_is_a_fault(content, pointer, message):
    with pytest.raises(FaultyInput) as caught:
        CsvForm.of(content)
    (fault,) = caught.value.faults
    assert fault.pointer == pointer
    assert fault.message.startswith(message)


@pytest.mark.parametrize(
    "row", [b'"a ""quoted"" name",2', b'a "quoted" name,2', b'"a",  "2"', b'"",""', b'"two\nlines",2']
)
def test_other_quotes_are_what_they_are(row):
    assert CsvForm.of(b"a,b\n" + row + b"\n") == COMMAS


def numbers(content, form=None):
    form = form or CsvForm.of(content)
    column = pd.read_csv(io.BytesIO(content), na_values=list(MISSING), **form.options)["a"]
    if pd.api.types.is_numeric_dtype(column):
        return column.tolist()
    return pd.to_numeric(form.readable(column), errors="coerce").tolist()


@pytest.mark.parametrize("cell", [each for each in MISSING if each != ""])
def test_missing_cells_are_no_texts(cell):
    assert numbers(f"b,a\n1,{cell}\n2,3.5\n".encode()) == pytest.approx([float("nan"), 3.5], nan_ok=True)


@pytest.mark.parametrize(
    ("cells", "read"),
    [
        (["1,5", "-0,25", "3", "1e3"], [1.5, -0.25, 3, 1000]),
        (["1,5", "2.5", "3"], [1.5, None, 3]),
        (["1.234,5", "1,5", "x"], [None, 1.5, None]),
    ],
)
def test_a_comma_is_the_decimal_sign_of_all_cells_or_of_none(cells, read):
    came = numbers(("b;a\n" + "".join(f"1;{cell}\n" for cell in cells)).encode())
    assert came == pytest.approx([float("nan") if each is None else each for each in read], nan_ok=True)


def test_numbers_of_more_digits_than_a_double_has_are_none():
    assert numbers(f"a\n{'9' * 400}\nx\n".encode()) == pytest.approx([float("nan")] * 2, nan_ok=True)
    assert numbers(f"a\n{'9' * 30}\n1\n".encode()) == [1e30, 1.0]


STAMPS, WORDS, EPOCHS, HOURS = ["2018-01-01", "2018-01-02"], ["a", "b"], ["1541289600", "1541289601.5"], ["0", "1"]


@pytest.mark.parametrize(
    ("first", "found"),
    [
        ({"load": HOURS, "when": STAMPS, "Date": STAMPS}, "Date"),
        ({"installed": STAMPS, "time": EPOCHS}, "time"),
        ({"site": WORDS, "time": HOURS, "when": STAMPS}, "when"),
        ({"site": WORDS, "when": ["", "31.1.2018 10:00"]}, "when"),
        ({"site": WORDS, "time": HOURS}, "time"),
        ({"time": ["", "NA"], "site": WORDS}, "time"),
        ({"load": HOURS, "site": WORDS}, "site"),
        ({"load": HOURS, "day": ["20180101", "20180102"]}, None),
        ({"a": []}, None),
        ({}, None),
    ],
)
def test_where_timestamps_are(first, found):
    assert find_times(first) == found
