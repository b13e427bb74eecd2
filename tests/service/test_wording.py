import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.casing import Casing
from service.wording import Phrase, Wording, lost_numbers
from tests.service.translating import vocabulary

WORDS = vocabulary()


@pytest.fixture(scope="module")
def wording():
    return Wording(WORDS, "en", 60)


def worded(wording, sentence):
    """Its parts, phrases as a tuple with their text."""
    (one,) = wording.word([sentence])
    return [(part.text,) if isinstance(part, Phrase) else part for part in one.parts if part]


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("Hello world. ", [("Hello world.",), " "]),
        ("  - the cat\n", ["  - ", ("the cat",), "\n"]),
        ("1. the cat", ["1. ", ("the cat",)]),
        ("(a) the cat", ["(a) ", ("the cat",)]),
        ("> # the cat", ["> # ", ("the cat",)]),
        ("it’s “so”…", [('it\'s "so"...',)]),
        ("cafe\u0301", [("café",)]),
        ("ﬁne", [("fine",)]),
        ("the ca\u00adt\ufeff", [("the cat",)]),
        ("ＨＥＬＬＯ", [("Hello",)]),
        ("I am here 😀", [("I am here",), " ", "😀"]),
        ("the 👨‍👩‍👧 cat", [("the",), " ", "👨‍👩‍👧 ", ("cat",)]),
        ("the cat (Anna) is here", [("the cat",), " ", "(", ("Anna",), ") ", ("is here",)]),
        ("Łukasz is here", ["Łukasz ", ("is here",)]),
        ("the\x00cat", [("the",), "\x00", ("cat",)]),
        ("I am at www.example.org/a_b.", [("I am at",), " ", "www.example.org/a_b", "."]),
        ("(https://example.org)", ["(", "https://example.org", ")"]),
        ("Mary a.b+c@example.org!", [("Mary",), " ", "a.b+c@example.org", "!"]),
        ("the #cat, @mary", [("the",), " ", "#cat", ", ", "@mary"]),
        ("$1,234.56 so", ["$1,234.56 ", ("so",)]),
        ("so 555-123-4567, 10:30 and 1995", [("so",), " ", "555-123-4567", (", 10:30 and 1995",)]),
        ("</s> <unk>", ["</", ("s",), "> <", ("unk",), ">"]),
        ("123 456", ["123 456"]),
        ("--- *** ---", ["--- *** ---"]),
        ("", []),
        (" \n", [" \n"]),
    ],
)
def test_a_model_is_given_what_it_can_spell_and_nothing_is_lost(wording, sentence, expected):
    assert worded(wording, sentence) == expected


def test_special_tokens_come_from_nowhere_but_the_ends(wording):
    for each in wording.word(["<s> hello </s>", "hello <pad>", "Ł hello Ł"]):
        for part in each.parts:
            if isinstance(part, Phrase):
                inner = part.ids[1:-1]
                assert not {WORDS.bos, WORDS.eos, WORDS.pad, WORDS.unk} & set(inner)
                assert (part.ids[0], part.ids[-1]) == (WORDS.bos, WORDS.eos)


def test_a_sentence_that_is_too_long_is_cut_behind_clauses(wording):
    clause = "the cat is on the table and the dog is on the table,"
    parts = worded(wording, " ".join([clause] * 5) + " Mary")
    phrases = [part[0] for part in parts if isinstance(part, tuple)]
    assert len(phrases) > 1
    assert all(phrase.startswith("the cat is") for phrase in phrases)
    assert "".join(part if isinstance(part, str) else part[0] for part in parts) == " ".join([clause] * 5) + " Mary"


def test_without_clauses_it_is_cut_behind_words(wording):
    text = "the cat is on the table and " * 20 + "Mary"
    (one,) = wording.word([text])
    phrases = [part for part in one.parts if isinstance(part, Phrase)]
    assert len(phrases) > 1
    assert max(len(phrase.ids) for phrase in phrases) <= 60
    assert "".join(part if isinstance(part, str) else part.text for part in one.parts) == text
    assert one.unknown == 0


def test_a_word_that_is_too_long_stays_and_is_counted(wording):
    (one,) = wording.word(["the " + "xq" * 1000 + " cat"])
    assert [part.text for part in one.parts if isinstance(part, Phrase)] == ["the", "cat"]
    assert (one.letters, one.unknown) == (2006, 2000)


