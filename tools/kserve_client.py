"""Ask a running server through kserve's own REST client.

    python tools/kserve_client.py http://127.0.0.1:8000 MODEL INPUT 1,3,32,32

kserve brings many packages of its own (kubernetes, pandas, grpc) and is not in the lock: make
a virtual environment for it, `pip install kserve`, and call this with its Python. It says `ok` if
health calls, an inference with JSON and one with raw tensors agree, and if an error arrives with
the server's words; else it fails.
"""

import asyncio
import sys

import httpx
import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.protocol.infer_type import RequestedOutput


async def check(url: str, model: str, name: str, shape: list[int]) -> None:
    async with InferenceRESTClient(RESTConfig(protocol="v2")) as client:
        assert await client.is_server_live(url)
        assert await client.is_server_ready(url)
        assert await client.is_model_ready(url, model)
        array = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
        by_json = await client.infer(url, request(model, name, array, False), model_name=model)
        by_bytes = await client.infer(url, request(model, name, array, True), model_name=model)
        assert len(by_json.outputs) == len(by_bytes.outputs) > 0
        for one, other in zip(by_json.outputs, by_bytes.outputs, strict=True):
            assert (one.name, one.shape, one.datatype) == (other.name, other.shape, other.datatype)
            np.testing.assert_allclose(one.as_numpy(), other.as_numpy(), rtol=1e-4)
        await asked_for_one_output(client, url, model, name, array, by_bytes.outputs[0].name)
        try:
            await client.infer(url, request("no-such", name, array, True), model_name="no-such")
        except httpx.HTTPStatusError as error:
            if "no-such" not in str(error).split(",")[0]:  # the server's words come first
                raise
        else:
            raise AssertionError("a model that there is not answered")


async def asked_for_one_output(client, url, model, name, array, output: str) -> None:
    """kserve lets a request name its outputs, each raw or not."""
    for binary in (True, False):
        wanted = [RequestedOutput(output, parameters={"binary_data": binary})]
        asked = request(model, name, array, True, outputs=wanted)
        (found,) = (await client.infer(url, asked, model_name=model)).outputs
        assert found.name == output
        assert found.as_numpy() is not None


def request(model, name, array, binary: bool, outputs=None) -> InferRequest:
    given = InferInput(name, list(array.shape), "FP32")
    given.set_data_from_numpy(array, binary_data=binary)
    return InferRequest(
        model,
        [given],
        request_id="q",
        request_outputs=outputs,
        parameters={"binary_data_output": binary},
    )


if __name__ == "__main__":
    address, model_name, input_name, sizes = sys.argv[1:]
    asyncio.run(check(address, model_name, input_name, [int(size) for size in sizes.split(",")]))
    print("ok")
