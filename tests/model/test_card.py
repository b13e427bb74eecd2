from dataclasses import replace

import numpy as np
import pytest

from contract.intervals import Intervals
from model.card import unresolved, verdict
from model.evaluate import Evaluation, Scores


def scores(mse):
    return Scores(mse, mse, (mse,), (mse,), {"a": mse}, {"a": mse})


@pytest.mark.parametrize(
    ("model", "ridge", "said"),
    [
        (0.3, 0.4, "The model's MSE is 25% lower than that of the best baseline, ridge."),
        (0.6, 0.4, "The model's MSE is 50% higher than that of the best baseline, ridge."),
        (0.9, 2.0, "The model's MSE is 10% lower than that of the best baseline, last value."),
        (0.25, 0.0, "The best baseline, ridge, makes no error at all; the model's MSE is 0.25."),
    ],
)
def test_the_verdict_is_against_the_best_baseline(model, ridge, said):
    evaluation = Evaluation("test", 1, {"model": scores(model), "last value": scores(1.0), "ridge": scores(ridge)})
    assert verdict(evaluation) == said


def test_says_what_the_manifest_says(bundle):
    card, manifest = bundle.card(), bundle.manifest
    assert card.startswith("# tiny, version 1\n")
    assert "24 rows of 3 columns, one every h, to the next 6; informer," in card
    assert f"{manifest.training['parameters']:,} parameters" in card
    assert "- Columns: load (MW), temp, meter\n" in card
    assert manifest.training["data_sha256"] in card
    assert manifest.training["history"] in card
    assert f"Every one of the {manifest.metrics['windows']} windows of the test split" in card
    for name, each in manifest.metrics["scores"].items():
        assert f"| {name} | {each['mse']:.3f} | {each['mae']:.3f} |" in card
    decoded = {name: Scores(**each) for name, each in manifest.metrics["scores"].items()}
    assert verdict(replace(Evaluation("test", 1, {}), scores=decoded)) in card
    assert f"```toml\n{manifest.training['recipe'].strip()}\n```" in card


@pytest.mark.parametrize(
    ("windows", "said"),
    [
        (19, None),
        (18, "as wide for 95 % as for 90 % in 6 of 6. There"),
        (8, "as wide for 90 % as for 80 % in 6 of 6; for 95 % as for 90 % in 6 of 6. There"),
    ],
)
def test_levels_that_too_few_windows_do_not_tell_apart_are_told(windows, said):
    """C = 2 columns, P = 3 steps; 19 errors have one beyond the 95th percentile, fewer have none."""
    random = np.random.default_rng(1)
    errors, histories = random.normal(size=(windows, 3, 2)), random.normal(size=(windows, 10, 2))
    told = unresolved(Intervals.calibrate(errors, histories, np.ones(2), 4))
    assert told == "" if said is None else said in told
    assert "\n\n" not in told.strip()
