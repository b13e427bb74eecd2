import itertools
from collections import Counter
from dataclasses import replace

import pytest
import torch
from torch import nn

from contract.errors import FaultyTable
from model import translation
from model.config import TrainingConfig, parse_recipe
from model.runs import build_model
from model.trainer import Trainer
from model.translation import greedy, load_pairs, prepare_pairs, translate

CPU = torch.device("cpu")
NUMBERS = {"one": "uno", "two": "due", "three": "tre", "four": "quattro", "five": "cinque", "six": "sei"}
RECIPE = """
name = "numbers"
seed = 1
architecture = "transformer"
[data]
held_back = [40, 20]
tokenizer = "word"
vocabulary = 100
shared = false
[model]
d_model = 32
n_heads = 2
e_layers = 1
d_layers = 1
d_ff = 64
dropout = 0.0
max_len = 32
"""


@pytest.fixture(scope="module")
def recipe():
    return parse_recipe(RECIPE)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """Numbers in words, of one to four words, and in Italian the other way round."""
    draw = torch.Generator().manual_seed(0)
    words = list(NUMBERS)
    lines = {}
    while len(lines) < 600:
        length = int(torch.randint(1, 5, (), generator=draw))
        chosen = [words[i] for i in torch.randint(len(words), (length,), generator=draw).tolist()]
        lines[" ".join(chosen)] = " ".join(NUMBERS[word] for word in reversed(chosen))
    path = tmp_path_factory.mktemp("pairs") / "numbers.tsv"
    path.write_text("".join(f"{source}\t{target}\n" for source, target in lines.items()))
    return path


@pytest.fixture(scope="module")
def data(path, recipe):
    return prepare_pairs(path, recipe)


@pytest.fixture(scope="module")
def learned(data, recipe, tmp_path_factory):
    """A model trained for some seconds, its losses and its last figures."""
    training = TrainingConfig(batch_size=200, epochs=14, patience=14, learning_rate=5e-3, lr_decay=1.0, warmup=30)
    model = build_model(recipe, data.spec)
    task = data.task(training, CPU)
    progress = Trainer(model, task, training, tmp_path_factory.mktemp("run"), CPU).fit()
    return model.eval(), progress.losses, task.validate(model.eval())


@pytest.fixture
def task(data):
    """task(label_smoothing=0, **config) -> the task of `data`, with another PairsConfig."""

    def task(label_smoothing=0.0, max_len=32, **config):
        torch.manual_seed(0)
        changed = replace(data, config=replace(data.config, **config), spec=replace(data.spec, max_len=max_len))
        return changed.task(TrainingConfig(label_smoothing=label_smoothing), CPU)

    return task


def unpadded(ids, pad):
    return [tuple(each for each in row if each != pad) for row in ids.tolist()]


def rows_of(batches, data):
    """Each row of all batches: its source's and its target's ids."""
    for batch in batches:
        assert torch.equal(batch.mask, batch.source != data.source.pad)
        yield from zip(unpadded(batch.source, data.source.pad), unpadded(batch.target, data.target.pad), strict=True)


def encoded(pairs, data):
    both = zip(data.source.encode(pairs.sources), data.target.encode(pairs.targets), strict=True)
    return Counter((tuple(a), tuple(b)) for a, b in both)


def test_data_of_a_run_is_read_again(data, path, recipe, tmp_path):
    for name, content in data.files.items():
        (tmp_path / name).write_bytes(content)
    again = load_pairs(path, recipe, data.spec, tmp_path)
    assert (again.splits, again.spec, again.files, again.sha256) == (data.splits, data.spec, data.files, data.sha256)
    assert {name: len(pairs) for name, pairs in data.splits.items()} == {"train": 540, "val": 40, "test": 20}
    assert (data.spec.source_size, data.spec.target_size) == (len(data.source), len(data.target))


@pytest.mark.parametrize("batch_size", [24, 100, 10_000])
def test_an_epoch_has_every_pair_once_within_the_limit(task, data, batch_size):
    numbers = task()
    batches = numbers.batches(batch_size)
    came = list(batches)
    assert len(came) == len(batches)
    assert Counter(rows_of(came, data)) == encoded(data.splits["train"], data)
    for batch in came:
        assert max(batch.source.numel(), batch.target.numel()) <= batch_size
        assert len(batch.source) == len(batch.target)
    # no row alone that would have had room
    assert len(came) < 2 * 540 * 8 / batch_size + 8