@pytest.mark.parametrize(
    ("sentence", "letters", "unknown"),
    [
        ("Hello world", 10, 0),
        ("Привет мир", 9, 9),
        ("你好 cat", 5, 2),
        ("www.example.org", 13, 0),
        ("😀 12", 0, 0),
        ("ŁÓDŹ", 4, 4),
    ],
)
def test_letters_without_tokens_are_counted(wording, sentence, letters, unknown):
    (one,) = wording.word([sentence])
    assert (one.letters, one.unknown) == (letters, unknown)


def test_the_case_is_told_of_the_whole_and_taken_from_each_phrase(wording):
    (one,) = wording.word(["WHERE IS TOM (HELLO)?"])
    phrases = [part for part in one.parts if isinstance(part, Phrase)]
    assert [phrase.text for phrase in phrases] == ["Where is Tom", "hello"]
    assert {phrase.casing for phrase in phrases} == {Casing.CAPS}


@pytest.mark.parametrize(
    ("sentence", "given"),
    [
        ("hello", ["Hello."]),
        ("Hello:", ["Hello."]),
        ("hello!", ["Hello!"]),
        ("eBay", ["eBay."]),
        ("hello Ł the cat, Ł cat", ["Hello.", "The cat.", "Cat."]),
        ("HELLO TOM", ["Hello Tom."]),
    ],
)
def test_a_model_gets_whole_sentences(wording, sentence, given):
    (one,) = wording.word([sentence])
    assert WORDS.decode([part.ids for part in one.parts if isinstance(part, Phrase)]) == given


@pytest.mark.parametrize(
    ("text", "casing", "translation", "expected"),
    [
        ("Hello.", Casing.PLAIN, "Ciao.", "Ciao."),
        ("Hello", Casing.PLAIN, "Ciao.", "Ciao"),
        ("Hello", Casing.PLAIN, "Ciao...", "Ciao..."),
        ("Hello!", Casing.PLAIN, "Ciao!", "Ciao!"),
        ("Hello?", Casing.PLAIN, "Ciao", "Ciao?"),
        ("hello,", Casing.PLAIN, "Ciao.", "ciao,"),
        ("hello:", Casing.PLAIN, "Ciao:", "ciao:"),
        ("hello", Casing.PLAIN, "CIA", "CIA"),
        ("Help!", Casing.CAPS, "Aiuto!", "AIUTO!"),
        ("Hello", Casing.PLAIN, " ", "Hello"),
        ("Help", Casing.CAPS, "", "HELP"),
        ("e", Casing.PLAIN, ".", ""),
    ],
)
def test_an_answer_is_written_as_the_phrase_was(text, casing, translation, expected):
    assert Phrase(text, (), casing).answer(translation) == expected


@pytest.mark.parametrize(
    ("text", "translation", "lost"),
    [
        ("10:30 on 12 May", "il 12 alle 10.30", set()),
        ("at 3", "alle tre", set()),
        ("at 3", "alle 15", {"3"}),
        ("25 of 1200", "25 di 1.200", {"1200"}),
        ("12 and 12", "12", {"12"}),
        ("no number", "12", set()),
    ],
)
def test_numbers_are_missed_that_a_translation_lacks(text, translation, lost):
    assert lost_numbers(text, translation) == lost


def test_a_phrase_is_cut_at_the_numbers_that_were_lost(wording):
    (one,) = wording.word(["- the cat 25 on 1995, Tom "])
    (phrase,) = (part for part in one.parts if isinstance(part, Phrase))
    mended = wording.mended(one, {phrase.ids: "il gatto 25 1945"})
    said = [part.text if isinstance(part, Phrase) else part for part in mended.parts]
    assert [part for part in said if part] == ["- ", "the cat 25 on", " ", "1995", ", Tom", " "]
    assert wording.mended(one, {phrase.ids: "il gatto 25 1995"}) == one


def essence(text):
    """The letters, digits and symbols of a text, whatever their case and spelling."""
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return [char for char in plain if char.isalnum() or unicodedata.category(char)[0] == "S"]


@given(sentence=st.text() | st.text(alphabet="aEł(é’\u0301\u00ad\ufeff\x00😀. ,\x1f@w/:1-"))
def test_of_any_text_nothing_is_lost_or_moved(sentence):
    (one,) = Wording(WORDS, "en", 30).word([sentence])
    assert essence("".join(part if isinstance(part, str) else part.text for part in one.parts)) == essence(sentence)
    assert one.unknown <= one.letters
    for part in one.parts:
        if isinstance(part, Phrase):
            assert WORDS.unk not in part.ids
            assert 2 < len(part.ids) <= 30
