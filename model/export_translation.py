"""A trained translator -> a bundle, refused if ONNX Runtime does not translate as torch does."""

import io
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import sacrebleu
from numpy.typing import NDArray
from torch import nn

from contract.bundle import CARD, GOLDEN, Bundle, next_version, write_bundle
from contract.decoding import padded, stripped
from contract.errors import ExportRefused
from contract.graphs import NEXT, Graph
from contract.manifest import FORMAT, Manifest
from contract.records import encode
from contract.text import shortened
from contract.translation import TranslateSpec
from model.architectures import ARCHITECTURES
from model.calibration import calibrate
from model.card import translation_card
from model.config import Recipe
from model.decoding_graphs import build_graphs
from model.evaluate_translation import TranslationEvaluation, Translator, evaluate_translation
from model.onnx_graph import WeightFile
from model.pairs import first_translations
from model.provenance import provenance
from model.translation import PairsData, greedy_ids

CHECKED = 200
"""Validation sentences that torch and ONNX Runtime have to translate alike."""
MADE_UP = 32
"""Sources of random tokens in their place, where there is no data; few, since what is odd has no short answer."""
BATCH = 32
MOST_LOST = 0.3
"""BLEU on validation that int8 weights may cost."""
INT8_TOLERANCE = 0.1
"""Of golden answers: where a processor rounds otherwise, an input may fall to the next of its 255 values."""
GOLDEN_SOURCES = 2
GOLDEN_CANDIDATES = 64

Sessions = Mapping[str, onnxruntime.InferenceSession]


def export_translation(
    recipe: Recipe,
    spec: TranslateSpec,
    model: nn.Module,
    data: PairsData,
    training: Mapping[str, Any],
    bundles: Path,
) -> Bundle:
    """Write the next version of `recipe.name` under `bundles`; `training` is its provenance.

    Weights are int8 unless that costs over MOST_LOST BLEU on validation.

    Raises ExportRefused if the graphs of fp32 weights translate one of CHECKED sentences otherwise than torch does, or
    those that are written one otherwise alone than in a batch.
    """
    sources = list(first_translations(data.splits["val"]).sources)
    plain = _plain(recipe, spec, model, data, sources[:CHECKED])
    small = _Candidate(recipe, spec, model, data, int8=True)
    bleu = {name: _bleu(each.translate(sources), data) for name, each in (("fp32", plain), ("int8", small))}
    chosen = small if bleu["fp32"] - bleu["int8"] < MOST_LOST else plain
    _expect_batches_alike(chosen, sources[:CHECKED])
    evaluation = evaluate_translation(chosen.translate, data, "test")
    return _write(chosen, recipe, model, data, {**training, "validation_bleu": bleu}, bundles, evaluation)


def export_unevaluated(
    recipe: Recipe,
    spec: TranslateSpec,
    model: nn.Module,
    data: PairsData,
    training: Mapping[str, Any],
    bundles: Path,
) -> Bundle:
    """`export_translation` of a model that comes without pairs: `data` has vocabularies alone.

    Weights are fp32: what int8 would cost cannot be measured. Raises ExportRefused as it does, over MADE_UP sources.
    """
    random = np.random.default_rng(recipe.seed)
    words = sorted(set(range(spec.source_size)) - {data.source.pad, data.source.bos, data.source.eos, data.source.unk})
    made_up = data.source.decode([random.choice(words, random.integers(1, 9)).tolist() for _ in range(MADE_UP)])
    plain = _plain(recipe, spec, model, data, made_up)
    _expect_batches_alike(plain, made_up)
    return _write(plain, recipe, model, data, training, bundles, None)


def _write(
    chosen: "_Candidate",
    recipe: Recipe,
    model: nn.Module,
    data: PairsData,
    training: Mapping[str, Any],
    bundles: Path,
    evaluation: TranslationEvaluation | None,
) -> Bundle:
    figures = {} if evaluation is None else encode(evaluation)
    manifest = Manifest(
        format=FORMAT,
        name=recipe.name,
        version=next_version(bundles, recipe.name),
        task="translate",
        graphs=chosen.graphs,
        files={},
        translate=data.spec,
        metrics={name: each for name, each in figures.items() if name != "samples"},  # the data's own
        training={
            **training,
            "weights": chosen.weights,
            **provenance(recipe, model),
        },
    )
    files = {
        **chosen.files,
        **data.files,
        GOLDEN: golden_vectors(chosen.sessions, chosen.graphs, data.spec, data, recipe.seed),
        CARD: translation_card(manifest, recipe, evaluation).encode(),
    }
    return write_bundle(bundles, manifest, files)


class _Candidate:
    """The graphs of fp32 or int8 weights."""

    def __init__(self, recipe: Recipe, spec: TranslateSpec, model: nn.Module, data: PairsData, *, int8: bool) -> None:
        describe = ARCHITECTURES[recipe.architecture].describe
        if describe is None:
            raise ExportRefused(f"expected an architecture that has graphs, came {recipe.architecture}")
        self.weights = "int8" if int8 else "fp32"
        description = describe(model, data.source.pad, calibrate(model, data) if int8 else None)
        tolerance = {"tolerance": INT8_TOLERANCE} if int8 else {}
        self.graphs, self.files = build_graphs(description, spec, data.target, WeightFile("weights.bin"), **tolerance)
        with tempfile.TemporaryDirectory() as folder:
            for name, content in self.files.items():
                (Path(folder) / name).write_bytes(content)
            self.sessions = _load(Path(folder), self.graphs)
        self._data = data

    def translate(self, texts: Sequence[str]) -> list[str]:
        return self._data.target.decode(self.translate_ids(texts))

    def translate_ids(self, texts: Sequence[str]) -> list[list[int]]:
        return _greedy(self.sessions["greedy"], texts, self._data)


