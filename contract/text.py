"""Text as token ids, and back: what training and serving must do alike."""

from collections.abc import Sequence
from dataclasses import dataclass

from tokenizers import Tokenizer

from contract.errors import UnusableFile


@dataclass(frozen=True, slots=True)
class SpecialTokens:
    """The names, in a tokenizer's vocabulary, of what is no text."""

    pad: str = "<pad>"
    unk: str = "<unk>"
    bos: str = "<s>"
    eos: str = "</s>"


def shortened(ids: Sequence[int], longest: int) -> list[int]:
    """`ids` as they are, or if they are more than `longest` the first of them and their last, which is eos."""
    return [*ids] if len(ids) <= longest else [*ids[: longest - 1], ids[-1]]


class Vocabulary:
    """A `tokenizer.json` with its special tokens. Raises UnusableFile if `content` is none, or lacks one of them."""

    def __init__(self, content: bytes, special: SpecialTokens) -> None:
        try:
            self._tokenizer = Tokenizer.from_str(content.decode())
        except Exception as error:  # the library has no error of its own
            raise UnusableFile(f"expected a tokenizer.json: {error}") from error
        self._tokenizer.encode_special_tokens = True  # "</s>" in a text is text
        self.pad, self.unk, self.bos, self.eos = (
            self._id(name) for name in (special.pad, special.unk, special.bos, special.eos)
        )

    def __len__(self) -> int:
        return self._tokenizer.get_vocab_size()

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Each text's ids, with bos in front and eos behind. Half a surrogate pair is as U+FFFD, no character."""
        try:
            encodings = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        except TypeError:  # which the library says of such halves
            whole = [text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for text in texts]
            encodings = self._tokenizer.encode_batch_fast(whole, add_special_tokens=False)
        return [[self.bos, *encoding.ids, self.eos] for encoding in encodings]

    def decode(self, ids: Sequence[Sequence[int]]) -> list[str]:
        """The text of each; special tokens say nothing."""
        return self._tokenizer.decode_batch([list(each) for each in ids], skip_special_tokens=True)

    def tokens(self, ids: Sequence[int]) -> list[str]:
        """What each id stands for."""
        return [str(self._tokenizer.id_to_token(each)) for each in ids]

    def _id(self, name: str) -> int:
        found = self._tokenizer.token_to_id(name)
        if found is None:
            raise UnusableFile(f"expected a special token {name} in the tokenizer, came none")
        return found
