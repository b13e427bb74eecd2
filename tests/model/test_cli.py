import hashlib
import json
import os
import signal
import subprocess
import sys

import pytest

import seqcast
from contract.bundle import read_bundle

RECIPE = """
name = "verbs"
seed = 1
architecture = "informer"
[model]
seq_len = 24
label_len = 12
pred_len = 6
d_model = 16
n_heads = 2
d_ff = 32
[training]
epochs = 2
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A working directory for the verbs, with a recipe."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "recipe.toml").write_text(RECIPE)
    return folder


@pytest.fixture(scope="module")
def run(home, csv):
    assert seqcast.main(["train", str(home / "recipe.toml"), "--data", str(csv), "--run", str(home / "run")]) == 0
    return home / "run"


@pytest.fixture
def cli(capsys):
    """cli(*arguments) -> exit status, stdout, stderr."""

    def cli(*arguments):
        capsys.readouterr()
        status = seqcast.main([str(argument) for argument in arguments])
        return status, *capsys.readouterr()

    return cli


def test_train_resume_evaluate_export_evaluate(home, run, csv, cli):
    status, out, _ = cli("train", home / "recipe.toml", "--data", csv, "--run", run, "--resume")
    assert status == 0
    assert f"next: seqcast export {run}" in out

    status, report, _ = cli("evaluate", run, "--data", csv)
    assert status == 0
    lines = report.splitlines()
    assert lines[0] == "75 windows of the test split; MSE/MAE, by column in its units"
    assert lines[1].split() == ["model", "last", "value", "last", "season", "ridge"]
    labels = ("all, scaled", "load", "temp", "meter", *(f"step {step}" for step in range(1, 7)))
    for line, label in zip(lines[2:], labels, strict=False):
        assert line.startswith(label)
        assert line.count("/") == 4
    assert lines[-1].startswith("The model's MSE is ")

    status, text, _ = cli("evaluate", run, "--data", csv, "--json", "--split", "val")
    assert status == 0
    assert json.loads(text)["split"] == "val"
    assert json.loads(text)["windows"] == 35

    status, out, _ = cli("export", run, "--data", csv, "--bundles", home / "bundles")
    assert status == 0
    assert str(home / "bundles" / "verbs" / "1") in out
    bundle = read_bundle(home / "bundles" / "verbs" / "1")

    status, text, _ = cli("evaluate", bundle.path, "--data", csv, "--json")
    assert status == 0
    sha256 = hashlib.sha256(csv.read_bytes()).hexdigest()
    assert json.loads(text) == {**bundle.manifest.metrics, "data_sha256": sha256, "trained_on_sha256": sha256}
    assert "not the data" not in report


def test_train_exports_in_one_go(home, csv, cli, tmp_path):
    recipe, bundles = tmp_path / "quick.toml", tmp_path / "bundles"
    recipe.write_text('name = "quick"\nseed = 1\narchitecture = "linear"\n')
    status, out, _ = cli("train", recipe, "--data", csv, "--run", tmp_path / "run", "--bundles", bundles)
    assert status == 0
    assert out.splitlines()[-1] == f"wrote {bundles}/quick/1: {bundles}/quick/1/card.md tells how good it is"
    assert read_bundle(bundles / "quick" / "1").manifest.version == 1


def test_another_table_is_evaluated_with_a_word_and_not_exported(home, run, csv, cli, tmp_path):
    other = tmp_path / csv.name
    other.write_bytes(csv.read_bytes().replace(b"2018-", b"2019-"))
    trained_on, came = (hashlib.sha256(path.read_bytes()).hexdigest() for path in (csv, other))

    status, report, _ = cli("evaluate", run, "--data", other)
    assert status == 0
    told, *figures = report.splitlines()
    assert told == f"not the data that it was trained on: expected sha256 {trained_on}, came {came}"
    assert figures[0].startswith("75 windows")
    _, text, _ = cli("evaluate", run, "--data", other, "--json")
    assert (json.loads(text)["data_sha256"], json.loads(text)["trained_on_sha256"]) == (came, trained_on)

    status, _, err = cli("export", run, "--data", other, "--bundles", tmp_path / "bundles")
    assert status == 1
    assert f"cannot export with other data: expected sha256 {trained_on}, came {came}" in err
    assert not (tmp_path / "bundles").exists()


def test_resuming_without_a_recipe_says_that_the_table_is_another(csv, cli, tmp_path):
    run, other = tmp_path / "run", tmp_path / "of-another-name.csv"
    other.write_bytes(csv.read_bytes().replace(b"2018-", b"2019-"))
    assert cli("train", "--data", csv, "--run", run)[0] == 0
    status, _, err = cli("train", "--data", other, "--run", run, "--resume")
    assert status == 1
    assert "cannot resume with other data: expected sha256 " in err


def test_a_run_has_a_place_of_its_own(home, csv, cli, monkeypatch):
    monkeypatch.chdir(home)
    (home / "short.toml").write_text(RECIPE.replace("verbs", "short").replace("epochs = 2", "epochs = 1"))
    status, out, _ = cli("train", "short.toml", "--data", csv)
    assert status == 0
    assert (home / "runs" / "short" / "best.pt").exists()
    assert "runs/short" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "none.toml", "--data", "none.csv"], "seqcast train: cannot read none.toml: No such file"),
        (["train", "{home}/recipe.toml", "--data", "none.csv"], "seqcast train: cannot read none.csv: No such file"),
        (
            ["evaluate", "none", "--data", "none.csv"],
            "seqcast evaluate: none is not a trained run: it has no recipe.toml",
        ),
        (["export", "none", "--data", "none.csv"], "seqcast export: none is not a trained run: it has no recipe.toml"),
        (
            ["import", "informer2020", "none.pth", "--data", "none.csv"],
            "seqcast import: cannot read none.pth: No such file",
        ),
        (
            ["import", "tutorial", "none.pt", "source.json", "target.json"],
            "seqcast import: cannot read none.pt: No such file",
        ),
    ],
)
def test_a_complaint_is_one_message_and_status_one(home, cli, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    status, out, err = cli(*(argument.format(home=home) for argument in arguments))
    assert (status, out) == (1, "")
    assert err.startswith(message)
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: VERB"),
        (["predict"], "invalid choice: 'predict'"),
        (["train", "recipe.toml"], "the following arguments are required: --data"),
        (["evaluate", "run", "--data", "t.csv", "--split", "train"], "invalid choice: 'train'"),
        (["import"], "the following arguments are required: IMPLEMENTATION"),
        (["import", "autoformer"], "invalid choice: 'autoformer'"),
        (["import", "tutorial", "c.pt", "source.json"], "the following arguments are required: target_tokenizer"),
        (
            ["import", "informer2020", "c.pth", "--data", "t.csv", "--borders", *"123", "--fractions", *"111"],
            "not allowed with argument --borders",
        ),
    ],
)
def test_a_command_that_cannot_be_is_status_two(capsys, arguments, message):
    with pytest.raises(SystemExit) as caught:
        seqcast.main(arguments)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_import_hands_every_flag_on(monkeypatch, cli):
    from model import import_informer2020 as importing

    class Written:
        path = importing.Path("bundles/mine/1")

    called = []
    monkeypatch.setattr(importing, "import_informer2020", lambda *arguments: called.append(arguments) or Written)
    flags = "--seq-len 96 --no-mix --distil --attn full --fractions .5 .25 .25 --seed 7 --name mine --target OT"
    status, out, _ = cli("import", "informer2020", "c.pth", "--data", "t.csv", "--bundles", "b", *flags.split())
    assert status == 0
    assert "wrote bundles/mine/1" in out
    ((checkpoint, table, bundles, wishes),) = called
    assert (str(checkpoint), str(table), str(bundles)) == ("c.pth", "t.csv", "b")
    assert wishes == importing.Wishes(
        settings={"seq_len": 96, "attn": "full", "distil": True, "mix": False},
        name="mine",
        seed=7,
        fractions=(0.5, 0.25, 0.25),
        target="OT",
    )


def test_import_tutorial_hands_every_flag_on(monkeypatch, cli):
    from model import import_tutorial as importing

    class Written:
        path = importing.Path("bundles/mine/1")

    called = []
    monkeypatch.setattr(importing, "import_tutorial", lambda *arguments: called.append(arguments) or Written)
    flags = "--source fr --target de --n-heads 4 --seq-len 100 --name mine --bundles b"
    status, out, _ = cli("import", "tutorial", "c.pt", "fr.json", "de.json", *flags.split())
    assert status == 0
    assert "wrote bundles/mine/1" in out
    assert cli("import", "tutorial", "c.pt", "en.json", "it.json")[0] == 0
    given, plain = called
    assert [str(each) for each in given[:-1]] == ["c.pt", "fr.json", "de.json", "b"]
    assert given[-1] == importing.Wishes(source="fr", target="de", n_heads=4, seq_len=100, name="mine")
    assert plain[-1] == importing.Wishes()


@pytest.mark.parametrize(
    ("number", "status", "told"), [(signal.SIGINT, 130, "seqcast: interrupted\n"), (signal.SIGTERM, 143, "")]
)
def test_a_signal_ends_it_without_a_traceback(tmp_path, number, status, told):
    table = tmp_path / "table.csv"
    os.mkfifo(table)
    command = [sys.executable, "-m", "seqcast", "train", "--data", str(table)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process, table.open("w"):  # it reads
        process.send_signal(number)
        _, complaint = process.communicate(timeout=60)
    assert (process.returncode, complaint) == (status, told)
