import math
import os

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

import seqcast
from contract.bundle import read_bundle
from contract.errors import FaultyRecipe, UnknownCheckpoint
from contract.text import Vocabulary
from model.export_translation import onnx_translator
from model.import_tutorial import SPECIAL, Wishes, convert_weights, import_tutorial, joining, read_tutorial
from model.positions import sinusoids
from model.transformer import TransformerConfig
from model.translation import translate

D, FF, SEQ_LEN = 8, 12, 20
ENGLISH = ["the grey cat sleeps", "a dog sleeps here", "the dog eats a pear"]
ITALIAN = [
    "l'uomo grigio, disse: «non è vero» (forse)!",
    "al 3.5 % di un ben-noto 10:30; e lei? Sì…",
    "po' d’acqua - “bene” ‘ok’?",
]


def words(sentences):
    """A tokenizer as the tutorial makes them."""
    tokenizer = Tokenizer(models.WordLevel({}, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    special = ["[UNK]", "[PAD]", "[SOS]", "[EOS]"]
    tokenizer.train_from_iterator(sentences, trainers.WordLevelTrainer(special_tokens=special))
    return tokenizer


def state_of(n_source, n_target):
    """Random weights by the tutorial's names: 2 and 1 layers of 8 numbers, 12 within the feed-forward."""
    torch.manual_seed(0)
    state = {
        "src_embed.embedding.weight": torch.randn(n_source, D),
        "tgt_embed.embedding.weight": torch.randn(n_target, D),
        "src_pos.pe": sinusoids(SEQ_LEN, D)[None],
        "tgt_pos.pe": sinusoids(SEQ_LEN, D)[None],
        "projection_layer.proj.weight": torch.randn(n_target, D),
        "projection_layer.proj.bias": torch.randn(n_target),
    }
    stacks = {"encoder": (2, ("self",)), "decoder": (1, ("self", "cross"))}
    for stack, (layers, blocks) in stacks.items():
        norms = [f"{stack}.norm"]
        for layer in range(layers):
            path = f"{stack}.layers.{layer}"
            norms += [f"{path}.residual_connections.{index}.norm" for index in range(len(blocks) + 1)]
            state |= {
                f"{path}.{block}_attention_block.w_{x}.weight": torch.randn(D, D) for block in blocks for x in "qkvo"
            }
            for index, shape in ((1, (FF, D)), (2, (D, FF))):
                state[f"{path}.feed_forward_block.linear_{index}.weight"] = torch.randn(shape)
                state[f"{path}.feed_forward_block.linear_{index}.bias"] = torch.randn(shape[:1])
        state |= {f"{norm}.{name}": torch.randn(D) for norm in norms for name in ("alpha", "bias")}
    return state


@pytest.fixture
def tokenizers(tmp_path):
    paths = tmp_path / "tokenizer_en.json", tmp_path / "tokenizer_it.json"
    for path, sentences in zip(paths, (ENGLISH, ITALIAN), strict=True):
        words(sentences).save(str(path))
    return paths


@pytest.fixture
def state(tokenizers):
    return state_of(*(Tokenizer.from_file(str(path)).get_vocab_size() for path in tokenizers))


@pytest.fixture
def read(tmp_path, tokenizers):
    """read(content, **wishes) -> what becomes of that checkpoint."""

    def read(content, **wishes):
        path = tmp_path / "tmodel_19.pt"
        torch.save(content, path)
        return read_tutorial(path, *tokenizers, Wishes(**{"n_heads": 2, **wishes}))

    return read


def checkpoint(state):
    model = torch.nn.Linear(2, 2)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(2)).sum().backward()
    optimizer.step()
    return {
        "epoch": 19,
        "model_state_dict": state,
        "optimizer_state_dict": optimizer.state_dict(),
        "global_step": 72760,
    }


def test_a_checkpoint_is_a_transformer_a_spec_and_its_tokenizers(state, read, tokenizers):
    trained, data = read(checkpoint(state))
    assert trained.recipe.name == "en-it-tutorial"
    assert trained.recipe.model == trained.model.config
    assert trained.model.config == TransformerConfig(
        d_model=D, n_heads=2, e_layers=2, d_layers=1, d_ff=FF, tied=False, max_len=SEQ_LEN
    )
    assert not trained.model.training
    torch.testing.assert_close(dict(trained.model.state_dict()), convert_weights(state))
    spec = trained.spec
    assert (spec.source, spec.target, spec.shared, spec.max_len) == ("en", "it", False, SEQ_LEN)
    assert list(data.files) == [spec.source_tokenizer, spec.target_tokenizer]
    assert len(data.source) == spec.source_size
    assert len(data.target) == spec.target_size
    assert data.source.encode(["the unseen [SOS]"])[0] == [
        Tokenizer.from_file(str(tokenizers[0])).token_to_id(word)
        for word in ("[SOS]", "the", "[UNK]", "[UNK]", "[UNK]", "[UNK]", "[EOS]")
    ]
    assert "epoch 19, step 72760, imported from tmodel_19.pt (sha256 " in trained.provenance["history"]


def test_the_bundle_translates_as_our_model_with_their_weights(state, tokenizers, tmp_path, capsys):
    torch.save(checkpoint(state), tmp_path / "tmodel_19.pt")
    flags = ["--bundles", tmp_path / "bundles", "--n-heads", 2]
    command = ["import", "tutorial", tmp_path / "tmodel_19.pt", *tokenizers, *flags]
    assert seqcast.main([str(argument) for argument in command]) == 0
    path = tmp_path / "bundles" / "en-it-tutorial" / "1"
    assert f"wrote {path}; next: seqcast evaluate {path}" in capsys.readouterr().out

    bundle = read_bundle(path)
    trained, data = read_tutorial(tmp_path / "tmodel_19.pt", *tokenizers, Wishes(n_heads=2))
    assert bundle.manifest.translate == trained.spec
    assert bundle.manifest.training["weights"] == "fp32"
    texts = ["the grey cat sleeps", "a dog", "the dog eats a pear here", ""]
    with torch.no_grad():
        expected = translate(trained.model, texts, data)
    assert onnx_translator(bundle, data)(texts) == expected
    assert len(set(expected)) > 1
    assert "Not measured, since it came without data" in bundle.card()
    assert "epoch 19, step 72760, imported from tmodel_19.pt" in bundle.card()
    assert str(tmp_path) not in bundle.card()

    pairs = tmp_path / "pairs.tsv"
    pairs.write_text("".join(f"the cat {i}\tl'uomo {i}\n" for i in range(1101)))
    assert seqcast.main(["evaluate", str(path), "--data", str(pairs), "--split", "val"]) == 0
    assert "100 sentences of the val split" in capsys.readouterr().out


def test_nothing_is_written_of_what_does_not_fit(state, tokenizers, tmp_path):
    torch.save(state | {"tgt_embed.embedding.weight": torch.zeros(6, D)}, tmp_path / "tmodel.pt")
    with pytest.raises(UnknownCheckpoint, match="tgt_embed has 6 tokens"):
        import_tutorial(tmp_path / "tmodel.pt", *tokenizers, tmp_path / "bundles", Wishes(n_heads=2))
    assert not (tmp_path / "bundles").exists()


def test_its_flags_are_heard(state, read):
    trained, _ = read(state, source="fr", target="de", n_heads=4, seq_len=12, name="mine")
    assert (trained.recipe.name, trained.recipe.data.source, trained.recipe.data.target) == ("mine", "fr", "de")
    assert (trained.spec.source, trained.spec.target, trained.spec.max_len) == ("fr", "de", 12)
    assert trained.model.config.n_heads == 4


@pytest.mark.parametrize("prefix", ["", "module."])
def test_takes_weights_alone_also_of_data_parallel(state, read, prefix):
    trained, _ = read({f"{prefix}{name}": weight for name, weight in state.items()})
    torch.testing.assert_close(dict(trained.model.state_dict()), convert_weights(state))
    assert trained.provenance["history"].startswith("by hkproj/pytorch-transformer, imported from tmodel_19.pt")


def test_without_positions_the_length_is_the_tutorial_s(state, read):
    trained, _ = read({name: weight for name, weight in state.items() if not name.endswith(".pe")})
    assert trained.spec.max_len == 350


def test_the_shorter_side_bounds_both(state, read):
    trained, _ = read(state | {"tgt_pos.pe": sinusoids(18, D)[None]})
    assert trained.spec.max_len == 18


def test_one_scale_for_all_as_its_first_version_had(state, read):
    norm = "encoder.layers.0.residual_connections.0.norm"
    trained, _ = read(state | {f"{norm}.alpha": torch.tensor([3.0]), f"{norm}.bias": torch.tensor([0.5])})
    ours = trained.model.encoder[0].attention_residual.norm
    torch.testing.assert_close(ours.weight, torch.full((D,), 3 * math.sqrt((D - 1) / D)))
    torch.testing.assert_close(ours.bias, torch.full((D,), 0.5))


@pytest.mark.parametrize(("deviation", "neglected"), [(0.1, 5e-4), (0.22, 1e-4), (0.5, 2e-5), (1.0, 4e-6), (3.0, 1e-6)])
def test_folding_the_layer_norm_neglects_what_is_told(deviation, neglected):
    d = 512
    x = torch.randn(100, d, dtype=torch.float64)
    x = (x - x.mean(-1, keepdim=True)) / x.std(-1, keepdim=True, correction=0) * deviation + 5
    theirs = (x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True) + 1e-6)
    ours = torch.nn.LayerNorm(d, elementwise_affine=False)(x) * math.sqrt((d - 1) / d)
    excess = (theirs / ours - 1).max().item()
    assert 0 < excess < 1.05 * neglected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"decoder.norm.bias": None}, "decoder_norm.bias is missing"),
        (
            {"decoder.layers.0.cross_attention_block.w_q.weight": None},
            "decoder.0.cross_attention.query.weight is missing",
        ),
        (
            {"encoder.layers.0.self_attention_block.w_q.bias": torch.zeros(D)},
            "encoder.0.attention.query.bias is not one of this model's",
        ),
        ({"projection_layer.proj.bias": torch.zeros(3)}, r"projection.bias: expected shape \(\d+,\), came \(3,\)"),
        ({"encoder.norm.alpha": torch.ones(3)}, r"encoder_norm.weight: expected shape \(8,\), came \(3,\)"),
        ({"encoder.norm.scale": torch.ones(D)}, "expected the weights of the tutorial, came also encoder.norm.scale"),
        ({"src_embed.embedding.weight": None}, "the tutorial, came none that give source_embedding.weight"),
        ({"src_embed.embedding.weight": torch.zeros(8)}, "the tutorial, came none that give source_embedding.weight"),
        ({"src_pos.pe": torch.randn(1, SEQ_LEN, D)}, "src_pos.pe is not the fixed sinusoids of 8 numbers a position"),
        ({"tgt_pos.pe": sinusoids(SEQ_LEN, 6)}, "tgt_pos.pe is not the fixed sinusoids of 8 numbers a position"),
    ],
)
def test_refuses_other_weights(state, read, change, message):
    state = {name: weight for name, weight in {**state, **change}.items() if weight is not None}
    with pytest.raises(UnknownCheckpoint, match=message):
        read(checkpoint(state))


