"""What an inference request asks of a graph: tensors checked against what the graph takes, and outputs wanted."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contract.errors import Fault, FaultyRequest
from contract.graphs import Tensor
from contract.quoting import shown
from service.inference.model import GraphModel
from service.inference.schemas import InferInput, InferRequest, RequestedOutput
from service.inference.tensors import DATATYPES, OTHER_DATATYPES, apart, read_bytes, read_numbers
from service.schemas import read

_UNSUPPORTED = {
    "sequence_id": "sequences: each request stands for itself",
    "sequence_start": "sequences: each request stands for itself",
    "sequence_end": "sequences: each request stands for itself",
    "priority": "priorities: rows take turns",
    "classification": "classification: ask for the output itself",
    "shared_memory_region": "shared memory: send and ask for tensors in the body",
}
"""Parameters of Triton's extensions that would change the answer; any other custom one is read past."""
_LONGEST_US = 10**12


@dataclass(frozen=True, slots=True)
class Wanted:
    """A request that is sound. `binary` says of each output wanted whether it shall come as bytes."""

    id: str | None
    timeout_ms: float | None
    inputs: Mapping[str, NDArray[Any]]
    binary: Mapping[str, bool]


async def read_request(data: Any, rest: memoryview, model: GraphModel, most_bytes: int) -> Wanted:
    """`data` and `rest` as `read_head` gives them. Raises FaultyRequest with every fault."""
    request, faults = read(InferRequest, data)
    if request is None:
        raise FaultyRequest(faults)
    faults += _parameter_faults(request.parameters, "/parameters")
    faults += _not_bool(request.parameters, "binary_data_output", "/parameters")
    timeout_us = request.parameters.get("timeout", 0)
    if not isinstance(timeout_us, int) or isinstance(timeout_us, bool) or not 0 <= timeout_us <= _LONGEST_US:
        message = f"expected microseconds up to {_LONGEST_US}, or 0 for no limit, came {shown(timeout_us)}"
        faults.append(Fault("/parameters/timeout", message))
    reader = _Reader(model, rest)
    for index, each in enumerate(request.inputs):
        faults += await reader.read(each, f"/inputs/{index}")
    faults += reader.left()
    binary, found = _outputs(request, model)
    faults += found
    if not faults:
        largest = model.largest_answer(reader.arrays, list(binary))
        if largest > most_bytes:
            message = f"expected rows whose answer has at most {most_bytes} bytes, came some with up to {largest}"
            faults.append(Fault("/inputs", f"{message}: send fewer, or ask for fewer outputs"))
    if faults:
        raise FaultyRequest(faults)
    return Wanted(request.id, timeout_us / 1000 or None, reader.arrays, binary)


