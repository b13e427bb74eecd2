"""Requests of the Open Inference Protocol by hand, and their answers."""

import json

import numpy as np

HEADER = "inference-header-content-length"
NUMPY = {"FP64": "<f8", "FP32": "<f4", "INT64": "<i8", "BOOL": "?"}
DATATYPES = {"float64": "FP64", "float32": "FP32", "int64": "INT64", "bool": "BOOL"}


def tensors(**arrays):
    """A request of these, as JSON."""
    return {
        "inputs": [
            {"name": name, "datatype": DATATYPES[each.dtype.name], "shape": list(each.shape), "data": each.tolist()}
            for name, each in arrays.items()
        ]
    }


def binary(request, **more):
    """The same request with its tensors as bytes, and its header."""
    parts, inputs = [], []
    for each in request["inputs"]:
        parts.append(np.array(each["data"], NUMPY[each["datatype"]]).tobytes())
        told = {name: value for name, value in each.items() if name != "data"}
        inputs.append({**told, "parameters": {"binary_data_size": len(parts[-1])}})
    head = json.dumps({**request, "inputs": inputs, **more}).encode()
    return b"".join([head, *parts]), {HEADER: str(len(head))}


def infer(client, content, name="daily", **headers):
    content = content if isinstance(content, bytes) else json.dumps(content).encode()
    return client.post(f"/v2/models/{name}/infer", content=content, headers=headers)


def fault(client, content, status=400, name="daily", **headers):
    """The error of a refusal."""
    answer = infer(client, content, name, **headers)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert list(answer.json()) == ["error"]
    return answer.json()["error"]


def array(answer, index=0):
    """An output of either kind."""
    length = answer.headers.get(HEADER)
    content = json.loads(answer.content[: int(length)] if length else answer.content)
    output = content["outputs"][index]
    if "data" in output:
        return np.array(output["data"]).reshape(output["shape"])
    sizes = [each.get("parameters", {}).get("binary_data_size", 0) for each in content["outputs"]]
    raw = answer.content[int(length) :]
    assert len(raw) == sum(sizes)
    start = sum(sizes[:index])
    return np.frombuffer(raw[start : start + sizes[index]], NUMPY[output["datatype"]]).reshape(output["shape"])
