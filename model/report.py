"""Evaluations, for a terminal."""

from model.card import verdict
from model.evaluate import Evaluation
from model.evaluate_generation import GENERATED, GenerationEvaluation
from model.evaluate_translation import TranslationEvaluation


def forecast_report(evaluation: Evaluation) -> str:
    """Overall, by column and by step: MSE/MAE of every forecaster, in aligned columns."""
    scores = evaluation.scores
    columns = next(iter(scores.values())).mse_by_column
    steps = range(len(next(iter(scores.values())).mse_by_step))
    rows = [
        ("all, scaled", [(each.mse, each.mae) for each in scores.values()]),
        *(
            (name, [(each.mse_by_column[name], each.mae_by_column[name]) for each in scores.values()])
            for name in columns
        ),
        *(
            (
                f"step {step + 1}",
                [(each.mse_by_step[step], each.mae_by_step[step]) for each in scores.values()],
            )
            for step in steps
        ),
    ]
    width = max(len(label) for label, _ in rows)
    lines = [f"{evaluation.windows:,} windows of the {evaluation.split} split; MSE/MAE, by column in its units"]
    lines.append(f"{'':{width}}" + "".join(f"{name:>20}" for name in scores))
    for label, pairs in rows:
        cells = (f"{mse:.4g}/{mae:.4g}" for mse, mae in pairs)
        lines.append(f"{label:{width}}" + "".join(f"{cell:>20}" for cell in cells))
    for level, each in evaluation.coverage.items():
        lines.append(
            f"{level} % intervals cover {each.share:.1%}, by step {min(each.share_by_step):.1%} to "
            f"{max(each.share_by_step):.1%}; width {each.width:.3f}, around the last season {each.naive_width:.3f}"
        )
    return "\n".join([*lines, verdict(evaluation)])


def translation_report(evaluation: TranslationEvaluation) -> str:
    """Samples, then scores by the length of the source, then of all."""
    lines = []
    for sample in evaluation.samples:
        lines += [sample.source, f"  data:  {sample.reference}", f"  model: {sample.translation}"]
    lines.append(f"{'words of the source':<22}{'sentences':>10}{'BLEU':>8}{'chrF':>8}")
    lines += [
        f"{each.words:<22}{each.sentences:>10,}{each.bleu:>8.1f}{each.chrf:>8.1f}" for each in evaluation.by_length
    ]
    lines += [f"{name}: {signature}" for name, signature in evaluation.signatures.items()]
    lines.append(
        f"{evaluation.sentences:,} sentences of the {evaluation.split} split, one reference each: "
        f"BLEU {evaluation.bleu:.1f}, chrF {evaluation.chrf:.1f}, CER {evaluation.cer:.1%}, WER {evaluation.wer:.1%}"
    )
    return "\n".join(lines)


def generation_report(evaluation: GenerationEvaluation) -> str:
    """Words that the model made up, then losses."""
    width = max(map(len, evaluation.losses))
    lines = [*evaluation.samples, f"{evaluation.words:,} words of the {evaluation.split} split, nats a character:"]
    lines += [f"{name:{width}}  {loss:.4f}" for name, loss in evaluation.losses.items()]
    lines.append(f"the model on the {evaluation.new_words:,} words that training has not: {evaluation.new_loss:.4f}")
    lines.append(
        f"of {GENERATED:,} words generated, {evaluation.distinct:.0%} are different ones, and {evaluation.new:.0%} "
        "are not in training; those above are nowhere in the data"
    )
    return "\n".join(lines)
