import math
from dataclasses import replace

import pytest
import torch

from model.transformer import Transformer, TransformerConfig

SMALL = TransformerConfig(d_model=16, n_heads=4, e_layers=2, d_layers=2, d_ff=32, max_len=12)
WORDS, FOREIGN = 30, 40


@pytest.fixture(params=[True, False], ids=["pre-norm", "post-norm"])
def model(request):
    torch.manual_seed(0)
    return Transformer(replace(SMALL, pre_norm=request.param), WORDS).eval()


def ids(*shape):
    return torch.randint(1, WORDS, shape, generator=torch.Generator().manual_seed(1))


def everywhere(source):
    return torch.ones_like(source, dtype=torch.bool)


def test_logits_of_each_position(model):
    source, target = ids(3, 9), ids(3, 7)
    assert model(source, target, everywhere(source)).shape == (3, 7, WORDS)


@pytest.mark.parametrize("position", range(1, 8))
def test_a_later_target_never_moves_what_was_before(model, position):
    source, target = ids(2, 9), ids(2, 8)
    changed = target.clone()
    changed[:, position] = (changed[:, position] + 1) % WORDS
    with torch.no_grad():
        before, after = (model(source, each, everywhere(source)) for each in (target, changed))
    torch.testing.assert_close(after[:, :position], before[:, :position], rtol=0, atol=0)
    assert (after[:, position:] - before[:, position:]).abs().amax(-1).min() > 0


def test_every_source_token_is_heard_and_its_order(model):
    source, target = ids(1, 6), ids(1, 3)
    with torch.no_grad():
        plain = model(source, target, everywhere(source))
        for position in range(6):
            changed = source.clone()
            changed[0, position] = (changed[0, position] + 1) % WORDS
            assert (model(changed, target, everywhere(source)) - plain).abs().max() > 1e-4
        swapped = source[:, [1, 0, *range(2, 6)]]
        assert source[0, 0] != source[0, 1]
        assert (model(swapped, target, everywhere(source)) - plain).abs().max() > 1e-4


@pytest.mark.parametrize("filler", [0, 7])
def test_padding_changes_nothing(model, filler):
    lengths = (9, 4, 1)
    source, target = ids(3, 9), ids(3, 7)
    mask = torch.arange(9) < torch.tensor(lengths)[:, None]
    with torch.no_grad():
        together = model(source.where(mask, filler), target, mask)
        for row, length in enumerate(lengths):
            lone = source[row : row + 1, :length]
            alone = model(lone, target[row : row + 1], everywhere(lone))
            torch.testing.assert_close(together[row : row + 1], alone, rtol=1e-5, atol=1e-5)


def test_maps_sum_to_one_and_are_zero_on_padding(model):
    source, target = ids(2, 9), ids(2, 7)
    mask = torch.arange(9) < torch.tensor([9, 5])[:, None]
    target_mask = torch.arange(7) < torch.tensor([7, 4])[:, None]
    with torch.no_grad():
        memory, encoder_maps = model.encode(source, mask, need_map=True)
        logits, decoder_maps = model.decode(target, memory, mask, target_mask=target_mask, need_map=True)
        plain = model(source, target, mask)
    torch.testing.assert_close(logits[target_mask], plain[target_mask])
    self_maps, cross_maps = zip(*decoder_maps, strict=True)
    for maps, shape in ((encoder_maps, (9, 9)), (self_maps, (7, 7)), (cross_maps, (7, 9))):
        assert len(maps) == 2
        for each in maps:
            assert each.shape == (2, SMALL.n_heads, *shape)
            torch.testing.assert_close(each.sum(-1), torch.ones(each.shape[:-1]))
    for each in (*encoder_maps, *cross_maps):
        assert each[1, ..., 5:].abs().max() == 0
        assert each[1, ..., :5].min() > 0
    for each in self_maps:
        assert each.triu(1).abs().max() == 0
        assert each[1, ..., 4:].abs().max() == 0


def test_no_map_unless_asked_for(model):
    source = ids(1, 4)
    memory, maps = model.encode(source, everywhere(source))
    _, decoder_maps = model.decode(source, memory, everywhere(source))
    assert maps == [None, None]
    assert decoder_maps == [(None, None)] * 2


def test_post_norm_normalises_what_comes_out():
    torch.manual_seed(0)
    model = Transformer(replace(SMALL, pre_norm=False), WORDS).eval()
    layer = model.encoder[0]
    x, mask = torch.randn(2, 5, 16), torch.ones(2, 5, dtype=torch.bool)
    with torch.no_grad():
        attended, _ = layer.attention(x, x, mask=mask)
        half = layer.attention_residual.norm(x + attended)
        expected = layer.feed_forward_residual.norm(half + layer.feed_forward(half))
        came, _ = layer(x, mask)
        memory, _ = model.encode(ids(2, 5), mask)
    torch.testing.assert_close(came, expected)
    torch.testing.assert_close(memory.mean(-1), torch.zeros(2, 5), rtol=0, atol=1e-5)
    # no norm behind the last layer's own
    assert not [name for name in model.state_dict() if "coder_norm" in name]