def test_names_all_that_does_not_fit(state, read):
    state = {
        **{name: weight for name, weight in state.items() if name != "encoder.norm.bias"},
        "src_embed.embedding.weight": torch.zeros(5, D),
        "tgt_embed.embedding.weight": torch.zeros(6, D),
    }
    with pytest.raises(UnknownCheckpoint) as caught:
        read(state, seq_len=21)
    for message in (
        "seq_len is 21, but the weights have 20 positions in src_pos.pe; ",
        "seq_len is 21, but the weights have 20 positions in tgt_pos.pe; ",
        "src_embed has 5 tokens, but tokenizer_en.json has 13; ",
        "tgt_embed has 6 tokens, but tokenizer_it.json has ",
        "encoder_norm.bias is missing",
        "projection.weight: expected shape (6, 8), came ",
    ):
        assert message in str(caught.value)


@pytest.mark.parametrize(
    ("wishes", "error", "message"),
    [
        ({"n_heads": 3}, UnknownCheckpoint, "expected d_model 8 to be a multiple of n_heads 3"),
        ({"n_heads": 0}, UnknownCheckpoint, "expected n_heads from 1 on, came 0"),
        ({"seq_len": 2}, UnknownCheckpoint, "expected max_len from 3 on, came 2"),
        ({"seq_len": 0}, UnknownCheckpoint, "expected max_len from 1 on, came 0"),
        ({"name": "Mine!"}, FaultyRecipe, "expected a name of"),
        ({"source": "English", "name": "mine"}, FaultyRecipe, 'expected a language code such as en, came "English"'),
    ],
)
def test_refuses_flags_that_cannot_be(state, read, wishes, error, message):
    with pytest.raises(error, match=message):
        read(state, **wishes)