def test_a_pair_longer_than_the_limit_is_a_batch_of_its_own(task, data):
    assert Counter(rows_of(task().batches(4), data)) == encoded(data.splits["train"], data)
    assert max(len(batch.source) for batch in task().batches(4)) == 1


def test_batches_pad_little(task, data):
    padded = sum(batch.source.numel() for batch in task().batches(100))
    tokens = sum(len(ids) for ids in data.source.encode(data.splits["train"].sources))
    assert padded < 1.1 * tokens


def test_an_epoch_may_be_a_part_drawn_anew(task, data):
    numbers = task(epoch_pairs=100)
    first, second = (Counter(rows_of(numbers.batches(100), data)) for _ in range(2))
    assert first.total() == second.total() == 100
    assert first != second
    assert first <= encoded(data.splits["train"], data)


def parts(row, vocabulary):
    assert (row[0], row[-1]) == (vocabulary.bos, vocabulary.eos)
    assert not {vocabulary.bos, vocabulary.eos} & set(row[1:-1])
    return row[1:-1]


@pytest.mark.parametrize(("joined", "least", "most"), [(0.5, 230, 330), (1.0, 140, 200)])
def test_joined_pairs_are_bos_all_words_and_eos(task, data, joined, least, most):
    rows = list(rows_of(task(joined=joined, max_len=200).batches(1000), data))
    assert least < len(rows) < most
    back = {it: en for en, it in NUMBERS.items()}
    words = Counter()
    reversed_pairs = 0
    for source, target in rows:
        sources = [token.removeprefix("▁") for token in data.source.tokens(parts(source, data.source))]
        targets = [back[token.removeprefix("▁")] for token in data.target.tokens(parts(target, data.target))]
        assert sorted(sources) == sorted(targets)
        reversed_pairs += sources == targets[::-1]
        words.update(sources)
    # joined pair by pair, in the same order on both sides: not reversed as a whole
    assert reversed_pairs < len(rows) * (1.1 - joined)
    assert words == Counter(" ".join(data.splits["train"].sources).split())


def test_pairs_that_would_be_too_long_together_stay_apart(task, data):
    rows = list(rows_of(task(joined=1.0, max_len=12).batches(100), data))
    assert max(max(len(source), len(target)) for source, target in rows) <= 12
    count = sum(len(source) - 2 for source, _ in rows)
    assert count == sum(len(text.split()) for text in data.splits["train"].sources)


def test_pairs_longer_than_max_len_are_left_out(task, data):
    rows = list(rows_of(task(max_len=5).batches(100), data))
    assert Counter(rows) == Counter(
        {row: n for row, n in encoded(data.splits["train"], data).items() if len(row[0]) <= 5}
    )


def test_no_pair_short_enough_is_told(task):
    with pytest.raises(FaultyTable, match="expected pairs of up to max_len 2 tokens to train on and to validate, came"):
        replace(task().data, spec=_with_max_len(task().data.spec, 2)).task(TrainingConfig(), CPU)


def _with_max_len(spec, max_len):
    short = replace(spec)
    object.__setattr__(short, "max_len", max_len)
    return short


class Bigram(nn.Module):
    """The next token by the last one alone, and nothing of the source."""

    def __init__(self, size):
        super().__init__()
        self.table = nn.Parameter(torch.randn(size, size, generator=torch.Generator().manual_seed(2)))

    def forward(self, source, target, mask):
        return self.table[target]

    def encode(self, source, mask):
        return source[..., None].float(), []

    def decode(self, target, memory, mask):
        return self.table[target], []


@pytest.mark.parametrize("validated", [16, 4096])
def test_validation_loss_is_each_token_s_whatever_the_batches(task, data, monkeypatch, validated):
    monkeypatch.setattr(translation, "VALIDATED", validated)
    model = Bigram(len(data.target)).eval()
    surprise = -model.table.log_softmax(-1)
    steps = [pair for ids in data.target.encode(data.splits["val"].targets) for pair in itertools.pairwise(ids)]
    expected = sum(surprise[last, following].item() for last, following in steps) / len(steps)
    # smoothing is for training alone
    assert task(label_smoothing=0.3).validate(model).loss == pytest.approx(expected, rel=1e-5)


