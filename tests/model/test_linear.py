import numpy as np
import pytest
import torch

from contract.ridge import PENALTIES
from model.architectures import ARCHITECTURES
from model.linear import Linear, LinearConfig, fit_ridge
from model.windows import Windows

PHASE = (0, 24)  # the hour is the first calendar feature


def windows(values):
    hours = torch.arange(len(values)) % 24 / 23 - 0.5
    starts = torch.arange(len(values) - 5)
    return Windows(values, values, hours[:, None].float(), starts, seq_len=4, pred_len=2)


def series(n, seed=0):
    """Two columns: x' = x + a (x - its last but one) exactly, with an `a` for each."""
    values = torch.randn(n, 2, generator=torch.Generator().manual_seed(seed)).double()
    for row in range(2, n):
        values[row] = values[row - 1] - torch.tensor([0.9, -0.99]) * (values[row - 1] - values[row - 2])
    return values


def fitted(train, val, **inputs):
    model = Linear(LinearConfig(seq_len=4, pred_len=2, **inputs), train.values.shape[1], PHASE).double()
    fit_ridge(model, train, val)
    return model


def errors(model, test):
    history, calendar, future = test.batch(torch.arange(len(test)))
    with torch.no_grad():
        return model(history, calendar.double()) - future


ALL = {"turning_rows": 2, "harmonics": 2, "shared_rows": 3}


@pytest.mark.parametrize("inputs", [{}, ALL])
def test_finds_the_map_of_each_column(inputs):
    test = windows(series(30, 2))
    model = fitted(windows(series(60)), windows(series(30, 1)), **inputs)
    history, _, future = test.batch(torch.arange(len(test)))
    worst = errors(model, test).abs().amax((0, 1))
    assert (worst < 0.3 * (future - history[:, -1:]).abs().amax((0, 1))).all()


@pytest.mark.parametrize("inputs", [{}, ALL])
def test_a_shift_of_the_history_shifts_the_forecast(inputs):
    model = fitted(windows(series(60)), windows(series(30, 1)), **inputs)
    history = torch.randn(3, 4, 2, generator=torch.Generator().manual_seed(3)).double()
    calendar = torch.zeros(3, 6, 1).double()
    torch.testing.assert_close(model(history + 7, calendar), model(history, calendar) + 7)


@pytest.mark.parametrize("noise", [0.0, 30.0])
def test_the_penalty_of_each_column_is_the_validation_s_best(noise):
    train = series(60) + noise * torch.randn(60, 2, generator=torch.Generator().manual_seed(4))
    val = windows(series(30, 1))
    came = errors(fitted(windows(train), val), val).square().mean((0, 1))

    x, _, y = windows(train).batch(torch.arange(len(windows(train))))
    history, _, future = val.batch(torch.arange(len(val)))
    for column in range(2):
        inputs, targets = ((part - x[:, -1:])[..., column] for part in (x, y))
        inputs = torch.cat([inputs, torch.ones(len(inputs), 1)], dim=1)  # and a constant
        mean_errors = []
        for penalty in PENALTIES:
            weights = torch.linalg.solve(inputs.T @ inputs + penalty * torch.eye(5), inputs.T @ targets)
            changes = torch.cat([(history - history[:, -1:])[..., column], torch.ones(len(history), 1)], dim=1)
            wrong = changes @ weights + history[:, -1:, column] - future[..., column]
            mean_errors.append(float(wrong.square().mean()))
        assert float(came[column]) == pytest.approx(min(mean_errors))
        assert max(mean_errors) > 1.1 * min(mean_errors)


def test_turning_rows_look_back_differently_by_the_hour():
    """A column that falls after noon as much as it rose before it, which one map for all hours cannot say."""
    hours = np.arange(24 * 60) % 24
    random = np.random.default_rng(1)
    steps = np.where(hours < 12, 1, -1) * np.repeat(random.uniform(0, 2, 60), 24)
    values = torch.from_numpy(np.cumsum(steps))[:, None]
    train, val, test = (windows(values[part]) for part in (slice(0, 960), slice(960, 1200), slice(1200, 1440)))
    plain, turning = fitted(train, val), fitted(train, val, turning_rows=2, harmonics=3)
    assert errors(turning, test).square().mean() < 0.7 * errors(plain, test).square().mean()


def test_shared_rows_let_a_column_follow_another():
    random = torch.randn(400, 1, generator=torch.Generator().manual_seed(1)).double()
    values = torch.cat([random, random.roll(2, 0)], dim=1)  # the second says what the first did two rows ago
    train, val, test = (windows(values[part]) for part in (slice(2, 250), slice(250, 320), slice(320, 400)))
    alone, shared = fitted(train, val), fitted(train, val, shared_rows=4)
    follower = errors(shared, test)[..., 1].square().mean()
    assert follower < 0.05 * errors(alone, test)[..., 1].square().mean()


def test_a_column_that_never_varies_stays():
    flat = windows(torch.full((30, 1), 5.0).double())
    model = fitted(flat, flat)
    assert model(torch.full((1, 4, 1), 8.0).double(), torch.zeros(1, 6, 1)).flatten().tolist() == [8.0, 8.0]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"seq_len": 1}, "seq_len >= 2"),
        ({"pred_len": 0}, "pred_len >= 1"),
        ({"label_len": 3}, "no decoder"),
        ({"harmonics": -1}, "harmonics"),
        ({"turning_rows": 97}, "turning_rows"),
        ({"shared_rows": -1}, "shared_rows"),
    ],
)
def test_refuses_what_cannot_be(wrong, said):
    with pytest.raises(ValueError, match=said):
        LinearConfig(**wrong)


def test_is_fitted_in_closed_form_and_the_informer_is_not():
    assert ARCHITECTURES["linear"].fit is not None
    assert ARCHITECTURES["informer"].fit is None
