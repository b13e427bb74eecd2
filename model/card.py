"""Model cards: what a bundle is, how good it is beside the baselines, and what it is not for."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from contract.intervals import Intervals
from contract.manifest import Manifest
from model.config import Recipe
from model.evaluate import Evaluation
from model.evaluate_generation import GENERATED, GenerationEvaluation
from model.evaluate_translation import TranslationEvaluation


def forecast_card(manifest: Manifest, recipe: Recipe, evaluation: Evaluation) -> str:
    """card.md, in Markdown."""
    spec = manifest.forecast
    training = manifest.training
    columns = ", ".join(f"{name} ({spec.units[name]})" if name in spec.units else name for name in spec.columns)
    return f"""# {manifest.name}, version {manifest.version}

{spec.seq_len} rows of {len(spec.columns)} columns, one every {spec.frequency}, to the next {spec.pred_len}; \
{recipe.architecture}, {training["parameters"]:,} parameters.

- Columns: {columns}
- Data: {recipe.data.source or "not told"}; sha256 {training["data_sha256"]}
{_mended(training.get("mended", []))}- Trained: {training["history"]}

## Accuracy

Every one of the {evaluation.windows:,} windows of the {evaluation.split} split, at stride 1. MSE and MAE are on values
scaled by the training rows' mean and standard deviation.

{_scores(evaluation)}

{verdict(evaluation)}

## Intervals

Split conformal: calibrated by column and step on the errors of the validation windows, and scaled by what changed from
season to season within each window. On the {evaluation.split} windows; widths are means on scaled values, beside those
of intervals made in the same way around the last season.

{_coverage(evaluation)}
{unresolved(manifest.intervals) if manifest.intervals else ""}{_attention(manifest)}
## Limits

- It knows the columns and the frequency above, and nothing else: another series wants its own training.
- A request with missing values or gaps is refused, unless it says how to `fill` them.
- Outside the range of the training rows it has nothing to go by.

## Recipe

```toml
{recipe.text.strip()}
```
"""


def unresolved(intervals: Intervals) -> str:
    """Which levels are no wider than the one below, where validation had too few windows to tell them apart."""
    levels = {level: np.array(widths) for level, widths in intervals.half_widths.items()}
    told = []
    for lower, higher in pairwise(sorted(levels, key=int)):
        if alike := int((levels[higher] == levels[lower]).sum()):
            told.append(f"{higher} % as for {lower} % in {alike} of {levels[lower].size}")
    if not told:
        return ""
    return f"""
Validation had too few windows to tell all levels apart: 95 % takes 19 at least, and 90 % takes 9. By step and column,
intervals are as wide for {"; for ".join(told)}. There the
higher level promises more than was measured.
"""


def _attention(manifest: Manifest) -> str:
    if not manifest.attention:
        return ""
    layers = "\n".join(
        f"- {each.kind} {each.layer}: {each.n_heads} heads, {len(each.rows)} x {len(each.columns)} positions of "
        f"{each.rows.stride} and {each.columns.stride} steps"
        for each in manifest.attention
    )
    mixed = """
The decoder's self-attention mixes steps and heads from there on (`mix`): its maps tell where each step looked, not what
came of it at that step, and later steps have part in earlier ones."""
    return f"""
## Attention

`"attention": true` gives the maps of a forecast, by kind and layer:

{layers}

Weights tell where a layer looked, not why a forecast is what it is. Queries that ProbSparse did not select have none.\
{mixed if any(each.mixed for each in manifest.attention) else ""}
"""


def _mended(notes: list[str]) -> str:
    """What was made up in the data; the figures are measured on what was not."""
    if not notes:
        return ""
    return "- Mended: {}. A made-up value is never a forecast's truth, here or in training.\n".format("; ".join(notes))


def translation_card(manifest: Manifest, recipe: Recipe, evaluation: TranslationEvaluation | None) -> str:
    """card.md, in Markdown. Without samples: those are the data's sentences."""
    spec, training = manifest.translate_spec, manifest.training
    data = f"{recipe.data.origin or 'not told'}; sha256 {training['data_sha256']}" if evaluation else "not at hand"
    learned = "short everyday sentences" if evaluation else "what it was given"
    return f"""# {manifest.name}, version {manifest.version}

Text from `{spec.source}` to `{spec.target}`, sentence by sentence; {recipe.architecture}, {training["parameters"]:,} \
parameters, {training["weights"]} weights.

- Data: {data}
- Trained: {training["history"]}
- Vocabulary: {spec.source_size:,} tokens, {"one for both languages" if spec.shared else f"and {spec.target_size:,}"}

## Accuracy

{_translation_accuracy(evaluation, training)}

## Limits

- It learned from {learned}: of other text it knows little, and of names and numbers less.
- A sentence of over {spec.max_len} tokens is more than it can read at once.
- It may be fluent and wrong. Nothing checks what it says.

## Recipe

```toml
{recipe.text.strip()}
```
"""