class _Reader:
    """Reads inputs one after the other, for their bytes come in that order."""

    def __init__(self, model: GraphModel, rest: memoryview) -> None:
        self._model = model
        self._tensors = {each.name: each for each in model.graph.inputs}
        self._rest = rest
        self._offset: int | None = 0  # None once it cannot be told
        self._seen: dict[str, int | None] = {}
        self.arrays: dict[str, NDArray[Any]] = {}

    async def read(self, data: Any, pointer: str) -> list[Fault]:
        given, faults = read(InferInput, data, pointer)
        if given is None:
            self._offset = None
            self._seen |= {name: None for name in [_name_of(data)] if name is not None}
            return faults
        faults += _parameter_faults(given.parameters, f"{pointer}/parameters")
        raw, found = self._take(given, pointer)
        faults += found
        tensor = self._tensors.get(given.name)
        if tensor is None:
            known = ", ".join(self._tensors)
            return [*faults, Fault(f"{pointer}/name", f"expected one of {known}, came {shown(given.name)}")]
        if given.name in self._seen:
            return [*faults, Fault(f"{pointer}/name", f"expected each input once, came {given.name} again")]
        self._seen[given.name] = given.shape[0] if given.shape else None
        found = [*_datatype_faults(given, tensor, pointer), *self._shape_faults(given, tensor, pointer)]
        if faults or found:
            return [*faults, *found]
        try:
            if raw is not None:
                array = await read_bytes(raw, tensor.dtype, given.shape)
            elif isinstance(given.data, bytes):
                array = await read_numbers(given.data, tensor.dtype, given.shape)
            elif "binary_data_size" in given.parameters:
                return []  # where its bytes are cannot be told, for what is wrong with an input before it
            else:
                return [Fault(f"{pointer}/data", f"expected a list, came {shown(given.data)}")]
            await self._check_values(array, tensor)
        except ValueError as error:
            return [Fault(f"{pointer}/data", str(error))]
        self.arrays[given.name] = array
        return []

    def left(self) -> list[Fault]:
        """What is wrong with the inputs together, once all are read."""
        faults = [
            Fault("/inputs", f"expected {name}, which is missing") for name in self._tensors if name not in self._seen
        ]
        if self._offset is not None and self._offset < len(self._rest):
            came = f"{len(self._rest) - self._offset} more"
            faults.append(
                Fault("", f"expected {self._offset} bytes behind the JSON, as binary_data_size says, came {came}")
            )
        rows = {name: count for name, count in self._seen.items() if count is not None}
        if len(set(rows.values())) > 1:
            came = ", ".join(f"{count} of {name}" for name, count in rows.items())
            faults.append(Fault("/inputs", f"expected as many rows of each input, came {came}"))
        return faults

    def _take(self, given: InferInput, pointer: str) -> tuple[memoryview | None, list[Fault]]:
        """The bytes of an input, if it has them."""
        if "binary_data_size" not in given.parameters:
            return None, []
        size, at = given.parameters["binary_data_size"], f"{pointer}/parameters/binary_data_size"
        if not isinstance(size, int) or isinstance(size, bool) or size < 0:
            self._offset = None
            return None, [Fault(at, f"expected bytes from 0 on, came {shown(size)}")]
        if given.data is not None:
            self._offset = None
            return None, [Fault(f"{pointer}/data", "expected none beside binary_data_size, came both")]
        if self._offset is None:
            return None, []
        if self._offset + size > len(self._rest):
            left, self._offset = len(self._rest) - self._offset, None
            return None, [Fault(at, f"expected at most the {left} bytes left behind the JSON, came {size}")]
        self._offset += size
        return self._rest[self._offset - size : self._offset], []

    def _shape_faults(self, given: InferInput, tensor: Tensor, pointer: str) -> list[Fault]:
        expected, spec = tensor.shape, self._model.bounded
        # tokens are from 1 on, but what a graph remembers may be of none yet
        least = 0 if spec is not None and spec.bounds(tensor.name) is None else 1
        fits = len(given.shape) == len(expected) and all(
            came == size if size is not None else came >= (least if axis else 1)
            for axis, (came, size) in enumerate(zip(given.shape, expected, strict=True))
        )
        if not fits:
            shape = [-1 if size is None else size for size in expected]
            message = f"expected {shape}, -1 being any length from 1 on, came {shown(given.shape)}"
            return [Fault(f"{pointer}/shape", message)]
        return [
            Fault(f"{pointer}/shape/{axis}", f"expected a length of at most {spec.longest_row}, came {came}")
            for axis, came in enumerate(given.shape)
            if spec is not None and axis > 0 and expected[axis] is None and came > spec.longest_row
        ]

    async def _check_values(self, array: NDArray[Any], tensor: Tensor) -> None:
        """Raises ValueError."""
        spec = self._model.bounded
        bounds = spec.bounds(tensor.name) if spec is not None else None
        if bounds is not None and array.dtype.kind == "i":
            least, most = await apart(array.nbytes, lambda: (int(array.min()), int(array.max())))
            if least < bounds[0] or most > bounds[1]:
                came = least if least < bounds[0] else most
                raise ValueError(f"expected numbers from {bounds[0]} to {bounds[1]}, came {came}")
        if array.dtype.kind == "f" and not await apart(array.nbytes, lambda: bool(np.isfinite(array).all())):
            where = int(np.argmin(np.isfinite(array)))
            raise ValueError(f"expected finite numbers, came {shown(array.flat[where].item())} as value {where}")


def _outputs(request: InferRequest, model: GraphModel) -> tuple[dict[str, bool], list[Fault]]:
    """Each output wanted, with whether as bytes."""
    default = request.parameters.get("binary_data_output") is True
    names = [each.name for each in model.graph.outputs]
    if not request.outputs:
        return dict.fromkeys(names, default), []
    binary: dict[str, bool] = {}
    faults = []
    for index, data in enumerate(request.outputs):
        pointer = f"/outputs/{index}"
        wanted, found = read(RequestedOutput, data, pointer)
        faults += found
        if wanted is None:
            continue
        faults += _parameter_faults(wanted.parameters, f"{pointer}/parameters")
        faults += _not_bool(wanted.parameters, "binary_data", f"{pointer}/parameters")
        if wanted.name not in names:
            faults.append(Fault(f"{pointer}/name", f"expected one of {', '.join(names)}, came {shown(wanted.name)}"))
        elif wanted.name in binary:
            faults.append(Fault(f"{pointer}/name", f"expected each output once, came {wanted.name} again"))
        binary[wanted.name] = wanted.parameters.get("binary_data", default) is True
    return binary, faults


def _parameter_faults(parameters: Mapping[str, Any], pointer: str) -> list[Fault]:
    return [
        Fault(f"{pointer}/{name}", f"not supported: {_UNSUPPORTED[name]}")
        for name in parameters
        if name in _UNSUPPORTED
    ]


def _not_bool(parameters: Mapping[str, Any], name: str, pointer: str) -> list[Fault]:
    value = parameters.get(name, False)
    return (
        [] if isinstance(value, bool) else [Fault(f"{pointer}/{name}", f"expected true or false, came {shown(value)}")]
    )


def _datatype_faults(given: InferInput, tensor: Tensor, pointer: str) -> list[Fault]:
    expected = DATATYPES[tensor.dtype]
    if given.datatype == expected:
        return []
    known = given.datatype in (*DATATYPES.values(), *OTHER_DATATYPES)
    came = shown(given.datatype) + ("" if known else ", which the protocol does not have")
    return [Fault(f"{pointer}/datatype", f"expected {expected}, came {came}")]


def _name_of(data: Any) -> str | None:
    name = data.get("name") if isinstance(data, dict) else None
    return name if isinstance(name, str) else None
