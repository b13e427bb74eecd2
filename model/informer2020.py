"""Checkpoints of the public implementation (zhouhaoyi/Informer2020) -> our Informer's weights."""

import re
from collections.abc import Mapping

from torch import Tensor

from model.foreign import rename

# what matches none is refused, except for the skipped
_RENAMES = (
    (r"(enc|dec)_embedding\.value_embedding\.tokenConv\.", r"\1oder_embedding.value."),
    (r"(enc|dec)_embedding\.temporal_embedding\.embed\.", r"\1oder_embedding.calendar."),
    (
        r"encoder\.attn_layers\.(\d+)\.attention\.(query|key|value|out)_projection\.",
        r"encoder.\1.attention.\2.",
    ),
    (r"encoder\.attn_layers\.(\d+)\.conv1\.", r"encoder.\1.feed_forward.0."),
    (r"encoder\.attn_layers\.(\d+)\.conv2\.", r"encoder.\1.feed_forward.3."),
    (r"encoder\.attn_layers\.(\d+)\.norm1\.", r"encoder.\1.attention_norm."),
    (r"encoder\.attn_layers\.(\d+)\.norm2\.", r"encoder.\1.feed_forward_norm."),
    (r"encoder\.conv_layers\.(\d+)\.downConv\.", r"distillers.\1.convolution."),
    (r"encoder\.conv_layers\.(\d+)\.norm\.", r"distillers.\1.norm."),
    (r"encoder\.norm\.", r"encoder_norm."),
    (
        r"decoder\.layers\.(\d+)\.(self|cross)_attention\.(query|key|value|out)_projection\.",
        r"decoder.\1.\2_attention.\3.",
    ),
    (r"decoder\.layers\.(\d+)\.conv1\.", r"decoder.\1.feed_forward.0."),
    (r"decoder\.layers\.(\d+)\.conv2\.", r"decoder.\1.feed_forward.3."),
    (r"decoder\.layers\.(\d+)\.norm1\.", r"decoder.\1.self_norm."),
    (r"decoder\.layers\.(\d+)\.norm2\.", r"decoder.\1.cross_norm."),
    (r"decoder\.layers\.(\d+)\.norm3\.", r"decoder.\1.feed_forward_norm."),
    (r"decoder\.norm\.", r"decoder_norm."),
    (r"projection\.", r"projection."),
)
_SKIPPED = re.compile(r"(enc|dec)_embedding\.position_embedding\.pe")  # the fixed sinusoids


def convert_weights(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Their state dict -> ours, without the key samples, which theirs does not have.

    Raises UnknownCheckpoint, naming every weight that is not an Informer's.
    """
    theirs = {name: weight for name, weight in state.items() if not _SKIPPED.fullmatch(name)}
    return {
        # their feed-forward is a convolution of width 1: (out, in, 1) -> (out, in)
        name: weight.squeeze(-1) if "feed_forward" in name and weight.dim() == 3 else weight
        for name, weight in rename(theirs, _RENAMES, "an Informer").items()
    }
