import pytest

from service.casing import Casing

NAMES = {"Tom", "Mary", "Boston", "York", "FBI"}


def costs(words):
    """A language of names, and of what else there is in small letters."""
    return [1.0 if word in NAMES else 6.0 if word.islower() else 7.0 if word[1:].islower() else 15.0 for word in words]


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("STOP!", Casing.CAPS),
        ("DON'T PANIC: 3 DAYS LEFT.", Casing.CAPS),
        ("È VERO", Casing.CAPS),
        ("I", Casing.PLAIN),
        ("A B C", Casing.PLAIN),
        ("The FBI is here", Casing.PLAIN),
        ("The Old Man and the Sea", Casing.TITLE),
        ("Gone With The Wind", Casing.TITLE),
        ("Good Morning", Casing.PLAIN),
        ("Tom and Mary", Casing.PLAIN),
        ("Tom, Mary, Boston and York", Casing.PLAIN),
        ("In Boston Tom met Mary", Casing.PLAIN),
        ("Tom told Mary that The End is near", Casing.PLAIN),
        ("Das ist ein Test auf Deutsch.", Casing.PLAIN),
        ("hello there", Casing.PLAIN),
        ("", Casing.PLAIN),
        ("12:30 😀", Casing.PLAIN),
    ],
)
def test_how_a_sentence_is_written(sentence, expected):
    assert Casing.of(sentence, costs) is expected


@pytest.mark.parametrize(
    ("casing", "text", "expected"),
    [
        (Casing.CAPS, "WHERE IS TOM?", "Where is Tom?"),
        (Casing.CAPS, "AM I IN THE FBI? I'M HERE", "Am I in the FBI? I'm here"),
        (Casing.TITLE, "Gone With The Wind", "Gone with the wind"),
        (Casing.TITLE, "A Day in New York With Mary", "A day in new York with Mary"),
        (Casing.PLAIN, "as It IS", "as It IS"),
        (Casing.CAPS, "¡1 2!", "¡1 2!"),
    ],
)
def test_a_sentences_case_keeps_names(casing, text, expected):
    assert casing.take(text, "en", costs, begins=True) == expected


def test_within_a_sentence_the_first_word_is_like_the_others():
    assert Casing.CAPS.take("WHERE IS TOM", "en", costs, begins=False) == "where is Tom"


def test_i_is_a_capital_in_english_alone():
    assert Casing.CAPS.take("CON I FIGLI", "it", costs, begins=True) == "Con i figli"


@pytest.mark.parametrize(
    ("casing", "text", "expected"),
    [
        (Casing.CAPS, "perché è così", "PERCHÉ È COSÌ"),
        (Casing.TITLE, "il vecchio e il mare", "Il Vecchio e il Mare"),
        (Casing.TITLE, "nell'arte dell’amore", "Nell'Arte Dell’Amore"),
        (Casing.PLAIN, "il mare", "il mare"),
        (Casing.TITLE, "", ""),
    ],
)
def test_the_translation_gets_the_case_back(casing, text, expected):
    assert casing.give(text) == expected
