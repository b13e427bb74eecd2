import hashlib
import unicodedata

import pytest

from contract.errors import FaultyTable
from contract.text import SpecialTokens, Vocabulary
from model.pairs import Pairs, PairsConfig, first_translations, fit_tokenizer, fit_tokenizers, read_pairs, split_pairs

SENTENCES = [
    "The grey cat sleeps on 12 chairs, near the window.",
    "Who ate 305 pears on the window?",
    "L'uomo grigio dorme: è tardi, perché no?",
    "Non è vero!",
]


@pytest.fixture
def write(tmp_path):
    """write(text) -> the path of a file of that text, or bytes."""

    def write(text):
        path = tmp_path / "pairs.tsv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


@pytest.mark.parametrize(
    "text",
    ["a cat\tun gatto\na dog \t cane\n", "a cat\tun gatto\na dog\tcane", "\ufeffa cat\tun gatto\r\na dog\tcane\r\n"],
)
def test_reads_two_columns(write, text):
    path = write(text)
    pairs, sha256 = read_pairs(path)
    assert pairs == Pairs(("a cat", "a dog"), ("un gatto", "cane"))
    assert sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_more_columns_are_not_read(write):
    assert read_pairs(write("a cat\tun gatto\tCC BY\n"))[0] == Pairs(("a cat",), ("un gatto",))


@pytest.mark.parametrize("sign", ["\u2028", "\x85", "\x0b", "\x1c"])
def test_only_a_line_feed_ends_a_line(write, sign):
    assert read_pairs(write(f"a{sign}cat\tun gatto\n"))[0].sources == (f"a{sign}cat",)


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("", ["expected pairs, came an empty file"]),
        ("a cat\n", ["line 1: expected two texts with a tab between, came 1 columns"]),
        ("a\tb\n\nc\t \n \td\ne\tf\n", ["line 2: ", "line 3: ", "line 4: "]),
        (b"a\tb\xff\n", ["expected UTF-8: 'utf-8' codec can't decode byte 0xff in position 3"]),
    ],
)
def test_names_the_bad_lines(write, text, faults):
    with pytest.raises(FaultyTable) as caught:
        read_pairs(write(text))
    shown = [str(fault) for fault in caught.value.faults]
    assert len(shown) == len(faults)
    for came, expected in zip(shown, faults, strict=True):
        assert came.startswith(expected)


def test_names_but_the_first_bad_lines(write):
    with pytest.raises(FaultyTable) as caught:
        read_pairs(write("no tab\n" * 1000))
    assert len(caught.value.faults) == 20


def test_says_which_file_cannot_be_read(tmp_path):
    with pytest.raises(FaultyTable, match=r"cannot read .*none\.tsv: No such file"):
        read_pairs(tmp_path / "none.tsv")


def letters(text):
    return "".join(filter(str.isalnum, unicodedata.normalize("NFC", text.casefold())))


@pytest.fixture(scope="module")
def many():
    """400 sentences in four spellings, each with a translation of its own."""
    spellings = (
        "is it {} à côté?",
        "Is it {} à côté!",
        "IS IT {} À CÔTÉ",
        unicodedata.normalize("NFD", "Is it {} à côté."),
    )
    sources = [spelling.format(number) for spelling in spellings for number in range(400)]
    return Pairs(tuple(sources), tuple(f"n. {index}" for index in range(len(sources))))


def test_no_sentence_is_in_two_splits_whatever_its_spelling(many):
    splits = split_pairs(many, PairsConfig(held_back=(50, 70)), seed=3)
    keys = {name: {letters(source) for source in pairs.sources} for name, pairs in splits.items()}
    assert {name: len(found) for name, found in keys.items()} == {"train": 280, "val": 50, "test": 70}
    assert len(keys["train"] | keys["val"] | keys["test"]) == 400
    both = [row for pairs in splits.values() for row in zip(pairs.sources, pairs.targets, strict=True)]
    assert sorted(both) == sorted(zip(many.sources, many.targets, strict=True))


def test_the_seed_alone_draws_the_splits(many):
    config = PairsConfig(held_back=(50, 70))
    assert split_pairs(many, config, seed=3) == split_pairs(many, config, seed=3)
    assert split_pairs(many, config, seed=3)["test"] != split_pairs(many, config, seed=4)["test"]


def test_something_is_left_to_train_on(many):
    assert len(split_pairs(many, PairsConfig(held_back=(200, 199)), 1)["train"]) == 4
    with pytest.raises(FaultyTable, match="expected over 400 source sentences, as held_back says, came 400"):
        split_pairs(many, PairsConfig(held_back=(200, 200)), 1)