def _translation_accuracy(evaluation: TranslationEvaluation | None, training: Mapping[str, Any]) -> str:
    if evaluation is None:
        return "Not measured, since it came without data: `seqcast evaluate` does so on pairs that it has not seen."
    bleu = training["validation_bleu"]
    return f"""\
Greedy translations of the {evaluation.sentences:,} source sentences of the {evaluation.split} split. None of them, in
whatever case and punctuation, is in the training data. One reference each: the first that the data gives.

{_translation_scores(evaluation)}

CER {evaluation.cer:.1%}, WER {evaluation.wer:.1%}. {"; ".join(f"{k}: {v}" for k, v in evaluation.signatures.items())}

BLEU on validation is {bleu["fp32"]:.2f} with fp32 weights, {bleu["int8"]:.2f} with int8."""


def generation_card(manifest: Manifest, recipe: Recipe, evaluations: Mapping[str, GenerationEvaluation]) -> str:
    """card.md, in Markdown. Of what it generates, only what training has not is shown."""
    spec, training = manifest.generate_spec, manifest.training
    test = evaluations["test"]
    return f"""# {manifest.name}, version {manifest.version}

Words, character by character, each from up to {spec.context} before it; {recipe.architecture}, \
{training["parameters"]:,} parameters.

- Alphabet: {spec.alphabet}
- Data: {recipe.data.origin or "not told"}; sha256 {training["data_sha256"]}
- Trained: {training["history"]}

## Likelihood

Cross-entropy of every next character, end signs included, in nats, on {evaluations["val"].words:,} words for validation
and {test.words:,} for test, beside interpolated n-grams fitted on the same training words.

{_generation_losses(evaluations, recipe.data.beside)}

The data has words more than once: {test.new_words:,} of the test words are not in training. On these the model's loss
is {test.new_loss:.3f}.

## What it makes up

Of {GENERATED:,} words drawn at temperature 1, {test.distinct:.0%} are different ones, and {test.new:.0%} are not in
training. Some that are nowhere in the data:

{", ".join(test.samples)}

## Limits

- It knows the characters above, and how words of the training data are spelt: nothing of what they mean, or of whether
  a word that it makes up is one somewhere.
- What it makes up may be in the training data.
- Of a word's first characters it sees nothing once {spec.context} have come after them.

## Recipe

```toml
{recipe.text.strip()}
```
"""


def _generation_losses(evaluations: Mapping[str, GenerationEvaluation], beside: Mapping[str, float]) -> str:
    val, test = evaluations["val"].losses, evaluations["test"].losses
    rows = [f"| {name} | {val[name]:.3f} | {test[name]:.3f} |" for name in val]
    rows[1:1] = [f"| {name} | {loss:.3f} | |" for name, loss in beside.items()]
    return "\n".join(["| | validation | test |", "|---|---|---|", *rows])


def verdict(evaluation: Evaluation) -> str:
    """One plain sentence: how the model does against the best of the baselines, by MSE."""
    scores = {name: score.mse for name, score in evaluation.scores.items()}
    model = scores.pop("model")
    best = min(scores, key=scores.__getitem__)
    if scores[best] == 0:
        return f"The best baseline, {best}, makes no error at all; the model's MSE is {model:.3g}."
    change = model / scores[best] - 1
    side = "lower" if change < 0 else "higher"
    return f"The model's MSE is {abs(change):.0%} {side} than that of the best baseline, {best}."


def _scores(evaluation: Evaluation) -> str:
    rows = [f"| {name} | {scores.mse:.3f} | {scores.mae:.3f} |" for name, scores in evaluation.scores.items()]
    return "\n".join(["| | MSE | MAE |", "|---|---|---|", *rows])


def _translation_scores(evaluation: TranslationEvaluation) -> str:
    rows = [
        f"| {each.words} | {each.sentences:,} | {each.bleu:.1f} | {each.chrf:.1f} |" for each in evaluation.by_length
    ]
    total = f"| all | {evaluation.sentences:,} | {evaluation.bleu:.1f} | {evaluation.chrf:.1f} |"
    return "\n".join(["| words | sentences | BLEU | chrF |", "|---|---|---|---|", *rows, total])


def _coverage(evaluation: Evaluation) -> str:
    rows = []
    for level, each in evaluation.coverage.items():
        worst = max(each.share_by_step, key=lambda share: abs(share - int(level) / 100))
        rows.append(f"| {level} % | {each.share:.1%} | {worst:.1%} | {each.width:.3f} | {each.naive_width:.3f} |")
    return "\n".join(["| level | covered | worst step | width | around last season |", "|---|---|---|---|---|", *rows])
