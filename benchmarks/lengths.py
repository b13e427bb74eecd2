"""BLEU by the length of the source, of runs trained on the same pairs; what their training costs.

    .venv-train/bin/python -m benchmarks.lengths RUN... --data PAIRS.tsv [--plot FILE.png] [--scores FILE.json]

Greedy translations of the test split, by the service's decoder in fp32, one reference each. Long sentences are few, so
test sentences are also joined in a row, as 15 % of the training examples were, two to four at a time; more than four no
run has seen. Seconds a batch are CPU time of the process on one thread: loss, gradient and Adam's step on the same
batches, the models taking turns.
"""

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import sacrebleu
import torch
from matplotlib.figure import Figure

from benchmarks.run_decoder import run_decoder
from contract.text import shortened
from model.pairs import Pairs, first_translations
from model.runs import load_run
from model.tasks import TASKS, Trained
from model.trainer import BEST
from model.translation import PairsData
from service.engine.admission import Passage
from service.engine.batching import RowPool

LENGTHS = ((1, 4), (5, 6), (7, 8), (9, 11), (12, None))
"""Words of a sentence, from and to."""
JOINED = (2, 3, 4, 6, 8)
"""Sentences in a row."""
ROWS = 300
"""Sources of each number of sentences in a row."""
BATCH_SIZE = 2000
"""Tokens of the longer side."""
TURNS = 5
_COLORS = ("#333333", "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7")
_MARKERS = "osD^vP"


@dataclass(frozen=True, slots=True)
class Group:
    """Sources of about one length."""

    label: str
    pairs: Pairs
    joined: bool

    @property
    def words(self) -> float:
        """Of a source, on average."""
        return statistics.fmean(len(text.split()) for text in self.pairs.sources)


