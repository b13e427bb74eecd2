import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from contract.errors import UnusableFile
from contract.text import SpecialTokens, Vocabulary, shortened

WORDS = ["<pad>", "<unk>", "<s>", "</s>", "▁a", "▁cat", "▁sleeps", "s", "<", ">", "/", "▁", "pad", "▁</s>"]


def tokenizer_json(words=WORDS):
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, "<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Metaspace(), pre_tokenizers.Punctuation("isolated")]
    )
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens([AddedToken(word, special=True) for word in words[:4]])
    return tokenizer.to_str().encode()


@pytest.fixture
def vocabulary():
    return Vocabulary(tokenizer_json(), SpecialTokens())


def test_ids_stand_between_bos_and_eos(vocabulary):
    assert vocabulary.encode(["a cat sleeps", ""]) == [[2, 4, 5, 6, 3], [2, 3]]
    assert (vocabulary.pad, vocabulary.unk, vocabulary.bos, vocabulary.eos) == (0, 1, 2, 3)
    assert len(vocabulary) == len(WORDS)
    assert vocabulary.encode([]) == []


def test_decoding_gives_the_text_back(vocabulary):
    assert vocabulary.decode(vocabulary.encode(["a cat sleeps", "", "a"])) == ["a cat sleeps", "", "a"]
    assert vocabulary.decode([[2, 4, 3, 0, 0], []]) == ["a", ""]


def test_special_tokens_in_a_text_are_text(vocabulary):
    (ids,) = vocabulary.encode(["a </s> <pad> cat <s>"])
    assert ids[0] == vocabulary.bos
    assert ids[-1] == vocabulary.eos
    assert not {vocabulary.bos, vocabulary.eos, vocabulary.pad} & set(ids[1:-1])
    assert vocabulary.tokens(ids[1:-1]) == [
        "▁a",
        "▁",
        "<",
        "/",
        "s",
        ">",
        "▁",
        "<",
        "pad",
        ">",
        "▁cat",
        "▁",
        "<",
        "s",
        ">",
    ]
    assert vocabulary.decode([ids]) == ["a </s> <pad> cat <s>"]


def test_what_is_unknown_is_unk_and_said_by_nothing(vocabulary):
    (ids,) = vocabulary.encode(["a 猫 sleeps"])
    assert ids == [2, 4, 1, 6, 3]
    assert vocabulary.decode([ids]) == ["a sleeps"]


def test_other_names_for_special_tokens():
    words = ["[PAD]", "<unk>", "[SOS]", "[EOS]", "▁a"]
    vocabulary = Vocabulary(tokenizer_json(words), SpecialTokens("[PAD]", "<unk>", "[SOS]", "[EOS]"))
    assert vocabulary.encode(["a"]) == [[2, 4, 3]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected a tokenizer.json: EOF"),
        (b"{}", "expected a tokenizer.json: "),
        (b"[1]", "expected a tokenizer.json: "),
        (b"\xff\xfe", "expected a tokenizer.json: 'utf-8'"),
        (tokenizer_json()[:-9], "expected a tokenizer.json: "),
        (tokenizer_json([word for word in WORDS if word != "</s>"]), "expected a special token </s> in the tokenizer"),
        (tokenizer_json().replace(b"<pad>", b"<dap>"), "expected a special token <pad> in the tokenizer, came none"),
    ],
)
def test_refuses_what_is_no_tokenizer_of_ours(content, message):
    with pytest.raises(UnusableFile, match=message):
        Vocabulary(content, SpecialTokens())


def test_half_a_surrogate_pair_is_no_character(vocabulary):
    assert vocabulary.encode(["a \ud800cat", "a cat", "\udc00"]) == vocabulary.encode(
        ["a \ufffdcat", "a cat", "\ufffd"]
    )
    assert vocabulary.encode(["\ud83d\ude00"]) == vocabulary.encode(["\U0001f600"])  # both halves are one


@pytest.mark.parametrize(("longest", "kept"), [(5, [2, 4, 5, 6, 3]), (4, [2, 4, 5, 3]), (2, [2, 3])])
def test_what_is_too_long_keeps_its_end(vocabulary, longest, kept):
    (ids,) = vocabulary.encode(["a cat sleeps"])
    assert shortened(ids, longest) == kept
    assert shortened(ids, 99) == ids