def test_the_real_pairs_are_split_by_sentence(shared):
    path = shared / "data" / "tatoeba-en-it.tsv"
    if not path.exists():
        pytest.skip("no sentence pairs beside the checkout")
    pairs, _ = read_pairs(path)
    splits = split_pairs(pairs, PairsConfig(), seed=1)
    # those that the shipped model was trained on
    assert {name: len(each) for name, each in splits.items()} == {"train": 306638, "val": 4537, "test": 9063}


def test_the_first_translation_of_each():
    pairs = Pairs(("a", "b", "a", "b", "c"), ("1", "2", "3", "2", "4"))
    assert first_translations(pairs) == Pairs(("a", "b", "c"), ("1", "2", "4"))
    assert first_translations(pairs).head(2) == Pairs(("a", "b"), ("1", "2"))


@pytest.fixture(params=["bpe", "word"])
def vocabulary(request):
    config = PairsConfig(tokenizer=request.param, vocabulary=300)
    return Vocabulary(fit_tokenizer(SENTENCES * 2, config), SpecialTokens())


@pytest.mark.parametrize("text", [*SENTENCES, "The pears, the window: Who?", "1 12 305, 2", ""])
def test_spaces_come_back(vocabulary, text):
    assert vocabulary.decode(vocabulary.encode([text])) == [text]


@pytest.mark.parametrize(
    "text", ["Who  ate\n\t305 pears? ", "Who ate\u00a0305 pears?", unicodedata.normalize("NFD", "Non è vero!")]
)
def test_spaces_and_accents_have_one_form(vocabulary, text):
    plain = unicodedata.normalize("NFC", " ".join(text.split()))
    assert vocabulary.encode([text]) == vocabulary.encode([plain])
    assert vocabulary.decode(vocabulary.encode([text])) == [plain]


def test_digits_and_signs_are_apart(vocabulary):
    (ids,) = vocabulary.encode(["305, perché 12?"])
    tokens = [token.removeprefix("▁") for token in vocabulary.tokens(ids[1:-1])]
    assert [token for token in tokens if any(map(str.isdigit, token))] == list("30512")
    assert [token for token in tokens if not all(map(str.isalnum, token))] == [",", "?"]


def test_unseen_words_are_spelt_by_byte_pairs_alone():
    for kind, unknown in (("bpe", False), ("word", True)):
        vocabulary = Vocabulary(
            fit_tokenizer(SENTENCES * 2, PairsConfig(tokenizer=kind, vocabulary=300)), SpecialTokens()
        )
        (ids,) = vocabulary.encode(["teachers"])
        assert (vocabulary.unk in ids) == unknown


def test_a_shared_tokenizer_is_one_file():
    pairs = Pairs(tuple(SENTENCES[:2] * 2), tuple(SENTENCES[2:] * 2))
    # each sentence counts once, and a word that was seen once is none
    twice = Pairs((*pairs.sources, "The grey cat: who ate?"), (*pairs.targets, "Non grigio, è vero"))
    shared = fit_tokenizers(twice, PairsConfig(tokenizer="word", vocabulary=300))
    assert list(shared) == ["tokenizer.json"]
    (content,) = shared.values()
    assert Vocabulary(content, SpecialTokens()).encode(["grey vero"])[0].count(1) == 0
    apart = fit_tokenizers(twice, PairsConfig(tokenizer="word", vocabulary=300, shared=False))
    assert list(apart) == ["source-tokenizer.json", "target-tokenizer.json"]
    source, target = (Vocabulary(content, SpecialTokens()) for content in apart.values())
    assert source.encode(["grey vero"])[0].count(source.unk) == 1
    assert target.encode(["grey vero"])[0].count(target.unk) == 1


def test_the_vocabulary_has_its_size():
    texts = [f"{a}{b}{c}" for a in "abcdef" for b in "abcdef" for c in "abcdef"] * 2
    for kind in ("bpe", "word"):
        content = fit_tokenizer(texts, PairsConfig(tokenizer=kind, vocabulary=120))
        assert len(Vocabulary(content, SpecialTokens())) == 120
        assert content == fit_tokenizer(texts, PairsConfig(tokenizer=kind, vocabulary=120))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"source": "English"}, 'expected a language code such as en, came "English"'),
        ({"target": ""}, 'expected a language code such as en, came ""'),
        ({"held_back": (1,)}, r"expected two positive counts in held_back, came \[1\]"),
        ({"held_back": (0, 5)}, r"expected two positive counts in held_back, came \[0, 5\]"),
        ({"vocabulary": 99}, "expected vocabulary from 100 on, came 99"),
        ({"joined": 1.5}, "expected 0 <= joined <= 1, came 1.5"),
        ({"epoch_pairs": 0}, "expected epoch_pairs from 1 on, came 0"),
    ],
)
def test_refuses_a_config_that_cannot_be(settings, message):
    with pytest.raises(ValueError, match=message):
        PairsConfig(**settings)
