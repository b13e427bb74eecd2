"""Every call of KServe's InferenceRESTClient; run by test_inference_clients.py in an environment that has it.

python kserve_calls.py URL GOLDEN.npz
"""

import asyncio
import json
import sys

import httpx
import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.protocol.infer_type import RequestedOutput

DATATYPES = {"float64": "FP64", "float32": "FP32"}


def request(vectors, *names, model="hourly", binary=False, outputs=None, **parameters):
    inputs = []
    for name in names:
        inputs.append(InferInput(name, list(vectors[name].shape), DATATYPES[vectors[name].dtype.name]))
        inputs[-1].set_data_from_numpy(vectors[name], binary_data=binary)
    return InferRequest(model, inputs, parameters=parameters, request_outputs=outputs)


def worst(response, vectors, name):
    return round(float(np.abs(response.get_output_by_name(name).as_numpy() - vectors[name]).max()), 2)


async def main(url, vectors):
    told = {}
    names = "history", "calendar"
    async with InferenceRESTClient(RESTConfig(protocol="v2", retries=0)) as client:
        told["live"] = await client.is_server_live(url)
        told["ready"] = await client.is_server_ready(url)
        told["models"] = [await client.is_model_ready(url, name) for name in ("hourly", "hourly@attention", "no")]
        bytes_wanted = [RequestedOutput("forecast", parameters={"binary_data": True})]
        requests = [
            request(vectors, *names),
            request(vectors, *names, binary=True, binary_data_output=True),
            request(vectors, *names, binary=True, outputs=bytes_wanted),
        ]
        told["worst"] = [
            worst(await client.infer(url, each, model_name="hourly"), vectors, "forecast") for each in requests
        ]
        response = await client.infer(url, request(vectors, *names, binary=True), model_name="hourly@attention")
        told["attention"] = worst(response, vectors, "encoder_0")
        try:
            await client.infer(url, request(vectors, "history"), model_name="hourly")
        except httpx.HTTPStatusError as error:
            told["refused"] = error.response.json()["error"]
        together = await asyncio.gather(
            *(client.infer(url, requests[index % 3], model_name="hourly") for index in range(20))
        )
        told["together"] = sum(worst(each, vectors, "forecast") == 0 for each in together)
    sys.stdout.write(json.dumps(told) + "\n")


asyncio.run(main(sys.argv[1], dict(np.load(sys.argv[2]))))
