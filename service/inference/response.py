"""A graph's outputs as the protocol answers them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from numpy.typing import NDArray

from contract.errors import Fault, FaultyRequest
from service.inference.model import GraphModel
from service.inference.request import Wanted
from service.inference.tensors import DATATYPES, write_bytes, write_numbers


@dataclass(frozen=True, slots=True)
class Answer:
    """The body; `head` are the bytes of its JSON, None if it is JSON as a whole."""

    body: bytes
    head: int | None


async def write_answer(outputs: Mapping[str, NDArray[Any]], wanted: Wanted, model: GraphModel) -> Answer:
    """Raises FaultyRequest for an output that JSON cannot tell."""
    told, behind, faults = [], [], []
    for index, (name, binary) in enumerate(wanted.binary.items()):
        array = outputs[name]
        output: dict[str, Any] = {"name": name, "datatype": DATATYPES[array.dtype.name], "shape": list(array.shape)}
        if binary:
            behind.append(write_bytes(array))
            output["parameters"] = {"binary_data_size": len(behind[-1])}
        else:
            try:
                output["data"] = orjson.Fragment(await write_numbers(array))
            except ValueError as error:
                faults.append(Fault(f"/outputs/{index}", f"{name}: {error}"))
        told.append(output)
    if faults:
        raise FaultyRequest(faults)
    content = {"model_name": model.name, "model_version": model.version, "outputs": told}
    head = orjson.dumps(content if wanted.id is None else {"id": wanted.id, **content})
    return Answer(b"".join([head, *behind]), len(head) if behind else None)
