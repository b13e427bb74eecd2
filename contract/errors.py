"""Every error that seqcast raises on purpose.

SeqcastError
├── FaultyInput             holds every fault found, not the first alone
│   ├── FaultyRequest       a request's content: what a client can mend
│   ├── FaultyTable         a training table
│   ├── FaultyRecipe        a recipe file
│   └── FaultySettings      the service's settings
├── UnknownModel            no such model, or no such version of it
├── NotHttp                 bytes that are no request
├── HeadTooLarge            a request's headers over the limit
├── BodyTooLarge            a request body over the limit
├── BodyTooSlow             a request body that did not come in time
├── UnknownMediaType        a request body of a kind that is not read
├── MissingKey              a request without the API key that is asked for
├── UnknownKey              a request with an API key that nobody has
├── QueueFull               a request that would have to wait behind too many
├── TooLate                 a request that was not answered in its time
├── BundleError             a bundle that must not be served
│   ├── FaultyManifest
│   ├── NewerFormat
│   ├── MissingFile
│   ├── WrongHash
│   ├── UnusableBundle      none of a model's versions is sound
│   ├── UnusableFile        a file has the hash listed, but is not what it should be
│   └── WrongAnswer         the graph does not give its golden outputs
├── GraphFailed             a graph cannot compute on what it was given
├── NotReady                the service has nothing sound to serve with
├── ExportRefused           torch and ONNX Runtime disagree
└── UnknownCheckpoint       a foreign checkpoint that cannot be read as a model
"""

from collections.abc import Sequence
from dataclasses import dataclass


class SeqcastError(Exception):
    """Root of the tree."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with an input.

    `pointer` is an RFC 6901 JSON pointer into it; `message` says what was expected and what came.
    """

    pointer: str
    message: str

    def __str__(self) -> str:
        return f"{self.pointer}: {self.message}" if self.pointer else self.message


class FaultyInput(SeqcastError):
    """An input with one or more faults, all of them in `faults`."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = tuple(faults)


class FaultyRequest(FaultyInput):
    """A request's content."""


class FaultyTable(FaultyInput):
    """A table to train on or to evaluate with."""


class FaultyRecipe(FaultyInput):
    """A recipe file."""


class FaultySettings(FaultyInput):
    """The service's settings: variables or flags."""


class UnknownModel(SeqcastError):
    """No model of this name, or no such version of it, is served."""


class NotHttp(SeqcastError):
    """Bytes that are no request."""


class HeadTooLarge(SeqcastError):
    """A request's headers over the limit."""


class BodyTooLarge(SeqcastError):
    """A request body over the limit."""


class BodyTooSlow(SeqcastError):
    """A request body that did not come in time."""


class UnknownMediaType(SeqcastError):
    """A request body of a kind that is not read."""


class MissingKey(SeqcastError):
    """A request without the API key that is asked for."""


class UnknownKey(SeqcastError):
    """A request with an API key that nobody has."""


class QueueFull(SeqcastError):
    """A request that would have to wait behind too many; `retry_after_s` says when not any more, about."""

    def __init__(self, message: str, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class TooLate(SeqcastError):
    """A request that was not answered in its time."""


class BundleError(SeqcastError):
    """A bundle that must not be served."""


class FaultyManifest(BundleError):
    """`manifest.json` is not a manifest."""


class NewerFormat(BundleError):
    """The bundle was written by a newer seqcast."""


class MissingFile(BundleError):
    """A file that the manifest lists is not there."""


class WrongHash(BundleError):
    """A file is not the one that the manifest lists."""


class UnusableBundle(BundleError):
    """None of a model's versions is sound."""


class UnusableFile(BundleError):
    """A file cannot be read, or has the hash listed and is not what it should be."""


class WrongAnswer(BundleError):
    """A graph's answer to its golden inputs is not its golden output."""


class GraphFailed(SeqcastError):
    """A graph cannot compute on what it was given."""


class NotReady(SeqcastError):
    """Nothing sound to serve with."""


class ExportRefused(SeqcastError):
    """torch and ONNX Runtime disagree by more than the tolerance."""


class UnknownCheckpoint(SeqcastError):
    """A foreign checkpoint that cannot be read as a model of ours."""