class Payload:
    def __reduce__(self):
        return os.mkdir, ("payload",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (torch.zeros(3), "holds no state dict"),
        ({"epoch": 3}, "holds no state dict"),
        ({"model_state_dict": {"a": 1}}, "holds no state dict"),
        ({}, "expected the weights of the tutorial, came none that give source_embedding.weight, target_embedding"),
        ({"model_state_dict": {}, "payload": Payload()}, "holds more than tensors"),
    ],
)
def test_refuses_what_is_no_checkpoint_and_runs_nothing(read, tmp_path, monkeypatch, content, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnknownCheckpoint, match=message):
        read(content)
    assert not (tmp_path / "payload").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot read .*tokenizer_it.json: No such file"),
        ("{}", "tokenizer_it.json: expected a tokenizer.json"),
        ("\ud800", "tokenizer_it.json: expected a tokenizer.json"),
    ],
)
def test_refuses_what_is_no_tokenizer(state, read, tokenizers, text, message):
    tokenizers[1].unlink()
    if text is not None:
        tokenizers[1].write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(UnknownCheckpoint, match=message):
        read(state)


def test_refuses_a_tokenizer_without_its_special_tokens(state, read, tokenizers):
    Tokenizer(models.WordLevel({"[UNK]": 0, "[PAD]": 1, "[SOS]": 2}, "[UNK]")).save(str(tokenizers[0]))
    with pytest.raises(UnknownCheckpoint, match=r"tokenizer_en.json: expected a special token \[EOS\]"):
        read(state)


