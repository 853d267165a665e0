"""Clients nobody here wrote, unchanged, against a real server on a port."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pytest
import torch
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from tests.server.engines import FakeEngine, double, echo
from tests.server.running import Running, running
from trunkline.errors import Reason, RefusedError
from trunkline.server.work import ServerSettings

ODD = "org/model 100% ünï?#"


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    """A server of a few functions that may be loaded and unloaded."""
    engine = FakeEngine({"double": double, "echo": echo, ODD: double})
    with running(engine, ServerSettings(port=0, repository_writes=True)) as found:
        yield found


@pytest.fixture(scope="module")
def client(server: Running) -> Iterator[triton.InferenceServerClient]:
    """Triton's client."""
    with triton.InferenceServerClient(server.url.removeprefix("http://")) as found:
        yield found


def x(array: np.ndarray, binary: bool = True, name: str = "x") -> triton.InferInput:
    """An input as tritonclient makes it."""
    found = triton.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
    found.set_data_from_numpy(array, binary_data=binary)
    return found


def test_triton_health_and_metadata(client: triton.InferenceServerClient) -> None:
    """Live, ready, and what the server and a model say about themselves, with and without the
    version."""
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("double")
    assert client.is_model_ready("double", "1")
    assert not client.is_model_ready("double", "2")
    assert not client.is_model_ready("gone")
    assert client.get_server_metadata()["name"] == "trunkline"
    found = client.get_model_metadata("double")
    assert (found["name"], found["versions"]) == ("double", ["1"])
    assert found["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}]


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False])
def test_triton_infers(
    client: triton.InferenceServerClient, binary_in: bool, binary_out: bool
) -> None:
    """JSON and raw tensors in either direction; the id comes back."""
    array = np.array([[1, 2.5], [-3, 0]], np.float32)
    wanted = [triton.InferRequestedOutput("y", binary_data=binary_out)]
    result = client.infer("double", [x(array, binary_in)], outputs=wanted, request_id="q7")
    np.testing.assert_array_equal(result.as_numpy("y"), array * 2)
    assert result.get_response()["id"] == "q7"
    assert (result.get_response()["model_name"], result.get_response()["model_version"]) == (
        "double",
        "1",
    )


