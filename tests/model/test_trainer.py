import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from contract.errors import FaultyRecipe, FaultyTable
from model.config import TrainingConfig, parse_recipe
from model.runs import train
from model.trainer import BEST, LAST, LOSSES, Trainer, Validation, save

CPU = torch.device("cpu")


class Scripted:
    """A task whose validation losses are given."""

    def __init__(self, validation):
        self.validation = iter(validation)

    def batches(self, batch_size):
        return torch.randn(4, batch_size, 2)

    def loss(self, model, batch):
        return model(batch).square().mean()

    def validate(self, model):
        assert not model.training
        validation = next(self.validation)
        return validation if isinstance(validation, Validation) else Validation(validation)


def trainer(run, validation, **config):
    torch.manual_seed(0)
    return Trainer(nn.Linear(2, 1), Scripted(validation), TrainingConfig(**config), run, CPU)


@pytest.mark.parametrize(
    ("validation", "epochs", "best", "stale"),
    [
        ([3, 2, 1, 0.5, 0.4, 0.3], 4, 0.5, 0),  # the epochs end
        ([3, 2, 2.5, 2], 4, 2, 2),  # equal is no better
        ([1, 2, 3], 3, 1, 2),
        ([2, 3, 1, 2, 3], 4, 1, 1),
        ([float("nan"), float("nan")], 2, float("inf"), 2),
        ([float("nan"), 2, 1, 0], 4, 0, 0),
    ],
)
def test_ends_after_its_epochs_or_its_patience(tmp_path, validation, epochs, best, stale):
    progress = trainer(tmp_path, validation, epochs=4, patience=2).fit()
    assert len(progress.losses) == epochs
    assert (progress.best, progress.stale) == (best, stale)
    assert len(json.loads((tmp_path / LOSSES).read_text())) == epochs


def test_keeps_the_weights_of_the_best_epoch(tmp_path):
    trainer(tmp_path / "all", [2, 1, 3, 4], epochs=4, patience=4).fit()
    trainer(tmp_path / "two", [2, 1], epochs=2).fit()
    best, last_of_two = (torch.load(tmp_path / path, weights_only=True) for path in (f"all/{BEST}", f"two/{LAST}"))
    torch.testing.assert_close(best, last_of_two["model"], rtol=0, atol=0)


def test_the_learning_rate_falls_each_epoch(tmp_path):
    fitted = trainer(tmp_path, [3, 2, 1], epochs=3, learning_rate=0.8, lr_decay=0.5)
    fitted.fit()
    assert fitted.optimizer.param_groups[0]["lr"] == pytest.approx(0.2)


def test_a_checkpoint_holds_all_that_decides_what_follows(tmp_path):
    trainer(tmp_path, [1], epochs=1).fit()
    state = torch.load(tmp_path / LAST, weights_only=True)
    assert set(state) == {"model", "optimizer", "progress", "rng"}
    assert state["optimizer"]["state"][0]["step"] == 4


def rates_of(run, **config):
    """The learning rate of each of three epochs' four steps, or of those that a run in `run` has left."""
    each = trainer(run, [1, 1, 1], epochs=3, learning_rate=0.1, **config)
    if (run / LAST).exists():
        each.resume()
    rates = []
    each.optimizer.register_step_post_hook(lambda optimizer, *_: rates.append(optimizer.param_groups[0]["lr"]))
    each.fit()
    return rates


def test_warms_up_and_falls_by_the_inverse_root(tmp_path):
    rates = rates_of(tmp_path, warmup=5, lr_decay=1.0)
    rising = [0.1 * step / 5 for step in range(1, 6)]
    assert rates == pytest.approx([*rising, *(0.1 * (5 / step) ** 0.5 for step in range(6, 13))])


def test_without_warm_up_the_rate_falls_by_epoch(tmp_path):
    assert rates_of(tmp_path, lr_decay=0.5) == pytest.approx([0.1] * 4 + [0.05] * 4 + [0.025] * 4)


def test_warm_up_goes_on_where_a_run_was_left(tmp_path):
    unbroken = rates_of(tmp_path / "unbroken", warmup=5, lr_decay=1.0)
    trainer(tmp_path / "cut", [1], epochs=1, learning_rate=0.1, warmup=5, lr_decay=1.0).fit()
    assert rates_of(tmp_path / "cut", warmup=5, lr_decay=1.0) == unbroken[4:]


