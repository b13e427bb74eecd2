from dataclasses import replace

import pytest
import torch

from model.informer import Distiller, Informer, InformerConfig

TINY = InformerConfig(d_model=16, n_heads=2, d_ff=32, dropout=0.0)


def informer(config=TINY, *, n_columns=3, n_features=4, seed=1):
    torch.manual_seed(0)
    return Informer(config, n_columns, n_features, seed).eval()


def inputs(config=TINY, *, batch=2, n_columns=3, n_features=4):
    generator = torch.Generator().manual_seed(0)
    history = torch.randn(batch, config.seq_len, n_columns, generator=generator)
    calendar = torch.rand(batch, config.seq_len + config.pred_len, n_features, generator=generator) - 0.5
    return history, calendar


def shape(attention_map):
    return tuple(getattr(attention_map, "weights", attention_map).shape)


@pytest.mark.parametrize(
    ("changes", "encoder_lens"),
    [
        ({}, [96, 48]),
        ({"attention": "full"}, [96, 48]),
        ({"distil": False}, [96, 96]),
        ({"e_layers": 1}, [96]),
        ({"e_layers": 3}, [96, 48, 24]),
        ({"e_layers": 3, "seq_len": 95}, [95, 48, 24]),
        ({"e_layers": 3, "seq_len": 97}, [97, 49, 25]),
        ({"d_layers": 2, "mix": True}, [96, 48]),
        ({"label_len": 0}, [96, 48]),
        ({"label_len": 96}, [96, 48]),
        ({"seq_len": 1, "label_len": 1, "pred_len": 1}, [1, 1]),
        ({"pred_len": 1, "label_len": 0}, [96, 48]),
        ({"d_model": 15, "n_heads": 3}, [96, 48]),
    ],
)
@torch.no_grad()
def test_shapes(changes, encoder_lens):
    config = replace(TINY, **changes)
    model = informer(config)
    history, calendar = inputs(config)
    forecast = model(history, calendar)
    assert forecast.shape == (2, config.pred_len, 3)
    assert forecast.isfinite().all()

    assert [len(axis) for axis in config.encoder_axes()] == encoder_lens
    memory, maps = model.encode(history, calendar[:, : config.seq_len], need_map=True)
    assert memory.shape == (2, encoder_lens[-1], config.d_model)
    assert [shape(each) for each in maps] == [(2, config.n_heads, length, length) for length in encoder_lens]
    length = config.label_len + config.pred_len
    tokens = torch.zeros(2, length, 3)
    output, maps = model.decode(tokens, calendar[:, -length:], memory, need_map=True)
    assert output.shape == (2, length, 3)
    assert [(shape(own), shape(cross)) for own, cross in maps] == [
        ((2, config.n_heads, length, length), (2, config.n_heads, length, encoder_lens[-1]))
    ] * config.d_layers


@pytest.mark.parametrize("attention", ["probsparse", "full"])
@torch.no_grad()
def test_a_row_alone_or_among_64_and_two_calls_agree(attention):
    model = informer(replace(TINY, attention=attention))
    history, calendar = inputs(batch=64)
    together = model(history, calendar)
    assert torch.equal(together, model(history, calendar))
    for row in (0, 31, 63):
        alone = model(history[row : row + 1], calendar[row : row + 1])
        torch.testing.assert_close(together[row : row + 1], alone, atol=1e-5, rtol=0)
    shuffled = torch.randperm(64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(model(history[shuffled], calendar[shuffled]), together[shuffled], atol=1e-5, rtol=0)


def test_the_seed_draws_the_key_samples():
    history, calendar = inputs()
    first, same, other = informer(seed=1), informer(seed=1), informer(seed=2)
    assert torch.equal(first(history, calendar), same(history, calendar))
    assert not torch.equal(first(history, calendar), other(history, calendar))


@torch.no_grad()
def moved_by_step_70(config):
    """The decoder steps of 72 whose output moves with the input at step 70."""
    model = informer(config)
    history, calendar = inputs(config)
    memory, _ = model.encode(history, calendar[:, :96])
    tokens = torch.randn(2, 72, 3, generator=torch.Generator().manual_seed(1))
    before, _ = model.decode(tokens, calendar[:, 48:], memory)
    tokens[:, 70] += 1.0
    after, _ = model.decode(tokens, calendar[:, 48:], memory)
    return set(((before - after).abs().amax((0, 2)) > 1e-6).nonzero().flatten().tolist())


# The embedding's convolution of width 3 reaches one step back. Which queries ProbSparse selects may
# depend on later steps, so it is held to this where all are selected.
@pytest.mark.parametrize("changes", [{"attention": "full"}, {"factor": 72}, {"attention": "full", "d_layers": 3}])
def test_a_decoder_step_sees_no_later_one(changes):
    assert moved_by_step_70(replace(TINY, **changes)) == {69, 70, 71}


@pytest.mark.parametrize("changes", [{"attention": "full"}, {"factor": 72}])
def test_with_mix_it_does(changes):
    assert min(moved_by_step_70(replace(TINY, mix=True, **changes))) < 69


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("attention", ["probsparse", "full"])
@pytest.mark.parametrize("changes", [{}, {"mix": True, "distil": False, "d_layers": 2}])
def test_gradient_flows_into_every_parameter(attention, changes, training):
    model = informer(replace(TINY, attention=attention, dropout=0.05, **changes)).train(training)
    model(*inputs(batch=8)).square().mean().backward()
    flow = {name: parameter.grad.abs().max().item() for name, parameter in model.named_parameters()}
    # The softmax takes a key's bias away again, and the batch norm of training each constant put before it:
    # their gradient is nought but rounding.
    taken_away = {name for name in flow if name.endswith("attention.key.bias")}
    if training and model.distillers:
        taken_away |= {"distillers.0.convolution.bias", "encoder.0.feed_forward_norm.bias"}
    assert {name for name, largest in flow.items() if largest < 1e-6} == taken_away


@pytest.mark.parametrize("changes", [{}, {"attention": "full", "e_layers": 3, "d_layers": 2}, {"distil": False}])
@torch.no_grad()
def test_explains_its_very_forecast(changes):
    config = replace(TINY, **changes)
    model = informer(config)
    history, calendar = inputs(config)
    forecast, maps = model.explain(history, calendar)
    assert torch.equal(forecast, model(history, calendar))
    specs = config.attention_specs()
    assert len(maps) == len(specs) == config.e_layers + 2 * config.d_layers
    for spec, (weights, selected) in zip(specs, maps, strict=True):
        assert weights.shape == (2, spec.n_heads, len(spec.rows), len(spec.columns))
        torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:-1]))
        assert selected.shape == weights.shape[:-1]
        assert selected.all() == (spec.kind == "cross" or config.attention == "full")
    _, encoder_maps = model.encode(history, calendar[:, : config.seq_len], need_map=True)
    assert torch.equal(maps[-1 - 2 * config.d_layers].weights, getattr(encoder_maps[-1], "weights", encoder_maps[-1]))