def _plain(
    recipe: Recipe, spec: TranslateSpec, model: nn.Module, data: PairsData, checked: Sequence[str]
) -> _Candidate:
    """The graphs of fp32 weights, which translate as torch does."""
    plain = _Candidate(recipe, spec, model, data, int8=False)
    _expect_same(
        greedy_ids(model, data.source.encode(checked), data), plain.translate_ids(checked), "torch and ONNX Runtime"
    )
    return plain


def onnx_translator(bundle: Bundle, data: PairsData) -> Translator:
    """A bundle's greedy translations, by ONNX Runtime."""
    session = _load(bundle.path, {"greedy": bundle.manifest.graphs["greedy"]})["greedy"]
    return lambda texts: data.target.decode(_greedy(session, texts, data))


def _load(folder: Path, graphs: Mapping[str, Graph]) -> Sessions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # as it is served: the matrices are small
    return {
        name: onnxruntime.InferenceSession(folder / each.file, options, providers=["CPUExecutionProvider"])
        for name, each in graphs.items()
    }


def _greedy(session: onnxruntime.InferenceSession, texts: Sequence[str], data: PairsData) -> list[list[int]]:
    """The tokens of greedy translations, special ones left out."""
    encoded = [shortened(ids, data.spec.max_len) for ids in data.source.encode(texts)]
    order = sorted(range(len(texts)), key=lambda index: len(encoded[index]))
    special = {data.target.bos, data.target.eos, data.target.pad}
    found: dict[int, list[int]] = {}
    for start in range(0, len(order), BATCH):
        chosen = order[start : start + BATCH]
        inputs = {
            "source": padded([encoded[i] for i in chosen], data.source.pad),
            "caps": np.array([data.spec.longest(len(encoded[i])) for i in chosen]),
        }
        (target,) = session.run(["target"], inputs)
        found.update(zip(chosen, stripped(target, special), strict=True))
    return [found[index] for index in range(len(texts))]


def golden_vectors(
    sessions: Sessions, graphs: Mapping[str, Graph], spec: TranslateSpec, data: PairsData, seed: int
) -> bytes:
    """golden.npz: sources made up of random tokens, and what each graph makes of them.

    Of many sources those are kept at which the likeliest token is furthest ahead of the next one, at its worst: there
    another processor, which rounds otherwise, comes to the same tokens.
    """
    random = np.random.default_rng(seed)
    words = [i for i in range(spec.source_size) if i not in {data.source.pad, data.source.bos, data.source.eos}]
    candidates = []
    for _ in range(GOLDEN_CANDIDATES):
        ids = [data.source.bos, *random.choice(words, random.integers(3, 8)).tolist(), data.source.eos]
        candidates.append((_margin(sessions, graphs, ids, data), ids))
    chosen = [ids for _, ids in sorted(candidates, reverse=True)[:GOLDEN_SOURCES]]
    tensors: dict[str, NDArray[Any]] = {
        "source": padded(chosen, data.source.pad),
        "caps": np.array([len(ids) for ids in chosen]),
        "token": np.array([data.target.bos] * len(chosen)),
    }
    for name in ("greedy", "encode", "step", "attention"):
        if name in graphs:
            tensors.update(_run(sessions[name], graphs[name], tensors))
    buffer = io.BytesIO()
    np.savez(buffer, **tensors)
    return buffer.getvalue()


def _margin(sessions: Sessions, graphs: Mapping[str, Graph], ids: list[int], data: PairsData) -> float:
    """How far the likeliest token is ahead of the next one, in log probability, at the worst of the steps."""
    tensors: dict[str, NDArray[Any]] = {"source": np.array([ids]), "token": np.array([data.target.bos])}
    tensors.update(_run(sessions["encode"], graphs["encode"], tensors))
    worst = np.inf
    for _ in range(len(ids) - 1):
        given = _run(sessions["step"], graphs["step"], tensors)
        log_probs = given.pop("log_probs")
        second, first = np.sort(log_probs[0])[-2:]
        worst = min(worst, float(first - second))
        tensors["token"] = log_probs.argmax(axis=1)
        if tensors["token"][0] == data.target.eos:
            break
        tensors.update({name.removeprefix(NEXT): each for name, each in given.items()})
    return worst


def _run(session: onnxruntime.InferenceSession, graph: Graph, tensors: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    names = [each.name for each in graph.outputs]
    return dict(zip(names, session.run(names, {each.name: tensors[each.name] for each in graph.inputs}), strict=True))


def _bleu(translations: Sequence[str], data: PairsData) -> float:
    references = list(first_translations(data.splits["val"]).targets)
    return float(sacrebleu.corpus_bleu(list(translations), [references]).score)


def _expect_batches_alike(chosen: _Candidate, checked: Sequence[str]) -> None:
    alone = [chosen.translate_ids([each])[0] for each in checked]
    _expect_same(alone, chosen.translate_ids(checked), "a sentence alone and in a batch")


def _expect_same(ours: Sequence[Sequence[int]], theirs: Sequence[Sequence[int]], who: str) -> None:
    wrong = [index for index, pair in enumerate(zip(ours, theirs, strict=True)) if pair[0] != pair[1]]
    if wrong:
        raise ExportRefused(f"{who} differ on {len(wrong)} of {len(ours)} sentences, first on number {wrong[0]}")
