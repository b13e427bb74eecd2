import json
import re
import shutil

import numpy as np
import onnxruntime
import pytest
import torch
from torch.nn.functional import cross_entropy

from contract.bundle import read_bundle
from contract.errors import ExportRefused, FaultyRecipe, FaultyTable
from contract.generation import END, GenerateSpec, log_likelihoods
from contract.sampling import Sampling, draw_words
from model import export_generation
from model.config import TrainingConfig, parse_recipe
from model.evaluate_generation import GENERATED, evaluate_generation
from model.export_generation import OnnxWordModel, TorchWordModel
from model.generation import Packed, load_words, mean_loss, prepare_words
from model.report import generation_report
from model.runs import build_model, export_run, load_trained, train

CPU = torch.device("cpu")
RECIPE = """
name = "made-up-words"
seed = 1
architecture = "wavenet"
[data]
origin = "made up here"
beside = { "guessing" = 2.5 }
[model]
embedding = 6
hidden = 12
kernels = [2, 2]
skip = 8
dropout = 0.1
[training]
batch_size = 20
epochs = 4
learning_rate = 1e-2
weight_average = 0.9
"""


def made_up(count, seed=0):
    """Words of two to four syllables."""
    random = np.random.default_rng(seed)
    syllables = [a + b for a in "kltvz" for b in "aio"]
    return ["".join(random.choice(syllables, random.integers(2, 5))) for _ in range(count)]


def generate(model, spec, count, sampling):
    return draw_words(model, spec, [END], range(count), sampling)


@pytest.fixture(scope="module")
def recipe():
    return parse_recipe(RECIPE)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("words") / "words.txt"
    path.write_text("\n".join(made_up(400)))
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory, recipe, path):
    run = tmp_path_factory.mktemp("runs") / "words"
    train(recipe, path, run, resume=False)
    return run


@pytest.fixture(scope="module")
def bundle(tmp_path_factory, run, path):
    return export_run(run, path, tmp_path_factory.mktemp("bundles"))


def test_packs_words_one_behind_the_other():
    packed = Packed.of([torch.tensor([0, 3, 1]), torch.tensor([0]), torch.tensor([0, 2])])
    assert packed.ids.tolist() == [0, 3, 1, 0, 0, 2]
    assert packed.place.tolist() == [0, 1, 2, 0, 0, 1]
    assert packed.following.tolist() == [3, 1, 0, 0, 2, 0]


def test_the_alphabet_and_the_longest_word_are_the_datas(recipe, path):
    data = prepare_words(path, recipe)
    assert data.spec == GenerateSpec("aiklotvz", context=4, max_len=16)
    assert [len(each) for each in data.splits.values()] == [320, 40, 40]


def test_other_words_are_read_in_the_alphabet_of_the_run(tmp_path, recipe, path):
    spec = prepare_words(path, recipe).spec
    other = tmp_path / "other.txt"
    other.write_text("\n".join(["kato", "Kato", "lila!", *made_up(20)]))
    with pytest.raises(FaultyTable) as caught:
        load_words(other, recipe, spec)
    assert list(map(str, caught.value.faults)) == [
        'line 2: expected characters of aiklotvz, came "K"',
        'line 3: expected characters of aiklotvz, came "!"',
    ]


def test_the_loss_is_that_of_every_next_character(recipe, path):
    data = prepare_words(path, recipe)
    model = build_model(recipe, data.spec).eval()
    words = data.encoded("val")[:7]
    losses = []
    with torch.no_grad():
        for word in words:
            logits = model(word, torch.arange(len(word)))
            losses += [cross_entropy(logits[i], following) for i, following in enumerate([*word[1:], torch.tensor(0)])]
    assert mean_loss(model, words) == pytest.approx(float(torch.stack(losses).mean()), abs=1e-6)
    assert -log_likelihoods(TorchWordModel(model), [word.tolist() for word in words]).sum() / len(
        losses
    ) == pytest.approx(mean_loss(model, words), abs=1e-6)


def test_an_epoch_has_every_word_once(recipe, path):
    data = prepare_words(path, recipe)
    task = data.task(TrainingConfig(), CPU)
    batches = task.batches(30)
    drawn = torch.cat([batch.ids for batch in batches])
    assert len(batches) == 11
    assert (drawn == END).sum() == 320
    assert torch.equal(drawn.bincount(), torch.cat(data.encoded("train")).bincount())


def test_it_learns(run):
    losses = json.loads((run / "losses.json").read_text())
    assert losses[-1][1] < losses[0][1] - 0.2
    assert all(len(pair) == 2 for pair in losses)


def test_a_resumed_run_is_an_unbroken_one(tmp_path, recipe, path, run):
    short = parse_recipe(RECIPE.replace("epochs = 4", "epochs = 2"))
    train(short, path, tmp_path, resume=False)
    (tmp_path / "recipe.toml").write_text(recipe.text)
    train(recipe, path, tmp_path, resume=True)
    assert (tmp_path / "losses.json").read_text() == (run / "losses.json").read_text()


