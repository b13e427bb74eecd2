from dataclasses import replace

import pytest

from model.card import verdict
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