@dataclass(frozen=True, slots=True)
class Candidate:
    trained: Trained
    data: PairsData
    weights: str
    """Their sha256."""

    @property
    def name(self) -> str:
        return self.trained.recipe.name


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--plot", type=Path)
    parser.add_argument(
        "--scores", type=Path, help="where scores are kept, and taken from if a run's weights are the same"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    candidates = [_candidate(run, arguments.data) for run in arguments.runs]
    groups = _groups(_common_test(candidates))
    kept = json.loads(arguments.scores.read_text()) if arguments.scores and arguments.scores.exists() else {}
    scores = {}
    for each in candidates:
        if each.weights not in kept:
            print(f"translating with {each.name}", file=sys.stderr)
            kept[each.weights] = _scores(each, groups)
            if arguments.scores:
                arguments.scores.write_text(json.dumps(kept))
        scores[each.name] = kept[each.weights]
    _print(candidates, groups, scores, _seconds_a_batch(candidates))
    if arguments.plot is not None:
        _draw(groups, scores).savefig(arguments.plot, dpi=120)


def _candidate(run: Path, data_path: Path) -> Candidate:
    trained = load_run(run)
    data = TASKS["translate"].load(data_path, trained.recipe, trained.spec, run)
    return Candidate(trained, data, sha256((run / BEST).read_bytes()).hexdigest())


def _common_test(candidates: Sequence[Candidate]) -> Pairs:
    first, *others = (each.data.splits["test"] for each in candidates)
    if any(other != first for other in others):
        sys.exit("expected runs of one test split, came several: their recipes differ in seed or data")
    return first_translations(first)


def _groups(test: Pairs) -> list[Group]:
    pairs = list(zip(test.sources, test.targets, strict=True))
    groups = []
    for least, most in LENGTHS:
        chosen = [pair for pair in pairs if least <= len(pair[0].split()) <= (most or len(pair[0]))]
        groups.append(_group(f"{least} to {most}" if most else f"{least} and more", chosen, joined=False))
    order = torch.randperm(len(pairs), generator=torch.Generator().manual_seed(1)).tolist()
    for count in JOINED:
        rows = [[pairs[i] for i in order[start * count :][:count]] for start in range(min(ROWS, len(order) // count))]
        groups.append(_group(f"{count} in a row", [_in_a_row(row) for row in rows], joined=True))
    return groups


def _in_a_row(row: Sequence[tuple[str, str]]) -> tuple[str, str]:
    sources, targets = zip(*row, strict=True)
    return " ".join(sources), " ".join(targets)


def _group(label: str, pairs: Sequence[tuple[str, str]], *, joined: bool) -> Group:
    return Group(label, Pairs(tuple(source for source, _ in pairs), tuple(target for _, target in pairs)), joined)


def _scores(candidate: Candidate, groups: Sequence[Group]) -> list[float]:
    """BLEU of each group, and of all sentences that are not joined."""
    with TemporaryDirectory() as folder:
        translations = [
            _translated(candidate, each.pairs.sources, Path(folder, str(i))) for i, each in enumerate(groups)
        ]
    scores = [
        sacrebleu.corpus_bleu(ours, [list(each.pairs.targets)]).score
        for ours, each in zip(translations, groups, strict=True)
    ]
    single = [i for i, each in enumerate(groups) if not each.joined]
    ours = [text for i in single for text in translations[i]]
    theirs = [text for i in single for text in groups[i].pairs.targets]
    return [*scores, sacrebleu.corpus_bleu(ours, [theirs]).score]


def _translated(candidate: Candidate, texts: Sequence[str], folder: Path) -> list[str]:
    data = candidate.data
    decoder = run_decoder(candidate.trained, data, folder, int8=False)
    sources = [shortened(ids, data.spec.max_len) for ids in data.source.encode(texts)]
    return data.target.decode(asyncio.run(decoder.greedy(sources, Passage(RowPool(1)))))


def _seconds_a_batch(candidates: Sequence[Candidate]) -> Mapping[str, float]:
    """Of training. Changes the models."""
    torch.manual_seed(1)
    tasks = [each.data.task(each.trained.recipe.training, torch.device("cpu")) for each in candidates]
    batches = list(islice(tasks[0].batches(BATCH_SIZE), TURNS))
    optimizers = [torch.optim.Adam(each.trained.model.train().parameters(), 1e-6) for each in candidates]
    costs: dict[str, list[float]] = {each.name: [] for each in candidates}
    for batch in batches:
        for each, task, optimizer in zip(candidates, tasks, optimizers, strict=True):
            start = time.process_time()
            optimizer.zero_grad()
            task.loss(each.trained.model, batch).backward()
            optimizer.step()
            costs[each.name].append(time.process_time() - start)
    return {name: statistics.median(each) for name, each in costs.items()}


def _print(
    candidates: Sequence[Candidate],
    groups: Sequence[Group],
    scores: Mapping[str, Sequence[float]],
    costs: Mapping[str, float],
) -> None:
    for each in candidates:
        print(f"{each.name}: {each.trained.provenance['history']}")
    labels = [each.label for each in groups]
    rows = [
        ["words of the source", *labels, "all single", "parameters", "s a batch"],
        ["sources", *(f"{len(each.pairs.sources):,}" for each in groups), "", "", ""],
        ["words, on average", *(f"{each.words:.1f}" for each in groups), "", "", ""],
    ]
    for each in candidates:
        parameters = sum(weight.numel() for weight in each.trained.model.parameters())
        bleu = [f"{score:.1f}" for score in scores[each.name]]
        rows.append([each.name, *bleu, f"{parameters / 1e6:.1f} M", f"{costs[each.name]:.2f}"])
    rows.insert(1, ["---"] * len(rows[0]))
    print("\n".join(f"| {' | '.join(row)} |" for row in rows))


def _draw(groups: Sequence[Group], scores: Mapping[str, Sequence[float]]) -> Figure:
    figure = Figure((11, 4.8), layout="constrained")
    figure.suptitle("BLEU of the test split by the length of the source, greedy")
    panels = figure.subplots(1, 2, sharey=True, width_ratios=(1.2, 1))
    titles = ("single sentences", "sentences in a row: " + ", ".join(map(str, JOINED)))
    for axes, title, joined in zip(panels, titles, (False, True), strict=True):
        chosen = [i for i, each in enumerate(groups) if each.joined == joined]
        for (name, each), color, marker in zip(scores.items(), _COLORS, _MARKERS, strict=False):
            words, bleu = [groups[i].words for i in chosen], [each[i] for i in chosen]
            axes.plot(words, bleu, color=color, marker=marker, ms=5, lw=1.6, label=name)
        axes.set_title(title, fontsize=10, loc="left")
        axes.set_xlabel("words of the source, on average")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="#dddddd", lw=0.6)
    panels[0].set_ylabel("BLEU")
    panels[0].set_ylim(bottom=0)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    return figure


if __name__ == "__main__":
    main()
