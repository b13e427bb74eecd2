import pytest
import torch

from model.datasets import Windows
from model.linear import PENALTIES, fit_ridge, ridge_forecast


def windows(values):
    return Windows(values, torch.zeros(len(values), 1), seq_len=4, pred_len=2)


def series(n, seed=0):
    """Two columns: x' = x + a (x - its last but one) exactly, with an `a` for each."""
    values = torch.randn(n, 2, generator=torch.Generator().manual_seed(seed)).double()
    for row in range(2, n):
        values[row] = values[row - 1] - torch.tensor([0.9, -0.99]) * (values[row - 1] - values[row - 2])
    return values


def test_finds_the_map_of_each_column():
    train, val, test = windows(series(60)), windows(series(30, 1)), windows(series(30, 2))
    weights = fit_ridge(train, val)
    assert weights.shape == (2, 4, 2)
    history, _, future = test.batch(torch.arange(len(test)))
    error = (ridge_forecast(weights, history) - future).abs().amax((0, 1))
    assert (error < 0.2 * (future - history[:, -1:]).abs().amax((0, 1))).all()


def test_a_shift_of_the_history_shifts_the_forecast():
    weights = fit_ridge(windows(series(60)), windows(series(30, 1)))
    history = torch.randn(3, 4, 2, generator=torch.Generator().manual_seed(3)).double()
    torch.testing.assert_close(ridge_forecast(weights, history + 7), ridge_forecast(weights, history) + 7)


@pytest.mark.parametrize("noise", [0.0, 30.0])
def test_the_penalty_is_the_validation_s_best(noise):
    train = series(60) + noise * torch.randn(60, 2, generator=torch.Generator().manual_seed(4))
    val = windows(series(30, 1))
    history, _, future = val.batch(torch.arange(len(val)))
    error = float((ridge_forecast(fit_ridge(windows(train), val), history) - future).square().mean())

    x, _, y = windows(train).batch(torch.arange(len(windows(train))))
    x, y = ((part - x[:, -1:]).permute(2, 0, 1) for part in (x, y))
    errors = []
    for penalty in PENALTIES:
        solution = torch.linalg.solve(x.transpose(1, 2) @ x + penalty * torch.eye(4), x.transpose(1, 2) @ y)
        errors.append(float((ridge_forecast(solution, history) - future).square().mean()))
    assert error == pytest.approx(min(errors))
    assert max(errors) > 1.1 * min(errors)


def test_a_column_that_never_varies_stays():
    flat = windows(torch.full((30, 1), 5.0))
    weights = fit_ridge(flat, flat)
    assert ridge_forecast(weights, torch.full((1, 4, 1), 8.0)).flatten().tolist() == [8.0, 8.0]