@pytest.mark.parametrize("seq_len", [96, 97, 7, 2])
@torch.no_grad()
def test_a_distilled_position_is_pooled_around_the_first_step_that_it_stands_for(seq_len):
    axes = replace(TINY, seq_len=seq_len, label_len=1, e_layers=4).encoder_axes()
    distillers = [Distiller(4).eval() for _ in axes[1:]]
    x = torch.randn(1, seq_len, 4, generator=torch.Generator().manual_seed(0))
    for step in range(seq_len):
        moved, before = x.clone(), x
        moved[:, step] += 10
        for axis, distiller in zip(axes[1:], distillers, strict=True):
            moved, before = distiller(moved), distiller(before)
            changed = (moved != before).any(-1).flatten().nonzero().flatten()
            # a convolution and a pooling of width 3 each: two positions of the layer below on either side
            around = torch.tensor(axis.first_steps())[changed]
            away = (around - step).abs()
            assert torch.minimum(away, seq_len - away).max() <= 2 * (axis.stride - 1)
            (stands,) = ((axis.first_steps() <= step) & (step <= axis.last_steps())).nonzero()
            assert len(stands) == 1


def test_with_mix_a_query_s_context_goes_on_where_the_spec_says():
    config = replace(TINY, mix=True, attention="full")
    (spec,) = (each for each in config.attention_specs() if each.kind == "decoder")
    assert spec.mixed
    length, heads = len(spec.rows), spec.n_heads
    # what head h gathers for row i: a number of its own
    context = torch.arange(heads * length).view(1, heads, length, 1).expand(-1, -1, -1, config.d_model // heads)
    after = context.reshape(1, length, config.d_model)
    for head in range(heads):
        for row in range(length):
            assert (head * length + row) in after[0, (head * length + row) // heads]
    assert not any(each.mixed for each in replace(config, mix=False).attention_specs())


@torch.no_grad()
def test_the_forecast_starts_from_the_last_rows_and_zeros():
    config = replace(TINY, label_len=5, pred_len=3)
    model = informer(config)
    history, calendar = inputs(config)
    memory, _ = model.encode(history, calendar[:, :96])
    tokens = torch.cat([history[:, -5:], torch.zeros(2, 3, 3)], dim=1)
    expected, _ = model.decode(tokens, calendar[:, -8:], memory)
    torch.testing.assert_close(model(history, calendar), expected[:, -3:])


def test_the_paper_s_configuration_has_its_parameters():
    model = Informer(InformerConfig(), 7, 4, seed=0)
    assert sum(parameter.numel() for parameter in model.parameters()) == pytest.approx(11.33e6, abs=5e3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seq_len": 0, "factor": -1}, "whole numbers from 1 on, came seq_len = 0, factor = -1"),
        ({"n_heads": 3}, "expected n_heads to divide d_model, came 3 and 16"),
        ({"label_len": 97}, "expected 0 <= label_len <= seq_len, came 97 and 96"),
        ({"label_len": -1}, "expected 0 <= label_len <= seq_len, came -1 and 96"),
        ({"dropout": 1.0}, r"expected 0 <= dropout < 1, came 1\.0"),
    ],
)
def test_refuses_sizes_that_cannot_be(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(TINY, **changes)