@pytest.mark.parametrize(
    "dtype",
    ["?", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8"],
)
def test_every_type_makes_the_way_to_a_model_and_back(
    client: triton.InferenceServerClient, server: Running, dtype: str
) -> None:
    """Raw tensors of two inputs with odd lengths of JSON before them: PyTorch's type is the same,
    and so are values and shapes."""
    array = np.array([[0, 1, 100]], dtype)
    for name in ("a", "ab", "abc"):
        result = client.infer("echo", [x(array, name=name), x(array[0, :1], name="z")])
        np.testing.assert_array_equal(result.as_numpy(name), array)
        assert result.as_numpy(name).dtype == array.dtype
        seen = server.engine.asked[-1][1][name]
        assert seen.dtype == torch.from_numpy(array).dtype


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_triton_may_compress(client: triton.InferenceServerClient, algorithm: str) -> None:
    """Its packed requests are read, small and large, JSON and raw; asking for packed answers does
    no harm."""
    for size in (2, 50_000):
        for binary in (True, False):
            array = np.arange(size, dtype=np.float32)
            result = client.infer(
                "double",
                [x(array, binary)],
                request_compression_algorithm=algorithm,
                response_compression_algorithm=algorithm,
            )
            np.testing.assert_array_equal(result.as_numpy("y"), array * 2)


def test_triton_reads_large_json(client: triton.InferenceServerClient) -> None:
    """Beyond what is read and written in the event loop."""
    array = np.arange(30_000, dtype=np.float32)
    wanted = [triton.InferRequestedOutput("y", binary_data=False)]
    result = client.infer("double", [x(array, binary=False)], outputs=wanted)
    np.testing.assert_array_equal(result.as_numpy("y"), array * 2)


def test_names_with_any_characters(client: triton.InferenceServerClient) -> None:
    """Slashes, percent and question marks, letters beyond ASCII: as tritonclient writes them."""
    assert client.is_model_ready(ODD)
    assert client.is_model_ready(ODD, "1")
    assert client.get_model_metadata(ODD, "1")["name"] == ODD
    result = client.infer(ODD, [x(np.ones(1, np.float32))], model_version="1")
    assert result.as_numpy("y").tolist() == [2]


def test_triton_repository(client: triton.InferenceServerClient) -> None:
    """Index, unload, load: the state is told, and requests are refused in between."""
    states = {one["name"]: one["state"] for one in client.get_model_repository_index()}
    assert states == {"double": "READY", "echo": "READY", ODD: "READY"}
    client.unload_model("echo")
    assert not client.is_model_ready("echo")
    states = {one["name"]: one["state"] for one in client.get_model_repository_index()}
    assert states["echo"] == "UNAVAILABLE"
    with pytest.raises(InferenceServerException, match="was unloaded") as refused:
        client.infer("echo", [x(np.ones(1, np.float32))])
    assert refused.value.status() == "503"
    client.load_model("echo")
    assert client.is_model_ready("echo")
    with pytest.raises(InferenceServerException, match="no model 'gone'"):
        client.load_model("gone")
    with pytest.raises(InferenceServerException, match="parameter 'config'"):
        client.load_model("echo", config="{}")


def test_triton_says_how_long_it_waits(
    client: triton.InferenceServerClient, server: Running
) -> None:
    """`timeout` in microseconds is the deadline that the engine is told; priority and sequence
    numbers are no matter."""
    before = time.monotonic()
    client.infer(
        "double",
        [x(np.ones(1, np.float32))],
        timeout=7_500_000,
        priority=1,
        sequence_id=3,
        sequence_start=True,
        parameters={"mine": "yes"},
    )
    assert before + 7.5 <= server.engine.asked[-1][2] <= time.monotonic() + 7.5


def test_errors_raise_with_our_words(client: triton.InferenceServerClient, server: Running) -> None:
    """Unknown models, wrong inputs, refusals: InferenceServerException with message and status."""
    one = [x(np.ones(1, np.float32))]
    with pytest.raises(InferenceServerException, match="no model 'gone' is served") as found:
        client.infer("gone", one)
    assert found.value.status() == "404"
    with pytest.raises(InferenceServerException, match="version '3'; there is only '1'"):
        client.infer("double", one, model_version="3")
    with pytest.raises(InferenceServerException, match="there is only 'x'") as found:
        client.infer("double", [x(np.ones(1, np.float32), name="z")])
    assert found.value.status() == "400"
    with pytest.raises(InferenceServerException, match="takes numbers, not BYTES"):
        client.infer("double", [x(np.array([b"text"], dtype=object))])
    with pytest.raises(InferenceServerException, match="no output 'z'; it has 'y'"):
        client.infer("double", one, outputs=[triton.InferRequestedOutput("z")])
    server.engine.refuse = RefusedError(Reason.QUEUE_FULL, "1000 requests wait", 1.5)
    try:
        with pytest.raises(InferenceServerException, match="1000 requests wait") as found:
            client.infer("double", one)
    finally:
        server.engine.refuse = None
    assert found.value.status() == "503"


def test_many_at_once(client: triton.InferenceServerClient, server: Running) -> None:
    """Each of fifty requests on eight connections gets its own answer."""
    with triton.InferenceServerClient(
        server.url.removeprefix("http://"), concurrency=8
    ) as parallel:
        asked = [parallel.async_infer("double", [x(np.array([i], np.float32))]) for i in range(50)]
        assert [one.get_result().as_numpy("y").item() for one in asked] == [
            2.0 * i for i in range(50)
        ]
