"""A checkpoint of the public Transformer tutorial (hkproj/pytorch-transformer) and its two tokenizers, as ours.

Its layer norm divides by (s + 1e-6), s being the deviation with d - 1 in the denominator; ours by sqrt(v + 1e-5), v
being the variance with d. The factor between s and sqrt(v), sqrt(d / (d - 1)), goes into the scale. What is neglected:
theirs is about 1 + 5e-6 / v times ours, 1e-4 more at a deviation of 0.22, 2e-5 more at 0.5, the least that position
encodings alone bring, and 4e-6 more at 1.
"""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models
from torch import Tensor

from contract.bundle import Bundle
from contract.errors import UnknownCheckpoint, UnusableFile
from contract.text import SpecialTokens, Vocabulary
from contract.translation import TranslateSpec
from model.config import parse_recipe
from model.export_translation import export_unevaluated
from model.foreign import count_layers, mismatches, read_checkpoint, recipe_text, rename, state_dict
from model.positions import sinusoids
from model.tasks import Trained
from model.transformer import Transformer, TransformerConfig
from model.translation import PairsData

SPECIAL = SpecialTokens(pad="[PAD]", unk="[UNK]", bos="[SOS]", eos="[EOS]")
SOURCE_TOKENIZER, TARGET_TOKENIZER = "source-tokenizer.json", "target-tokenizer.json"
_SEQ_LEN = 350  # in its configuration
_STATE = "model_state_dict"
_MEASURED = (
    "source_embedding.weight",
    "target_embedding.weight",
    "encoder.0.feed_forward.0.weight",
    "decoder.0.feed_forward.0.weight",
)
"""Those whose shapes tell the model's sizes."""
_POSITIONS = ("src_pos.pe", "tgt_pos.pe")  # the fixed sinusoids
_PROJECTIONS = {"w_q": "query", "w_k": "key", "w_v": "value", "w_o": "out"}
_LAYERS = {
    "encoder": (("self_attention_block", "attention"),),
    "decoder": (("self_attention_block", "self_attention"), ("cross_attention_block", "cross_attention")),
}
_RESIDUALS = {
    "encoder": ("attention_residual", "feed_forward_residual"),
    "decoder": ("self_residual", "cross_residual", "feed_forward_residual"),
}
_RENAMES = (
    *(
        (rf"{stack}\.layers\.(\d+)\.{block}\.{theirs}\.", rf"{stack}.\1.{attention}.{ours}.")
        for stack, blocks in _LAYERS.items()
        for block, attention in blocks
        for theirs, ours in _PROJECTIONS.items()
    ),
    *(
        (rf"{stack}\.layers\.(\d+)\.residual_connections\.{index}\.norm\.{theirs}$", rf"{stack}.\1.{name}.norm.{ours}")
        for stack, names in _RESIDUALS.items()
        for index, name in enumerate(names)
        for theirs, ours in (("alpha", "weight"), ("bias", "bias"))
    ),
    (r"(encoder|decoder)\.layers\.(\d+)\.feed_forward_block\.linear_1\.", r"\1.\2.feed_forward.0."),
    (r"(encoder|decoder)\.layers\.(\d+)\.feed_forward_block\.linear_2\.", r"\1.\2.feed_forward.3."),
    (r"(encoder|decoder)\.norm\.alpha$", r"\1_norm.weight"),
    (r"(encoder|decoder)\.norm\.bias$", r"\1_norm.bias"),
    (r"src_embed\.embedding\.", "source_embedding."),
    (r"tgt_embed\.embedding\.", "target_embedding."),
    (r"projection_layer\.proj\.", "projection."),
)


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the user says beside the files. `seq_len` None is what the weights have positions for, or else 350."""

    source: str = "en"
    target: str = "it"
    n_heads: int = 8
    seq_len: int | None = None
    name: str | None = None


def import_tutorial(
    checkpoint: Path, source_tokenizer: Path, target_tokenizer: Path, bundles: Path, wishes: Wishes
) -> Bundle:
    """Write them as the next version of their bundle under `bundles`.

    Raises UnknownCheckpoint, which names all that does not fit together, FaultyRecipe or ExportRefused.
    """
    trained, data = read_tutorial(checkpoint, source_tokenizer, target_tokenizer, wishes)
    return export_unevaluated(trained.recipe, trained.spec, trained.model, data, trained.provenance, bundles)


def read_tutorial(
    checkpoint: Path, source_tokenizer: Path, target_tokenizer: Path, wishes: Wishes
) -> tuple[Trained, PairsData]:
    """Their model as if it came from a run of ours, and its vocabularies, without pairs.

    Raises UnknownCheckpoint, which names all that does not fit together, or FaultyRecipe.
    """
    content = read_checkpoint(checkpoint)
    # some of its versions save the weights alone
    told = content if isinstance(content, Mapping) and _STATE in content else {_STATE: content}
    state = state_dict(told[_STATE], checkpoint)
    weights = convert_weights(state)
    paths = {SOURCE_TOKENIZER: source_tokenizer, TARGET_TOKENIZER: target_tokenizer}
    files = {name: joining(path) for name, path in paths.items()}
    source, target = (_vocabulary(files[name], path) for name, path in paths.items())
    config, wrong = _configured(state, weights, wishes)
    sizes = {side: len(weights[f"{side}_embedding.weight"]) for side in ("source", "target")}
    wrong += [
        f"{theirs}_embed has {size} tokens, but {path.name} has {len(vocabulary)}"
        for theirs, size, path, vocabulary in zip(
            ("src", "tgt"), sizes.values(), paths.values(), (source, target), strict=True
        )
        if size != len(vocabulary)
    ]
    wrong += _differing(source, target)
    model = Transformer(config, sizes["target"], sizes["source"])
    wrong += mismatches(model, weights)
    if wrong:
        raise UnknownCheckpoint("; ".join(wrong))
    model.load_state_dict(weights)
    spec = _spec(config, sizes, wishes)
    recipe = parse_recipe(_recipe_text(config, wishes))
    data = PairsData(spec, "", recipe.data, splits={}, files=files, source=source, target=target)
    return Trained(recipe, spec, _provenance(told, checkpoint), model.eval()), data


def convert_weights(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Their state dict -> ours. Raises UnknownCheckpoint, naming every weight that is not its Transformer's."""
    weights = rename({name: state[name] for name in state if name not in _POSITIONS}, _RENAMES, "the tutorial")
    missing = [
        name for name in _MEASURED if name not in weights or weights[name].dim() != 2 or not weights[name].numel()
    ]
    if missing:
        raise UnknownCheckpoint(f"expected the weights of the tutorial, came none that give {', '.join(missing)}")
    d_model = weights[_MEASURED[0]].shape[1]
    for name, weight in weights.items():
        if "norm." in name and weight.shape == (1,):  # of its first version: one number for all
            weights[name] = weight.expand(d_model)
        if name.endswith("norm.weight"):
            weights[name] = weights[name] * math.sqrt((d_model - 1) / d_model)
    return weights


