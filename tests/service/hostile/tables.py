"""Tables that are nearly right, in CSV and in Arrow."""

import csv
import io
from decimal import Decimal

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

from tests.service.hostile.texts import STAMPS, TEXTS, garbled

CSV_TOKENS = [
    *(
        b",",
        b'"',
        b"\n",
        b"\r",
        b"\r\n",
        b"\x00",
        b";",
        b"\t",
        b"\xef\xbb\xbf",
        b"\xff",
        b"\xff\xfe",
        b'""',
        b'"6"7',
        b"'",
        b"\\",
        b"#",
    ),
    *(
        b"\n" * 5000,
        b"," * 5000,
        b'"' * 5001,
        b"NA",
        b"nan",
        b"inf",
        b"-",
        b"1e400",
        b"1,234.5",
        b"0x1p3",
        b"9" * 5000,
        b"1." + b"3" * 5000,
    ),
    *("\u2028", "\u0662", "\u2212", "\u00a0", "\x85", "\x1a"),
]
CSV_TOKENS = [each.encode() if isinstance(each, str) else each for each in CSV_TOKENS]
CELLS = [
    *TEXTS,
    *STAMPS,
    *(
        "NaN",
        "N/A",
        "#N/A",
        "none",
        "None",
        "nan",
        "inf",
        "-inf",
        "Infinity",
        "1e400",
        "1e-400",
        "True",
        "1_000",
        "0x1F",
        "1,5",
        "1 000",
    ),
    *(
        "1541289600",
        "1541289600000",
        "1541289600.5",
        "1541289600000000000",
        "-1",
        "0",
        "+1",
        "1.",
        ".5",
        "1e3",
        "9" * 400,
        "\u0663",
        "=1+1",
    ),
]


@st.composite
def csv_tables(draw, sound):
    """`sound` is rows of texts, the header first."""
    rows = [list(row) for row in sound]
    for _ in range(draw(st.integers(0, 4))):
        row = draw(st.integers(0, len(rows) - 1))
        column = draw(st.integers(0, max(0, len(rows[row]) - 1)))
        match draw(st.sampled_from(["cell", "cell", "column", "shorter", "longer", "again", "swap", "drop", "blank"])):
            case "cell" if rows[row]:
                rows[row][column] = draw(st.sampled_from(CELLS) | st.text(max_size=10) | st.floats().map(str))
            case "column":
                cell = draw(st.sampled_from(CELLS))
                for each in rows[1:]:
                    each[column : column + 1] = [cell]
            case "shorter":
                del rows[row][column:]
            case "longer":
                rows[row].extend(draw(st.sampled_from([[""], ["1"] * 3, [""] * 20_000])))
            case "again":
                rows.extend(rows[1:] * draw(st.sampled_from([1, 3, 20])) if len(rows) < 300 else [])
            case "swap":
                other = draw(st.integers(0, len(rows) - 1))
                rows[row], rows[other] = rows[other], rows[row]
            case "drop" if len(rows) > 1:
                del rows[row]
            case "blank":
                rows[row:row] = [[] for _ in range(draw(st.sampled_from([1, 10_000])))]
    text = io.StringIO()
    quoting = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
    separator, end = (
        draw(st.sampled_from([*[","] * 6, ";", "\t", "|"])),
        draw(st.sampled_from(["\n", "\n", "\r\n", "\r"])),
    )
    csv.writer(text, quoting=quoting, delimiter=separator, lineterminator=end).writerows(rows)
    encoding = draw(st.sampled_from([*["utf-8"] * 8, "utf-8-sig", "utf-16", "latin-1"]))
    content = text.getvalue().encode(encoding, "replace" if encoding == "latin-1" else "surrogatepass")
    return draw(garbled(content, CSV_TOKENS)) if draw(st.integers(0, 3)) == 0 else content


def _times(stamps, unit, zone):
    return pa.array(np.array(stamps, f"M8[{unit}]").astype(np.int64)).cast(pa.timestamp(unit, zone))