def test_refuses_special_tokens_that_differ(state, read, tokenizers):
    # it gives the target's ids to the source
    vocabulary = Tokenizer.from_file(str(tokenizers[0])).get_vocab()
    vocabulary["[SOS]"], vocabulary["[EOS]"] = vocabulary["[EOS]"], vocabulary["[SOS]"]
    tokenizer = Tokenizer(models.WordLevel(vocabulary, "[UNK]"))
    tokenizer.save(str(tokenizers[0]))
    with pytest.raises(
        UnknownCheckpoint, match=r"expected \[PAD\], \[SOS\] and \[EOS\] to be 1, 2, 3 in both .* 1, 3, 2"
    ):
        read(state)


def test_text_is_joined_again(tokenizers):
    vocabulary = Vocabulary(joining(tokenizers[1]), SPECIAL)
    assert vocabulary.decode(vocabulary.encode(ITALIAN)) == [
        "l'uomo grigio, disse: «non è vero» (forse)!",
        "al 3.5% di un ben-noto 10:30; e lei? Sì…",
        "po'd’acqua - “bene” ‘ok ’?",  # an apostrophe at a word's end cannot be told from one between words
    ]


def test_a_decoder_of_its_own_is_kept_and_truncation_is_not(tmp_path):
    tokenizer = words(ENGLISH)
    tokenizer.decoder = decoders.WordPiece(prefix="##", cleanup=False)
    tokenizer.enable_truncation(2)
    tokenizer.enable_padding(length=30)
    tokenizer.save(str(tmp_path / "own.json"))
    vocabulary = Vocabulary(joining(tmp_path / "own.json"), SPECIAL)
    ids = vocabulary.encode(["the dog eats a pear", "a dog"])
    assert [len(each) for each in ids] == [7, 4]
    assert vocabulary.decode(ids) == ["the dog eats a pear", "a dog"]


def test_parts_of_words_want_a_decoder(tmp_path):
    tokenizer = Tokenizer(models.BPE({"[UNK]": 0, "[PAD]": 1, "[SOS]": 2, "[EOS]": 3, "a": 4}, []))
    tokenizer.save(str(tmp_path / "parts.json"))
    with pytest.raises(UnknownCheckpoint, match="expected a tokenizer of whole words, or a decoder, came neither"):
        joining(tmp_path / "parts.json")