def test_pre_norm_normalises_what_goes_in_and_once_more_at_the_end():
    torch.manual_seed(0)
    model = Transformer(SMALL, WORDS).eval()
    layer = model.encoder[0]
    x, mask = 100 * torch.randn(2, 5, 16), torch.ones(2, 5, dtype=torch.bool)
    with torch.no_grad():
        y = layer.attention_residual.norm(x)
        attended, _ = layer.attention(y, y, mask=mask)
        half = x + attended
        expected = half + layer.feed_forward(layer.feed_forward_residual.norm(half))
        came, _ = layer(x, mask)
        memory, _ = model.encode(ids(2, 5), mask)
    torch.testing.assert_close(came, expected)
    torch.testing.assert_close(memory.std(-1, correction=0), torch.ones(2, 5), rtol=0, atol=1e-3)


def test_what_goes_in_is_of_unit_size():
    # embeddings times sqrt(d_model), beside sinusoids of up to 1 (section 3.4)
    torch.manual_seed(0)
    model = Transformer(replace(SMALL, d_model=64), 1000)
    assert model.target_embedding.weight.std().item() * math.sqrt(64) == pytest.approx(1, abs=0.02)


def test_shared_and_tied_weights_are_one():
    model = Transformer(SMALL, WORDS)
    assert model.source_embedding.weight is model.target_embedding.weight
    assert model.projection.weight is model.target_embedding.weight
    assert model.projection.bias is None
    apart = Transformer(replace(SMALL, tied=False), WORDS, FOREIGN)
    pointers = {each.weight.data_ptr() for each in (apart.source_embedding, apart.target_embedding, apart.projection)}
    assert len(pointers) == 3
    assert apart.source_embedding.weight.shape == (FOREIGN, 16)
    assert apart.projection.bias.shape == (WORDS,)


def test_tied_weights_stay_one_when_loaded():
    torch.manual_seed(0)
    saved = Transformer(SMALL, WORDS).state_dict()
    model = Transformer(SMALL, WORDS)
    model.load_state_dict(saved)
    with torch.no_grad():
        model.target_embedding.weight[3] = 9
    assert (model.projection.weight[3] == 9).all()
    assert (model.source_embedding.weight[3] == 9).all()


@pytest.mark.parametrize("pre_norm", [True, False])
@pytest.mark.parametrize(("tied", "source_size"), [(True, None), (False, FOREIGN)])
def test_a_gradient_reaches_every_parameter(pre_norm, tied, source_size):
    torch.manual_seed(0)
    model = Transformer(replace(SMALL, pre_norm=pre_norm, tied=tied), WORDS, source_size)
    source = ids(8, 10)
    logits = model(source, ids(8, 10), everywhere(source))
    torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids(80)).backward()
    still = [
        name for name, weight in model.named_parameters() if weight.grad is None or not weight.grad.abs().max() > 0
    ]
    assert still == []


def test_dropout_is_for_training_alone():
    torch.manual_seed(0)
    model = Transformer(replace(SMALL, dropout=0.5), WORDS)
    source = ids(2, 6)
    with torch.no_grad():
        assert not torch.equal(model(source, source, everywhere(source)), model(source, source, everywhere(source)))
        model.eval()
        assert torch.equal(model(source, source, everywhere(source)), model(source, source, everywhere(source)))


def test_positions_are_no_weights():
    assert not [name for name in Transformer(SMALL, WORDS).state_dict() if "positions" in name]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"d_model": 0}, "expected d_model from 1 on, came 0"),
        ({"e_layers": 0}, "expected e_layers from 1 on, came 0"),
        ({"d_layers": -1}, "expected d_layers from 1 on, came -1"),
        ({"d_ff": 0}, "expected d_ff from 1 on, came 0"),
        ({"max_len": 0}, "expected max_len from 1 on, came 0"),
        ({"n_heads": 0}, "expected n_heads from 1 on, came 0"),
        ({"n_heads": 3}, "expected d_model 16 to be a multiple of n_heads 3"),
        ({"dropout": 1.0}, "expected 0 <= dropout < 1, came 1.0"),
        ({"dropout": -0.1}, "expected 0 <= dropout < 1, came -0.1"),
    ],
)
def test_refuses_a_config_that_cannot_be(change, message):
    with pytest.raises(ValueError, match=message):
        replace(SMALL, **change)
