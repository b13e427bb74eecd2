"""JSON that is nearly right: values swapped, moved, repeated and nested, and texts that no library would write."""

import json
import re

from hypothesis import strategies as st

_RAW = re.compile(r'"@@(\d+)@@"')
_AGAIN = "@@again@@"
"""In front of a key that the text shall have twice."""

LITERALS = [
    *(
        b"NaN",
        b"Infinity",
        b"-Infinity",
        b"-0",
        b"-0.0",
        b"1e400",
        b"-1e400",
        b"1e-400",
        b"5e-324",
        b"1.7976931348623157e308",
    ),
    *(b"9223372036854775807", b"9223372036854775808", b"18446744073709551616", b"-9223372036854775809"),
    *(
        b"1" * 400,
        b"-" + b"9" * 5000,
        b"0." + b"3" * 5000,
        b"1e" + b"9" * 50,
        b"01",
        b"+1",
        b".5",
        b"1.",
        b"0x10",
        b"1_0",
    ),
    *(
        b"",
        b"nul",
        b"undefined",
        b"tru",
        b"'x'",
        b"/**/1",
        b"\xff",
        b"\x00",
        b'"\\ud800"',
        b'"\\udc00\\ud800"',
        b'"\xed\xa0\x80"',
    ),
    *(
        b'"\\u0000"',
        b'"\x00"',
        b'"\n"',
        b'"\\x41"',
        b'"unended',
        b"\xef\xbb\xbf1",
        b"]",
        b"}",
        b",",
        b'"a":1',
        b"{} {}",
    ),
    *(
        b"[" * 100_000,
        b"[" * 100 + b"]" * 100,
        b"[" * 3000 + b"]" * 3000,
        b'{"a":' * 3000 + b"1" + b"}" * 3000,
        b'{"a":' * 200_000,
    ),
    *(
        b"[" + b"1," * 50_000 + b"1]",
        b"[" + b"[]," * 20_000 + b"[]]",
        b'"' + b"x" * 200_000 + b'"',
        b'"' + b"\\u0000" * 20_000 + b'"',
    ),
    b"{" + b",".join(b'"%d":1' % number for number in range(10_000)) + b"}",
]
"""What may stand in the place of any value, as text: much of it is no JSON."""

STAMPS = [
    *("2018-06-22T20:00:00", "2018-06-22", "2018-06-22 20:00", "2018-06-22T20:00:00Z", "2018-06-22T20:00:00+14:00"),
    *(
        "0001-01-01T00:00:00",
        "0001-01-01T00:00+14:00",
        "9999-12-31T23:59:59",
        "9999-12-31T23:59:59-14:00",
        "10000-01-01",
    ),
    *(
        "2018-W25-5",
        "20180622T200000",
        "2018-173",
        "22.06.2018",
        "6/22/2018 8:00 PM",
        "3/4/2018",
        "1 Jan 2018",
        "29.02.2019",
    ),
    *(
        "2018-02-30T00:00:00",
        "2018-13-01T00:00:00",
        "2018-00-01T00:00:00",
        "0000-06-22T00:00:00",
        "2018-06-22T99:99:99",
    ),
    *("2018-06-22T24:00:00", "2018-06-22T20:00:60", "2018-06-22T20:00:00.123456789", "\u0662\u0660\u0661\u0668-06-22"),
]
TEXTS = [
    *(
        "",
        " ",
        "\x00",
        "x" * 300,
        "\ud800",
        "\udfff\ud83d",
        "\U0001f600",
        "e\u0301",
        "\u202e",
        "\u2028",
        "\ufeff",
        "../..",
        "~0~1/",
        "%00",
    ),
    *(
        "h",
        "15min",
        "M",
        "1B",
        "0h",
        "-1h",
        "99999999999999999999h",
        "9" * 400 + "D",
        "error",
        "seasonal",
        "null",
        "NA",
        "-",
        "1,5",
    ),
    *(
        "hourly",
        "hourly:1",
        "hourly:01",
        "hourly:" + "9" * 5000,
        "hourly@forecast",
        "words",
        "syllables",
        "load",
        "en",
        "it",
        "auto",
    ),
]
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(10**400), 10**400),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(STAMPS + TEXTS),
    st.datetimes().map(str),
)
SMALL = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)