def test_a_bundle_scores_and_generates_as_torch_does(run, path, bundle):
    kind, torchs, data = load_trained(run, path)
    _, onnxs, _ = load_trained(bundle.path, path)
    encoded = [data.spec.encode(word) for word in data.splits["test"]]
    np.testing.assert_allclose(log_likelihoods(onnxs, encoded), log_likelihoods(torchs, encoded), atol=1e-4)
    ours, theirs = (generate(model, data.spec, 50, Sampling(3)) for model in (onnxs, torchs))
    assert [each.word for each in ours] == [each.word for each in theirs]
    evaluation = kind.evaluate(onnxs, data, "val")
    best = min(validation for _, validation in json.loads((run / "losses.json").read_text()))
    assert evaluation.losses["model"] == pytest.approx(best, abs=1e-5)


def test_a_bundle_generates_the_same_bits_in_any_batch(bundle):
    model = OnnxWordModel(*(bundle.graph(name).read_bytes() for name in ("score", "step")))
    spec = bundle.manifest.generate_spec
    words = generate(model, spec, 40, Sampling(3))
    assert generate(model, spec, 3, Sampling(3)) == words[:3]
    encoded = [spec.encode(each.word) for each in words if each.ended]
    alone = [log_likelihoods(model, [each])[0] for each in encoded]
    assert log_likelihoods(model, encoded).tolist() == alone
    assert alone == [each.log_likelihood for each in words if each.ended]


def test_a_bundle_is_whole(bundle):
    read = read_bundle(bundle.path)
    assert read.manifest.generate.alphabet == "aiklotvz"
    golden = read.golden()
    for name, graph in read.manifest.graphs.items():
        session = onnxruntime.InferenceSession(read.graph(name), providers=["CPUExecutionProvider"])
        names = [output.name for output in graph.outputs]
        for output, came in zip(
            names, session.run(names, {each.name: golden[each.name] for each in graph.inputs}), strict=True
        ):
            np.testing.assert_allclose(came, golden[output], atol=1e-5)


def test_the_card_tells_of_baselines_and_shows_no_word_of_the_data(bundle, path):
    card = bundle.card()
    assert "made up here" in card
    assert re.search(r"\| model \| [0-9.]+ \| [0-9.]+ \|\n\| guessing \| 2.500 \| \|\n\| 2-grams \|", card)
    shown = card.split("nowhere in the data:\n\n")[1].split("\n\n")[0].split(", ")
    assert shown
    assert not set(shown) & set(path.read_text().split("\n"))


def test_evaluation_counts_what_is_new(run, path):
    _, model, data = load_trained(run, path)
    evaluation = evaluate_generation(model, data, "val")
    known = set(data.splits["train"])
    assert evaluation.new_words == sum(word not in known for word in data.splits["val"])
    words = [each.word for each in generate(model, data.spec, GENERATED, Sampling(1))]
    assert evaluation.new == sum(word not in known for word in words) / GENERATED
    assert evaluation.distinct == len(set(words)) / GENERATED
    report = generation_report(evaluation)
    assert "40 words of the val split" in report
    assert f"model    {evaluation.losses['model']:.4f}" in report


def test_export_is_refused_if_onnx_runtime_computes_something_else(tmp_path, run, path, bundle, monkeypatch):
    """The graphs are those of the run, but the weights have moved since."""
    moved = tmp_path / "moved"
    shutil.copytree(run, moved)
    state = torch.load(moved / "best.pt", weights_only=True)
    state["embedding.weight"] += 0.01 * torch.randn(state["embedding.weight"].shape)
    torch.save(state, moved / "best.pt")
    graphs = {name: bundle.graph(name).read_bytes() for name in ("score", "step")}
    monkeypatch.setattr(export_generation, "onnx_bytes", lambda _: graphs)
    with pytest.raises(ExportRefused, match="torch and ONNX Runtime differ in log probabilities by"):
        export_run(moved, path, tmp_path / "bundles")
    assert not (tmp_path / "bundles").exists()


def test_export_is_refused_if_a_step_is_not_what_the_score_says(tmp_path, run, path, bundle, monkeypatch):
    class Rounding(OnnxWordModel):
        def step(self, token, state):
            log_probs, state = super().step(token, state)
            return log_probs + np.float32(1e-6), state

    graphs = {name: bundle.graph(name).read_bytes() for name in ("score", "step")}
    monkeypatch.setattr(export_generation, "onnx_bytes", lambda _: graphs)
    monkeypatch.setattr(export_generation, "OnnxWordModel", Rounding)
    with pytest.raises(ExportRefused, match="score and step differ at character 1"):
        export_run(run, path, tmp_path)
    assert not list(tmp_path.iterdir())


def test_there_are_no_plots_of_words(tmp_path, run, path):
    kind, model, data = load_trained(run, path)
    with pytest.raises(FaultyRecipe, match="expected a forecast model to draw plots of"):
        kind.plots(tmp_path, model, data, evaluate_generation(model, data, "val"))
