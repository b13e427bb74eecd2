import pytest
import torch
from torch import nn

from model.calibration import input_ranges


class TwoLayers(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(1, 1, bias=False), nn.Linear(1, 1)
        nn.init.constant_(self.first.weight, -3)

    def forward(self, source, target, mask):
        assert mask.all()
        self.second(self.first(source[..., None].float()) + target.float().sum())


def test_ranges_are_the_largest_inputs_of_each_layer_over_all_pairs():
    assert input_ranges(TwoLayers(), [([1, 2], [0]), ([5], [1]), ([3, 4, 4], [0, 0])]) == {"first": 5, "second": 14}


def test_nothing_is_watched_afterwards():
    model = TwoLayers()
    ranges = input_ranges(model, [([1], [0])])
    model(torch.tensor([[9]]), torch.tensor([[0]]), torch.ones(1, 1))
    assert ranges == {"first": 1, "second": 3}


def test_nothing_is_watched_after_a_failure():
    model = TwoLayers()
    with pytest.raises(TypeError):
        input_ranges(model, [([1], [0]), (None, [0])])
    assert not any(each._forward_pre_hooks for each in model.modules())
