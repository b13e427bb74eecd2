import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.sentences import WINDOW, sentences

ANY = st.text() | st.text(alphabet="aB.!?\"'«»()… \n\r\t1-" + string.ascii_lowercase[:3])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello there. How are you?", ["Hello there. ", "How are you?"]),
        ("One.\n\n  Two!  \r\nthree", ["One.\n", "\n", "  Two!  \r\n", "three"]),
        ("Mr. Rossi paid $3.50 on Jan. 5th. He left.", ["Mr. Rossi paid $3.50 on Jan. 5th. ", "He left."]),
        ("Wait... What?! Yes.", ["Wait... ", "What?! ", "Yes."]),
        ("See www.example.org. Go", ["See www.example.org. ", "Go"]),
        ("", []),
        (" \n ", [" \n", " "]),
    ],
)
def test_sentences_end_where_a_reader_ends_them(text, expected):
    assert list(sentences(text, "en")) == expected


@given(text=ANY, language=st.sampled_from(["en", "it", "xx"]))
def test_put_together_they_are_the_text(text, language):
    assert "".join(sentences(text, language)) == text


@pytest.mark.parametrize("unit", ["A sentence of its own. ", "word ", "x", "«a. ", "1. a ", "(", "\n", "é😀", '"a. '])
def test_long_texts_are_whole_and_in_short_pieces(unit):
    text = unit * (100_000 // len(unit))
    found = list(sentences(text, "en"))
    assert "".join(found) == text
    assert max(map(len, found)) <= WINDOW


def test_no_sentence_is_cut_where_a_window_ends():
    text = "A sentence of its own. " * 1000
    assert set(sentences(text, "en")) == {"A sentence of its own. "}
    assert all(piece.endswith(" ") for piece in sentences("word " * 10_000, "en"))