def test_training_loss_is_smoothed_and_leaves_padding_out(task, data):
    model = Bigram(len(data.target))
    numbers = task(label_smoothing=0.1)
    batch = numbers.collate([torch.tensor([2, 4, 3])] * 2, [torch.tensor([2, 5, 6, 3]), torch.tensor([2, 3])])
    assert batch.target.tolist() == [[2, 5, 6, 3], [2, 3, 0, 0]]
    surprise = -model.table.log_softmax(-1)
    steps = [(2, 5), (5, 6), (6, 3), (2, 3)]
    each = [0.9 * surprise[last, following] + 0.1 * surprise[last].mean() for last, following in steps]
    assert numbers.loss(model, batch).item() == pytest.approx(sum(each).item() / 4, rel=1e-5)


class Scripted:
    """Says, whatever it is given, the tokens of a row's script one by one; a row's source is its script's number."""

    def __init__(self, scripts):
        self.scripts = scripts
        self.steps = []

    def encode(self, source, mask):
        return source[:, :1], []

    def decode(self, target, memory, mask):
        self.steps.append(target.tolist())
        logits = torch.zeros(*target.shape, 10)
        for row, number in enumerate(memory[:, 0].tolist()):
            logits[row, -1, self.scripts[number][target.shape[1] - 1]] = 1
        return logits, []


def test_greedy_stops_at_eos_and_at_the_cap(data):
    vocabulary = data.target
    eos, bos, pad = vocabulary.eos, vocabulary.bos, vocabulary.pad
    model = Scripted([[5, 6, eos, 7, 7, 7, 7], [7, 7, 7, 7, 7, 7, 7], [eos, 5, 5, 5, 5, 5, 5], [8, 8, 8, 8, 8, 8, 8]])
    source = torch.arange(4)[:, None]
    came = greedy(model, source, source >= 0, [9, 6, 9, 3], vocabulary)
    # a cap counts bos
    assert came == [[5, 6], [7] * 5, [], [8, 8]]
    assert len(model.steps) == 5
    assert [row[0] for row in model.steps[-1]] == [bos] * 4
    assert model.steps[-1][2] == [bos, eos, pad, pad, pad]


def test_a_source_that_is_too_long_is_cut_in_front_of_its_end(data):
    class Silent(Scripted):
        def encode(self, source, mask):
            self.steps.append(source.tolist())
            return torch.zeros_like(source[:, :1]), []

    model = Silent([[data.target.eos] * 40])
    model.weight = nn.Parameter(torch.zeros(1))
    model.parameters = lambda: iter([model.weight])
    assert translate(model, [" ".join(["one"] * 50)], data) == [""]
    ((source,), *_) = model.steps
    assert len(source) == data.spec.max_len
    assert source[-2:] == [data.source.encode(["one"])[0][1], data.source.eos]


def test_a_translation_does_not_depend_on_those_beside_it(data, learned):
    model, *_ = learned
    texts = ["one", "two six five four", "three three", "", "six five four three two one"] * 20
    together = translate(model, texts, data)
    assert together[5:] == together[:-5]
    assert together[:5] == [text for each in texts[:5] for text in translate(model, [each], data)]
    assert len(set(together)) == 5


def test_learns_to_translate_and_to_turn_round(data, learned):
    model, losses, validation = learned
    assert losses[0][1] > 1.5
    assert losses[-1][1] < 0.3
    assert validation.figures["BLEU"] > 70
    assert validation.figures["WER"] < 0.25
    assert validation.figures["CER"] < 0.25
    texts = data.splits["test"]
    right = [a == b for a, b in zip(translate(model, texts.sources, data), texts.targets, strict=True)]
    assert sum(right) >= 10


def test_samples_show_a_sentence_its_translation_and_the_model_s(data, learned):
    model, _, validation = learned
    lines = validation.samples.splitlines()
    assert len(lines) == 30
    assert lines[0] == f"- {data.splits['val'].sources[0]}"
    assert lines[1] == f"  - {data.splits['val'].targets[0]}"
    assert lines[2] == f"  - **{translate(model, data.splits['val'].sources[:1], data)[0]}**"