def test_tensorboard_has_losses_rate_figures_and_samples(tmp_path):
    validation = [Validation(2.0, {"BLEU": 10.0}, "- a cat"), Validation(1.0, {"BLEU": 20.0}, "- a dog")]
    config = TrainingConfig(epochs=2, learning_rate=0.1, lr_decay=0.5)
    Trainer(nn.Linear(2, 1), Scripted(validation), config, tmp_path, CPU).fit()
    board = events(tmp_path / "tensorboard")
    assert [(event.step, event.value) for event in board.Scalars("BLEU")] == [(1, 10), (2, 20)]
    assert [event.value for event in board.Scalars("learning_rate")] == pytest.approx([0.1, 0.05])
    samples = board.Tensors("samples/text_summary")
    assert [event.tensor_proto.string_val[0] for event in samples] == [b"- a cat", b"- a dog"]
    losses = events(tmp_path / "tensorboard" / "loss_validation")
    assert [event.value for event in losses.Scalars("loss")] == [2, 1]


def test_the_terminal_shows_figures(tmp_path, capsys):
    Trainer(
        nn.Linear(2, 1), Scripted([Validation(2.0, {"BLEU": 12.345})]), TrainingConfig(epochs=1), tmp_path, CPU
    ).fit()
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.startswith("epoch 1: train ")
    assert line.endswith("validation 2.0000  BLEU 12.35  best")


def events(folder):
    accumulator = EventAccumulator(str(folder))
    accumulator.Reload()
    return accumulator


def test_a_kill_while_saving_leaves_the_old_file(tmp_path, monkeypatch):
    save({"epoch": 1}, tmp_path / LAST)

    def killed(state, path):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        save({"epoch": 2}, tmp_path / LAST)
    assert torch.load(tmp_path / LAST, weights_only=True) == {"epoch": 1}


def test_training_lowers_the_loss(trained):
    losses = json.loads((trained / LOSSES).read_text())
    assert len(losses) == 3
    (first_train, first_val), *_, (last_train, last_val) = losses
    assert last_train < 0.9 * first_train
    assert last_val < first_val


def test_a_run_killed_and_resumed_is_an_unbroken_run(tmp_path, trained, recipe, csv):
    (tmp_path / "recipe.toml").write_text(recipe.text)
    run = tmp_path / "killed"
    command = [sys.executable, "-m", "seqcast", "train", tmp_path / "recipe.toml", "--data", csv, "--run", run]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    deadline = time.monotonic() + 120
    while not (run / LAST).exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, (tmp_path / "log").read_text()
    done = torch.load(run / LAST, weights_only=True)["progress"]["losses"]
    assert 1 <= len(done) < recipe.training.epochs

    train(recipe, csv, run, resume=True)
    assert json.loads((run / LOSSES).read_text()) == json.loads((trained / LOSSES).read_text())
    resumed, unbroken = (torch.load(path / LAST, weights_only=True) for path in (run, trained))
    torch.testing.assert_close(resumed, unbroken, rtol=0, atol=0)


def test_a_finished_run_resumed_stays_as_it_is(trained, recipe, csv):
    before = {name: (trained / name).read_bytes() for name in (BEST, LAST, LOSSES)}
    train(recipe, csv, trained, resume=True)
    assert {name: (trained / name).read_bytes() for name in before} == before


def test_nothing_to_resume(tmp_path, recipe, csv):
    with pytest.raises(FaultyRecipe, match=r"nothing to resume: .* has no checkpoint"):
        train(recipe, csv, tmp_path / "none", resume=True)
    assert not (tmp_path / "none").exists()


def test_no_resuming_with_another_recipe(trained, recipe, csv):
    other = parse_recipe(recipe.text.replace("epochs = 3", "epochs = 4"))
    with pytest.raises(FaultyRecipe, match=r"cannot resume: .* was started with another recipe"):
        train(other, csv, trained, resume=True)


def test_no_resuming_with_another_table(trained, recipe, tmp_path, make_table, write_csv):
    other = write_csv(tmp_path / "other.csv", make_table(400, columns=("load", "temp", "meter")))
    with pytest.raises(FaultyTable, match=r"cannot resume with other data: expected sha256 \w{64}, came \w{64}"):
        train(recipe, other, trained, resume=True)


def test_no_run_is_overwritten(trained, recipe, csv):
    with pytest.raises(FaultyRecipe, match="holds a run already: --resume it, or give another --run"):
        train(replace(recipe, seed=2), csv, trained, resume=False)