def joining(path: Path) -> bytes:
    """The tokenizer.json at `path`, with a decoder that makes text of words, if it has none.

    Its words and signs come without what was between them, so that is guessed: nothing before a sign that closes, after
    one that opens, around an apostrophe or a hyphen between words, or within a number; else a space.

    Raises UnknownCheckpoint if it is no tokenizer with their special tokens, or has parts of words and no decoder.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UnknownCheckpoint(f"cannot read {path}: {error.strerror}") from error
    _vocabulary(content, path)
    tokenizer = Tokenizer.from_str(content.decode())
    if tokenizer.decoder is None:
        if not isinstance(tokenizer.model, models.WordLevel):
            raise UnknownCheckpoint(f"{path}: expected a tokenizer of whole words, or a decoder, came neither")
        tokenizer.decoder = decoders.Sequence(
            [
                # a space before each but the first: no word begins with the prefix, which would be joined
                decoders.WordPiece(prefix=" ", cleanup=False),
                decoders.Fuse(),
                *(
                    decoders.Replace(Regex(space), "")
                    for space in (
                        r" (?=[.,;:!?…%)\]}»”])",
                        r"(?<=[(\[{«“‘„¿¡]) ",
                        r"(?<=\w) (?=['’-] \w)",
                        r"(?<=\w['’-]) (?=\w)",
                        r"(?<=\d[.,:]) (?=\d)",
                    )
                ),
            ]
        )
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer.to_str().encode()


def _vocabulary(content: bytes, path: Path) -> Vocabulary:
    try:
        return Vocabulary(content, SPECIAL)
    except UnusableFile as error:
        raise UnknownCheckpoint(f"{path}: {error}") from error


def _configured(
    state: Mapping[str, Tensor], weights: Mapping[str, Tensor], wishes: Wishes
) -> tuple[TransformerConfig, list[str]]:
    """The config, and in what flags and weights differ."""
    d_model = weights["source_embedding.weight"].shape[1]
    wrong = []
    tables = {name: state[name].flatten(0, -2) for name in _POSITIONS if name in state}
    for name, table in tables.items():
        if table.shape[1] != d_model or not torch.allclose(table, sinusoids(*table.shape), atol=1e-4):
            wrong.append(f"{name} is not the fixed sinusoids of {d_model} numbers a position")
    seq_len = wishes.seq_len
    if seq_len is None:
        seq_len = min((len(table) for table in tables.values()), default=_SEQ_LEN)
    wrong += [
        f"seq_len is {seq_len}, but the weights have {len(table)} positions in {name}"
        for name, table in tables.items()
        if seq_len > len(table)
    ]
    try:
        config = TransformerConfig(
            d_model=d_model,
            n_heads=wishes.n_heads,
            e_layers=count_layers("encoder", weights),
            d_layers=count_layers("decoder", weights),
            d_ff=len(weights["encoder.0.feed_forward.0.weight"]),
            tied=False,
            max_len=seq_len,
        )
    except ValueError as error:
        raise UnknownCheckpoint("; ".join([*wrong, str(error)])) from error
    return config, wrong


def _spec(config: TransformerConfig, sizes: Mapping[str, int], wishes: Wishes) -> TranslateSpec:
    try:
        return TranslateSpec(
            source=wishes.source,
            target=wishes.target,
            source_tokenizer=SOURCE_TOKENIZER,
            target_tokenizer=TARGET_TOKENIZER,
            source_size=sizes["source"],
            target_size=sizes["target"],
            max_len=config.max_len,
            special=SPECIAL,
        )
    except ValueError as error:
        raise UnknownCheckpoint(str(error)) from error


def _differing(source: Vocabulary, target: Vocabulary) -> list[str]:
    # it puts the target's ids around the source
    ids, expected = ((each.pad, each.bos, each.eos) for each in (source, target))
    if ids == expected:
        return []
    shown = (", ".join(map(str, each)) for each in (expected, ids))
    return ["expected [PAD], [SOS] and [EOS] to be {} in both tokenizers, came {} in the source's".format(*shown)]


def _recipe_text(config: TransformerConfig, wishes: Wishes) -> str:
    head = {
        "name": wishes.name or f"{wishes.source}-{wishes.target}-tutorial",
        "seed": 1,
        "architecture": "transformer",
    }
    data = {
        "source": wishes.source,
        "target": wishes.target,
        "held_back": [100, 1000],
        "tokenizer": "word",
        "shared": False,
    }
    remark = "Imported from hkproj/pytorch-transformer; [data] is for evaluation alone, of up to 1000 sentences."
    return recipe_text(remark, head, data=data, model=asdict(config))


def _provenance(told: Mapping[str, Any], checkpoint: Path) -> dict[str, str]:
    counts = [f"{name} {told[key]}" for name, key in (("epoch", "epoch"), ("step", "global_step")) if key in told]
    sha256 = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    return {
        "date": date.today().isoformat(),
        "history": f"by hkproj/pytorch-transformer{''.join(f', {count}' for count in counts)}, imported from "
        f"{checkpoint.name} (sha256 {sha256})",
    }