TIMES = {
    **{
        f"{unit} {zone}": (lambda stamps, unit=unit, zone=zone: _times(stamps, unit, zone))
        for unit in ("s", "ms", "us", "ns")
        for zone in (None, "UTC", "Europe/Rome", "+05:30", "nowhere")
    },
    "date32": lambda stamps: pa.array(np.array(stamps, "M8[D]")),
    "texts": pa.array,
    "entries": lambda stamps: pa.array(stamps).dictionary_encode(),
    "views": lambda stamps: pa.array(stamps, pa.string_view()),
    "large": lambda stamps: pa.array(stamps, pa.large_string()),
    "epoch": lambda stamps: pa.array(np.array(stamps, "M8[s]").astype(np.int64)),
    "doubles": lambda stamps: pa.array(np.array(stamps, "M8[s]").astype(np.int64) / 7),
    "nulls": lambda stamps: pa.nulls(len(stamps)),
    "bytes": lambda stamps: pa.array([stamp.encode() for stamp in stamps]),
    "time": lambda stamps: pa.array(range(len(stamps)), pa.time32("s")),
    "runs": lambda stamps: pa.array(stamps).dictionary_encode(),
}
NUMBERS = {
    "doubles": pa.array,
    "floats": lambda column: pa.array(np.array(column, "f4")),
    "halves": lambda column: pa.array(np.array(column, "f2")),
    "bytes": lambda column: pa.array(np.array(column).astype("i1")),
    "unsigned": lambda column: pa.array(np.abs(np.array(column)).astype("u8")),
    "decimals": lambda column: pa.array([Decimal(repr(each)).quantize(Decimal("0.001")) for each in column]),
    "entries": lambda column: pa.array(column).dictionary_encode(),
    "bools": lambda column: pa.array(np.array(column) > 0),
    "texts": lambda column: pa.array(list(map(str, column))),
    "lists": lambda column: pa.array([[each] for each in column]),
    "structs": lambda column: pa.array([{"a": each} for each in column]),
    "some nulls": lambda column: pa.array([None, *column[1:]]),
    "nulls": lambda column: pa.nulls(len(column)),
    "nan": lambda column: pa.array([float("nan"), float("inf"), *column[2:]]),
    "runs": lambda column: pa.RunEndEncodedArray.from_arrays([len(column)], [1.5]),
}
_ARROW_TOKENS = [
    b"\xff\xff\xff\xff",
    b"\x00" * 8,
    b"\xff" * 8,
    b"\x7f" + b"\xff" * 7,
    (2**40).to_bytes(8, "little"),
    (2**31 - 1).to_bytes(4, "little"),
]


@st.composite
def arrow_tables(draw, stamps, columns):
    """Streams of all sorts of types, whole and with bytes changed."""
    usual = draw(st.booleans())
    time = pa.array(np.array(stamps, "M8[ms]")) if usual else TIMES[draw(st.sampled_from(sorted(TIMES)))](stamps)
    arrays = {"time": time}
    for name, column in columns.items():
        kind = "doubles" if draw(st.booleans()) else draw(st.sampled_from(sorted(NUMBERS)))
        arrays[name] = NUMBERS[kind](column)
    if draw(st.integers(0, 3)) == 0:
        arrays[draw(st.sampled_from([*columns, *TEXTS[:3], "id"]))] = pa.array(
            draw(st.sampled_from(TEXTS[3:4])) for _ in stamps
        )
    if draw(st.integers(0, 3)) == 0:
        del arrays[draw(st.sampled_from(sorted(arrays)))]
    table = pa.Table.from_arrays(list(arrays.values()), list(arrays))
    if draw(st.integers(0, 3)) == 0:
        table = table.replace_schema_metadata({b"pandas": draw(st.sampled_from([b"", b"{}", b"\xff", b"[" * 1000]))})
    options = pa.ipc.IpcWriteOptions(
        compression=draw(st.sampled_from([None, "lz4", "zstd"])),
        metadata_version=draw(st.sampled_from([pa.ipc.MetadataVersion.V5, pa.ipc.MetadataVersion.V4])),
    )
    sink = pa.BufferOutputStream()
    write = draw(st.sampled_from([pa.ipc.new_stream, pa.ipc.new_stream, pa.ipc.new_stream, pa.ipc.new_file]))
    with write(sink, table.schema, options=options) as writer:
        writer.write_table(table, draw(st.sampled_from([None, 1, 7])))
    content = bytes(sink.getvalue())
    return draw(garbled(content, _ARROW_TOKENS)) if draw(st.integers(0, 2)) == 0 else content
