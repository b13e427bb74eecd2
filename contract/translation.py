"""How a translation model is fed."""

from dataclasses import dataclass, field

from contract.text import SpecialTokens


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
