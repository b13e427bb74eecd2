import math
from dataclasses import replace

import pytest
import torch

from model.recurrent import Recurrent, RecurrentConfig

SMALL = RecurrentConfig(d_embed=12, d_hidden=16, max_len=12)
WORDS, FOREIGN = 30, 40
SCORES = ("additive", "dot", "scaled_dot", "bilinear")


def build(attention):
    torch.manual_seed(0)
    return Recurrent(replace(SMALL, attention=attention), WORDS).eval()


@pytest.fixture(params=["fixed", *SCORES])
def model(request):
    return build(request.param)


def ids(*shape):
    return torch.randint(1, WORDS, shape, generator=torch.Generator().manual_seed(1))


def everywhere(source):
    return torch.ones_like(source, dtype=torch.bool)


def test_logits_of_each_position(model):
    source, target = ids(3, 9), ids(3, 7)
    assert model(source, target, everywhere(source)).shape == (3, 7, WORDS)


def test_a_later_target_never_moves_what_was_before(model):
    source, target = ids(2, 9), ids(2, 8)
    with torch.no_grad():
        before = model(source, target, everywhere(source))
        for position in range(1, 8):
            changed = target.clone()
            changed[:, position] = (changed[:, position] + 1) % WORDS
            after = model(source, changed, everywhere(source))
            torch.testing.assert_close(after[:, :position], before[:, :position], rtol=0, atol=0)
            assert (after[:, position:] - before[:, position:]).abs().amax(-1).min() > 0


def test_every_source_token_is_heard_from_both_ends(model):
    source, target = ids(1, 6), ids(1, 3)
    with torch.no_grad():
        plain = model(source, target, everywhere(source))
        for position in range(6):
            changed = source.clone()
            changed[0, position] = (changed[0, position] + 1) % WORDS
            assert (model(changed, target, everywhere(source)) - plain).abs().max() > 1e-5


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


@pytest.mark.parametrize("attention", SCORES)
def test_maps_sum_to_one_and_are_zero_on_padding(attention):
    model, source, target = build(attention), ids(2, 9), ids(2, 7)
    mask = torch.arange(9) < torch.tensor([9, 5])[:, None]
    with torch.no_grad():
        memory, _ = model.encode(source, mask)
        _, ((self_map, cross_map),) = model.decode(target, memory, mask, need_map=True)
    assert self_map is None
    assert cross_map.shape == (2, 1, 7, 9)
    torch.testing.assert_close(cross_map.sum(-1), torch.ones(2, 1, 7))
    assert (cross_map[1, :, :, 5:] == 0).all()


def test_one_fixed_vector_is_all_that_its_decoder_gets():
    model, source, target = build("fixed"), ids(2, 9), ids(2, 7)
    with torch.no_grad():
        memory, _ = model.encode(source, everywhere(source))
        logits, maps = model.decode(target, memory, everywhere(source), need_map=True)
        forgot = memory._replace(positions=torch.zeros_like(memory.positions))
        same, _ = model.decode(target, forgot, everywhere(source))
    assert maps == [(None, None)]
    torch.testing.assert_close(logits, same, rtol=0, atol=0)


def test_gradient_reaches_every_parameter(model):
    source, target = ids(2, 9), ids(2, 7)
    model(source, target, everywhere(source)).square().mean().backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


def test_two_vocabularies():
    model = Recurrent(SMALL, WORDS, FOREIGN).eval()
    source = torch.full((1, 4), FOREIGN - 1)
    assert model(source, ids(1, 3), everywhere(source)).shape == (1, 3, WORDS)


def test_the_first_loss_is_that_of_a_guess(model):
    source, target = ids(8, 9), ids(8, 7)
    loss = torch.nn.functional.cross_entropy(model(source, target, everywhere(source)).flatten(0, 1), target.flatten())
    assert loss.item() == pytest.approx(math.log(WORDS), abs=0.7)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"d_hidden": 0}, "expected d_hidden from 1 on, came 0"),
        ({"dropout": 1.0}, "expected 0 <= dropout < 1, came 1.0"),
    ],
)
def test_a_faulty_config_tells_what_is_wrong(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(SMALL, **changes)
