"""Greedy translation through the service's own decoding path, beside CTranslate2 and torch, all on the same weights.

    .venv-train/bin/python -m benchmarks.translate RUN --data PAIRS.tsv [--cores 1 2] [--turns 7]

Needs the packages of the extra `bench`. All take turns within one run, so that a noisy machine is as noisy to each.
On one core seconds are of the process's own CPU time, so that what others do there does not count. Tokens are those of
the translations, eos included. CTranslate2 runs in its best setting: on several cores, as one worker of so many threads
or as so many workers, whichever is faster.
"""

import argparse
import asyncio
import math
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import ctranslate2
import torch

from benchmarks.ctranslate2_model import save
from benchmarks.run_decoder import run_decoder
from model.pairs import first_translations
from model.runs import load_run
from model.tasks import TASKS, Trained
from model.translation import PairsData, greedy_ids
from service.engine.admission import Passage
from service.engine.batching import RowPool

BATCHES = (1, 8, 32)
SENTENCES = 32
"""Of the validation split, spread over it; every fourth of them for the smaller batches."""

Ids = list[list[int]]
Translate = Callable[[Ids], Ids]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cores", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--turns", type=int, default=7)
    arguments = parser.parse_args()

    trained = load_run(arguments.run)
    data = TASKS["translate"].load(arguments.data, trained.recipe, trained.spec, arguments.run)
    texts = first_translations(data.splits["val"]).sources
    sources = data.source.encode(texts[:: len(texts) // SENTENCES][:SENTENCES])
    every_cpu = sorted(os.sched_getaffinity(0))
    for cores in arguments.cores:
        os.sched_setaffinity(0, every_cpu[-cores:])
        torch.set_num_threads(cores)
        with tempfile.TemporaryDirectory() as folder:
            ways = _ways(trained, data, cores, Path(folder))
            _compare(ways, sources, cores, arguments.turns)


def _ways(trained: Trained, data: PairsData, cores: int, folder: Path) -> dict[str, Translate]:
    save(trained.model, data, folder / "ctranslate2")
    settings = sorted({(1, cores), (cores, 1)})
    return {
        "seqcast fp32": _ours(trained, data, False, cores, folder / "fp32"),
        "seqcast int8": _ours(trained, data, True, cores, folder / "int8"),
        **{
            f"ctranslate2 {name}, {workers} of {threads}": _theirs(data, folder / "ctranslate2", name, workers, threads)
            for name in ("fp32", "int8")
            for workers, threads in settings
        },
        "torch, uncached": partial(greedy_ids, trained.model, data=data),
    }


def _ours(trained: Trained, data: PairsData, int8: bool, cores: int, folder: Path) -> Translate:
    decoder, passage = run_decoder(trained, data, folder, int8=int8), Passage(RowPool(cores))
    loop = asyncio.new_event_loop()
    return lambda sources: loop.run_until_complete(decoder.greedy(sources, passage))


def _theirs(data: PairsData, folder: Path, name: str, workers: int, threads: int) -> Translate:
    kind = {"fp32": "float32"}.get(name, name)
    translator = ctranslate2.Translator(
        str(folder), compute_type=kind, inter_threads=workers, intra_threads=threads, max_queued_batches=-1
    )
    ids = {token: index for index, token in enumerate(data.target.tokens(range(len(data.target))))}
    tokens = {index: token for token, index in ids.items()}

    def translate(sources: Ids) -> Ids:
        results = translator.translate_batch(
            [[tokens[each] for each in source] for source in sources],
            beam_size=1,
            max_batch_size=math.ceil(len(sources) / workers),
            max_decoding_length=max(map(data.spec.longest, map(len, sources))) - 1,
        )
        return [[ids[token] for token in result.hypotheses[0]] for result in results]

    return translate


def _compare(ways: dict[str, Translate], sources: Ids, cores: int, turns: int) -> None:
    found = {name: translate(sources) for name, translate in ways.items()}
    expected = found["torch, uncached"]
    clock = time.process_time if cores == 1 else time.perf_counter
    rates: dict[str, list[list[float]]] = {name: [[] for _ in BATCHES] for name in ways}
    for _ in range(turns):
        for place, batch in enumerate(BATCHES):
            for name, translate in ways.items():
                some = sources[:: 4 if batch <= SENTENCES // 4 else 1]
                rates[name][place].append(_rate(translate, some, batch, clock))
    medians = {name: [statistics.median(each) for each in places] for name, places in rates.items()}
    best = {
        kind: [max(medians[name][place] for name in ways if name.startswith(kind)) for place in range(len(BATCHES))]
        for kind in ("ctranslate2 fp32", "ctranslate2 int8", "torch")
    }
    print(f"\n{cores} cores; tokens/s at batch {', '.join(map(str, BATCHES))}; medians of {turns} turns", flush=True)
    for name, values in medians.items():
        same = sum(a == b for a, b in zip(found[name], expected, strict=True))
        shown = "".join(f"{value:8.0f}" for value in values)
        print(f"{name:28}{shown}   {same} of {len(sources)} as torch")
    for ours in ("fp32", "int8"):
        for theirs in (f"ctranslate2 {ours}", "torch"):
            ratios = (a / b for a, b in zip(medians[f"seqcast {ours}"], best[theirs], strict=True))
            print(f"seqcast {ours} over {theirs}: {', '.join(f'{ratio:.2f}' for ratio in ratios)}")


def _rate(translate: Translate, sources: Ids, batch: int, clock: Callable[[], float]) -> float:
    started = clock()
    tokens = 0
    for start in range(0, len(sources), batch):
        tokens += sum(len(each) + 1 for each in translate(sources[start : start + batch]))
    return tokens / (clock() - started)


if __name__ == "__main__":
    main()
