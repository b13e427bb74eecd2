import pytest

from contract.records import decode, encode
from contract.text import SpecialTokens
from contract.translation import TranslateSpec

SHARED = {
    "source": "en",
    "target": "it",
    "source_tokenizer": "tokenizer.json",
    "target_tokenizer": "tokenizer.json",
    "source_size": 80,
    "target_size": 80,
    "max_len": 64,
}


@pytest.mark.parametrize("special", [SpecialTokens(), SpecialTokens("[PAD]", "[UNK]", "[SOS]", "[EOS]")])
def test_a_manifest_s_plain_data_gives_it_back(special):
    spec = TranslateSpec(**SHARED, special=special)
    assert decode(TranslateSpec, encode(spec)) == (spec, [])


def test_one_tokenizer_is_one_vocabulary():
    assert TranslateSpec(**SHARED).shared
    other = TranslateSpec(**SHARED | {"target_tokenizer": "target.json", "target_size": 90})
    assert not other.shared


@pytest.mark.parametrize(
    ("source_len", "longest"), [(2, 14), (10, 30), (27, 64), (28, 64), (64, 64)], ids=lambda value: str(value)
)
def test_a_translation_ends(source_len, longest):
    assert TranslateSpec(**SHARED).longest(source_len) == longest


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"max_len": 2}, "expected max_len from 3 on, came 2"),
        ({"target_size": 81}, "expected one size of one tokenizer, came 80 and 81"),
    ],
)
def test_refuses_what_cannot_be(change, message):
    with pytest.raises(ValueError, match=message):
        TranslateSpec(**SHARED | change)
