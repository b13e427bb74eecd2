"""A trained character model -> a bundle, refused if ONNX Runtime does not compute what torch does.

B words, T characters of a word with the end sign in front, V characters with the end sign.
"""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from contract.bundle import CARD, GOLDEN, Bundle, next_version, write_bundle
from contract.decoding import padded
from contract.errors import ExportRefused
from contract.generation import END, GenerateSpec, State
from contract.graphs import NEXT, Graph
from contract.graphs import Tensor as TensorSpec
from contract.manifest import FORMAT, Manifest
from contract.records import encode
from model.card import generation_card
from model.config import Recipe
from model.evaluate_generation import evaluate_generation
from model.generation import CharacterModel, WordsData
from model.onnx_trace import trace
from model.provenance import provenance

TOLERANCE = 1e-4
"""Of log probabilities."""
CHECKED = 500
GOLDEN_WORDS = 3
GOLDEN_LEN = 9


def export_generation(
    recipe: Recipe,
    spec: GenerateSpec,
    model: CharacterModel,
    data: WordsData,
    training: Mapping[str, Any],
    bundles: Path,
) -> Bundle:
    """Write the next version of `recipe.name` under `bundles`; `training` is its provenance.

    Raises ExportRefused if torch and ONNX Runtime differ by more than TOLERANCE on validation words, or if the graphs
    score and step do not give the same bits, alone and in a batch.
    """
    contents = onnx_bytes(model)
    exported = OnnxWordModel(contents["score"], contents["step"])
    _check(TorchWordModel(model), exported, data)
    metrics = {split: evaluate_generation(exported, data, split) for split in ("val", "test")}
    manifest = Manifest(
        format=FORMAT,
        name=recipe.name,
        version=next_version(bundles, recipe.name),
        task="generate",
        graphs=exported.graphs(spec),
        files={},
        generate=spec,
        metrics={split: encode(each) for split, each in metrics.items()},
        training={
            **training,
            **provenance(recipe, model),
        },
    )
    files = {
        **{manifest.graphs[name].file: each for name, each in contents.items()},
        GOLDEN: golden_vectors(exported, spec, recipe.seed),
        CARD: generation_card(manifest, recipe, metrics).encode(),
    }
    return write_bundle(bundles, manifest, files)


class _Score(nn.Module):
    def __init__(self, model: CharacterModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, words: Tensor) -> tuple[Tensor, ...]:
        logits, caches = self.model.begin(words)
        return torch.log_softmax(logits, dim=-1), *caches


class _Step(nn.Module):
    def __init__(self, model: CharacterModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, token: Tensor, caches: list[Tensor]) -> tuple[Tensor, ...]:
        logits, following = self.model.step(token, caches)
        return torch.log_softmax(logits, dim=-1), *following


def onnx_bytes(model: CharacterModel) -> dict[str, bytes]:
    """The graphs score and step, as files."""
    folded = model.folded()
    words = torch.zeros(2, 3, dtype=torch.int64)
    with torch.no_grad():
        _, caches = folded.begin(words)
    names = [f"cache_{layer}" for layer in range(len(caches))]
    batch, length = torch.export.Dim("batch"), torch.export.Dim("length")
    return {
        "score": trace(_Score(folded), (words,), ["words"], ["log_probs", *names], ({0: batch, 1: length},)),
        "step": trace(
            _Step(folded),
            (words[:, 0], caches),
            ["token", *names],
            [NEXT + name for name in ("log_probs", *names)],
            ({0: batch}, [{0: batch}] * len(caches)),
        ),
    }


class TorchWordModel:
    """A WordModel of torch's."""

    def __init__(self, model: CharacterModel) -> None:
        self._model = model.eval()

    @torch.no_grad()
    def score(self, words: NDArray[np.int64]) -> tuple[NDArray[np.float32], State]:
        return _told(self._model.begin(torch.from_numpy(words)))

    @torch.no_grad()
    def step(self, token: NDArray[np.int64], state: State) -> tuple[NDArray[np.float32], State]:
        return _told(self._model.step(torch.from_numpy(token), [torch.from_numpy(each) for each in state]))


def _told(answer: tuple[Tensor, list[Tensor]]) -> tuple[NDArray[np.float32], State]:
    logits, caches = answer
    return torch.log_softmax(logits, dim=-1).numpy(), [each.numpy() for each in caches]


class OnnxWordModel:
    """A WordModel of two graphs on ONNX Runtime."""

    def __init__(self, score: bytes, step: bytes) -> None:
        self._score, self._step = (
            onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"]) for content in (score, step)
        )

    def score(self, words: NDArray[np.int64]) -> tuple[NDArray[np.float32], State]:
        log_probs, *state = self._score.run(None, {"words": words})
        return log_probs, state

    def step(self, token: NDArray[np.int64], state: State) -> tuple[NDArray[np.float32], State]:
        names = [each.name for each in self._step.get_inputs()]
        log_probs, *following = self._step.run(None, dict(zip(names, [token, *state], strict=True)))
        return log_probs, following

    def graphs(self, spec: GenerateSpec) -> dict[str, Graph]:
        """What the graphs take and give."""
        _, caches = self.score(np.full((1, 1), END))
        state = [TensorSpec(f"cache_{i}", "float32", (None, *each.shape[1:])) for i, each in enumerate(caches)]
        following = [TensorSpec(NEXT + each.name, each.dtype, each.shape) for each in state]
        return {
            "score": Graph(
                "score.onnx",
                (TensorSpec("words", "int64", (None, None)),),
                (TensorSpec("log_probs", "float32", (None, None, spec.size)), *state),
            ),
            "step": Graph(
                "step.onnx",
                (TensorSpec("token", "int64", (None,)), *state),
                (TensorSpec(NEXT + "log_probs", "float32", (None, spec.size)), *following),
            ),
        }


def golden_vectors(model: OnnxWordModel, spec: GenerateSpec, seed: int) -> bytes:
    """golden.npz: words made up of random characters, and what the graphs make of them."""
    words = np.random.default_rng(seed).integers(1, spec.size, (GOLDEN_WORDS, GOLDEN_LEN))
    words[:, 0] = END
    token = words[:, -1]
    log_probs, state = model.score(words[:, :-1])
    stepped, following = model.step(token, state)
    names = [f"cache_{layer}" for layer in range(len(state))]
    tensors = dict(zip(["log_probs", *names], [log_probs, *state], strict=True))
    nexts = dict(zip(["log_probs", *names], [stepped, *following], strict=True))
    buffer = io.BytesIO()
    inputs = {"words": words[:, :-1], "token": token}
    np.savez_compressed(buffer, **inputs, **tensors, **{NEXT + name: each for name, each in nexts.items()})
    return buffer.getvalue()


def _check(ours: TorchWordModel, exported: OnnxWordModel, data: WordsData) -> None:
    words = padded([data.spec.encode(word) for word in data.splits["val"][:CHECKED]], END)
    expected, _ = ours.score(words)
    came, _ = exported.score(words)
    worst = float(np.abs(expected - came).max())
    if not worst <= TOLERANCE:
        raise ExportRefused(f"torch and ONNX Runtime differ in log probabilities by {worst:.2g} on validation words")
    for rows in (slice(None), slice(0, 1)):  # in a batch, and alone
        log_probs, state = exported.score(words[rows, :1])
        log_probs = log_probs[:, 0]
        for place in range(words.shape[1]):
            if (log_probs != came[rows, place]).any():
                raise ExportRefused(f"the graphs score and step differ at character {place} of validation words")
            if place + 1 < words.shape[1]:
                log_probs, state = exported.step(words[rows, place + 1], state)