@st.composite
def mutated(draw, sound):
    """`sound`, a JSON value, with one to four places that are not as they were; literals are not written yet."""
    root, most = [json.loads(json.dumps(sound))], None
    for _ in range(draw(st.sampled_from([1, 1, 1, 2, 4]))):
        owner, key = draw(_places(root))
        match draw(
            st.sampled_from(
                [
                    "value",
                    "value",
                    "number",
                    "number",
                    "literal",
                    "graft",
                    "remove",
                    "repeat",
                    "wrap",
                    "again",
                    "rename",
                ]
            )
        ):
            case "value":
                owner[key] = draw(SMALL)
            case "number":
                owner[key] = draw(st.integers(-3, 100) | st.floats(-1e9, 1e9))
            case "literal":
                owner[key] = f"@@{draw(st.integers(0, len(LITERALS) - 1))}@@"
            case "graft":
                other, place = draw(_places(root))
                owner[key] = json.loads(json.dumps(other[place]))
            case "remove" if owner is not root:
                del owner[key]
            case "repeat":
                times = draw(st.sampled_from([0, 2, 3, 100, 1000][:most]))
                most = 3  # a thousand times a thousand would take us longer than the service
                repeats = isinstance(owner[key], list | str) and len(owner[key]) <= 500
                owner[key] = owner[key] * times if repeats else [owner[key]] * min(times, 100)
            case "wrap":
                owner[key] = draw(st.sampled_from([[owner[key]], {"": owner[key]}, {"data": owner[key]}]))
            case "again" if isinstance(owner, dict):
                owner[_AGAIN + key] = draw(SMALL)
            case "rename" if isinstance(owner, dict):
                owner[draw(st.sampled_from(TEXTS + list(owner)))] = owner.pop(key)
    return root[0]


@st.composite
def _places(draw, value):
    """An (owner, key) of a JSON value, any depth as likely."""
    owner, key = value, 0
    while True:
        inner = owner[key]
        if not isinstance(inner, dict | list) or not inner or draw(st.booleans()):
            return owner, key
        keys = list(inner) if isinstance(inner, dict) else range(len(inner))
        owner, key = inner, keys[draw(st.integers(0, len(keys) - 1))]


@st.composite
def written(draw, value):
    """The text of what `mutated` gives, in bytes."""
    ascii_only = draw(st.booleans())
    text = json.dumps(
        value,
        ensure_ascii=ascii_only,
        separators=draw(st.sampled_from([(",", ":"), (", ", ": "), (" ,\r\n", "\t:\n")])),
    )
    encoding = draw(st.sampled_from([*["utf-8"] * 12, "utf-8-sig", "utf-16", "utf-32", "latin-1"]))
    content = text.replace(f'"{_AGAIN}', '"').encode(encoding, "surrogatepass" if encoding != "latin-1" else "replace")
    return re.sub(_RAW.pattern.encode(), lambda match: LITERALS[int(match[1])], content)


@st.composite
def garbled(draw, content, tokens):
    """`content` with a few bytes or slices that are not as they were."""
    content = bytearray(content)
    for _ in range(draw(st.sampled_from([1, 1, 2, 4]))):
        start = draw(st.integers(0, len(content)))
        end = min(len(content), start + draw(st.sampled_from([0, 1, 1, 4, 30, 1000])))
        part = bytes(content[start:end])
        match draw(st.sampled_from(["bytes", "token", "token", "remove", "repeat", "cut"])):
            case "bytes":
                content[start:end] = draw(st.binary(max_size=8))
            case "token":
                content[start:start] = draw(st.sampled_from(tokens))
            case "remove":
                del content[start:end]
            case "repeat":
                content[start:start] = part * draw(st.sampled_from([1, 2, 100]))
            case "cut":
                del content[start:]
    return bytes(content)
