"""How a translation model is fed, and what its graphs are.

B batch, S source and T target positions, bos and eos included, padded; V words of the target vocabulary.

- `greedy`: `source` (B, S), `caps` (B,) -> `target` (B, T), each row at most its cap long.
- `encode`: `source` -> the memory, which stays as it is, and the state, which each step renews: tensors of the
  architecture's own, B rows each.
- `step`: `token` (B,), the memory and the state -> `log_probs` (B, V) of the next token, and the new state.
- `attention`, if the architecture has any: `source`, `target` -> some of `encoder_maps` (B, layers, H, S, S),
  `decoder_maps` (B, layers, H, T, T) and `cross_maps` (B, layers, H, T, S), for the whole target at once.

Rows of memory and state are sentences' own: they may be dropped, reordered and doubled between steps.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from contract.graphs import NEXT, Graph, Tensor, expect
from contract.text import SpecialTokens

_SOURCE = Tensor("source", "int64", (None, None))
_TARGET = Tensor("target", "int64", (None, None))
_TOKEN = Tensor("token", "int64", (None,))
_MAPS = tuple(f"{kind}_maps" for kind in ("encoder", "decoder", "cross"))


@dataclass(frozen=True, slots=True)
class TranslateSpec:
    """From language `source` to `target`, codes of ISO 639-1.

    Tokenizers are files of the bundle, one file where both languages share it, with `source_size` and `target_size`
    tokens. `max_len` bounds both sides, in tokens, bos and eos included.
    """

    source: str
    target: str
    source_tokenizer: str
    target_tokenizer: str
    source_size: int
    target_size: int
    max_len: int
    special: SpecialTokens = field(default_factory=SpecialTokens)

    def __post_init__(self) -> None:
        if self.max_len < 3:
            raise ValueError(f"expected max_len from 3 on, came {self.max_len}")
        if self.shared and self.source_size != self.target_size:
            raise ValueError(f"expected one size of one tokenizer, came {self.source_size} and {self.target_size}")

    @property
    def shared(self) -> bool:
        """Whether both languages have one vocabulary."""
        return self.source_tokenizer == self.target_tokenizer

    def longest(self, source_len: int) -> int:
        """Tokens after which a translation ends in any case, for a source of so many: twice as many and a few."""
        return min(self.max_len, 2 * source_len + 10)

    @property
    def longest_row(self) -> int:
        """Of the lengths of inputs that differ from call to call."""
        return self.max_len

    def bounds(self, name: str) -> tuple[int, int] | None:
        """The least and the greatest number of a graph's integers called `name`; None for what is no input of integers.

        A graph that is given others fails, or goes on for as long as a cap says.
        """
        return {
            "source": (0, self.source_size - 1),
            "target": (0, self.target_size - 1),
            "token": (0, self.target_size - 1),
            "caps": (1, self.max_len),
        }.get(name)

    def check(self, graphs: Mapping[str, Graph]) -> None:
        """Raises ValueError if these are not the graphs of such a model."""
        for name in ("greedy", "encode", "step"):
            if name not in graphs:
                raise ValueError(f"expected a graph {name}, came {', '.join(graphs)}")
        greedy, encode, step = (graphs[name] for name in ("greedy", "encode", "step"))
        expect("greedy", greedy, (_SOURCE, Tensor("caps", "int64", (None,))), (_TARGET,))
        expect("encode", encode, (_SOURCE,), encode.outputs)
        log_probs = Tensor("log_probs", "float32", (None, self.target_size))
        state = tuple(
            Tensor(NEXT + each.name, each.dtype, each.shape) for each in encode.outputs if each.name in states(step)
        )
        expect("step", step, (_TOKEN, *encode.outputs), (log_probs, *state))
        if "attention" in graphs:
            maps = tuple(
                each
                for each in graphs["attention"].outputs
                if each.name in _MAPS
                and each.dtype == "float32"
                and len(each.shape) == 5
                and None not in each.shape[1:3]
            )
            expect("attention", graphs["attention"], (_SOURCE, _TARGET), maps)


def states(step: Graph) -> tuple[str, ...]:
    """The inputs of a step graph that it gives anew; the others but `token` are the memory."""
    given = {each.name for each in step.outputs}
    return tuple(each.name for each in step.inputs if NEXT + each.name in given)
