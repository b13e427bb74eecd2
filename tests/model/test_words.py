import random

import pytest

from contract.errors import FaultyTable
from model.words import WordsConfig, read_words, split_words


@pytest.fixture
def write(tmp_path):
    def write(content):
        path = tmp_path / "words.txt"
        path.write_bytes(content)
        return path

    return write


def refusal(path):
    with pytest.raises(FaultyTable) as caught:
        read_words(path)
    return list(map(str, caught.value.faults))


def test_reads_a_word_a_line(write):
    words, sha256 = read_words(write(b"tova\nilko\nilko"))
    assert words == ("tova", "ilko", "ilko")
    assert len(sha256) == 64
    assert read_words(write(b"tova\r\nilko\r\nilko\r\n"))[0] == words


def test_words_are_composed(write):
    assert read_words(write("e\N{COMBINING ACUTE ACCENT}li\n".encode()))[0] == ("éli",)


def test_names_every_bad_line(write):
    assert refusal(write(b"tova\n\n ilko\nmira \nnevi")) == [
        'line 2: expected a word without space around it, came ""',
        'line 3: expected a word without space around it, came " ilko"',
        'line 4: expected a word without space around it, came "mira "',
    ]
    assert refusal(write(b"\n" * 100))[19].startswith("line 20")
    assert refusal(write(b""))[0].startswith("expected words, came an empty file")
    assert refusal(write(b"\xff\xfe"))[0].startswith("expected UTF-8")


def test_a_missing_file_is_named(tmp_path):
    assert "cannot read" in refusal(tmp_path / "none.txt")[0]


def test_splits_as_pythons_shuffle_does():
    words = tuple(f"w{i}" for i in range(105))
    shuffled = list(words)
    random.seed(42)
    random.shuffle(shuffled)
    split = split_words(words, WordsConfig())
    assert list(split["train"]) == shuffled[:84]
    assert list(split["val"]) == shuffled[84:94]
    assert list(split["test"]) == shuffled[94:]
    assert split_words(words, WordsConfig(shuffle_seed=1)) != split


def test_each_split_has_words():
    with pytest.raises(FaultyTable, match="expected words for train, val and test, came 3 in all"):
        split_words(("a", "b", "c"), WordsConfig())


def test_the_published_split(shared):
    path = shared / "data" / "names.txt"
    if not path.exists():
        pytest.skip("names.txt is not beside this checkout")
    words, sha256 = read_words(path)
    assert sha256 == "0a30b5557f192f32ab962680889aac5f6fda0f4cecf40a6d0b5694f58ea8cc4d"
    split = split_words(words, WordsConfig())
    assert [len(each) for each in split.values()] == [25626, 3203, 3204]
    # as the reference counts its examples, end signs included
    assert [sum(len(word) + 1 for word in each) for each in split.values()] == [182625, 22655, 22866]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"fractions": (0.8, 0.2)}, "expected three positive fractions of 1 in all"),
        ({"fractions": (0.8, 0.1, 0.05)}, "expected three positive fractions of 1 in all"),
        ({"fractions": (1.1, -0.05, -0.05)}, "expected three positive fractions of 1 in all"),
        ({"max_len": 0}, "expected max_len from 1 on, came 0"),
    ],
)
def test_a_config_is_checked(given, message):
    with pytest.raises(ValueError, match=message):
        WordsConfig(**given)
