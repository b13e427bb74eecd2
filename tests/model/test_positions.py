import torch

from model.positions import sinusoids


def test_sinusoids_by_hand():
    table = sinusoids(3, 4)
    expected = torch.tensor([[0, 1, 0, 1], [0.8414710, 0.5403023, 0.0099998, 0.9999500]])
    torch.testing.assert_close(table[:2], expected, atol=1e-6, rtol=0)
    assert sinusoids(3, 5).shape == (3, 5)
