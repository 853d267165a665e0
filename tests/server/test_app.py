"""The HTTP app by itself: calls, errors and deadlines."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from tests.server.asgi import INFER, Answered, Client, client
from tests.server.engines import FakeEngine, double
from tests.server.running import question
from trunkline.errors import CorruptBlobError, ModelFailedError, Reason, RefusedError
from trunkline.server.app import ServerApp
from trunkline.server.work import Limits, ServerSettings, TensorInfo

LOAD = "/v2/repository/models/double/load"


@pytest.mark.parametrize("path", ["/v2", "/v2/"])
def test_server_metadata(path: str) -> None:
    """With and without the slash that the official document has."""
    assert client().get(path).document["extensions"] == ["binary_tensor_data", "model_repository"]


def test_health_follows_the_engine() -> None:
    """Live and ready are the engine's; a model is ready if the server is and the model is."""
    engine = FakeEngine({"double": double})
    asked = client(engine)
    for path in ("/v2/health/live", "/v2/health/ready", "/v2/models/double/ready"):
        assert asked.get(path).status == 200
    engine.ready = False
    assert asked.get("/v2/health/live").document == {"live": True}
    assert asked.get("/v2/health/ready").status == 503
    assert asked.get("/v2/models/double/ready").status == 503
    engine.live = False
    assert asked.get("/v2/health/live").status == 503


@pytest.mark.parametrize("content_type", [None, "application/json", "text/plain", "nonsense"])
def test_the_content_type_does_not_matter(content_type: str | None) -> None:
    """JSON and raw tensors are read whatever it says."""
    headers = {} if content_type is None else {"Content-Type": content_type}
    asked = client()
    assert asked.post(INFER, question(), headers).document["outputs"][0]["data"] == [2.0, 5.0]
    one = {"name": "x", "datatype": "FP32", "shape": [1], "parameters": {"binary_data_size": 4}}
    head = json.dumps({"inputs": [one]}).encode()
    headers["Inference-Header-Content-Length"] = str(len(head))
    found = asked.post(INFER, head + np.float32(3).tobytes(), headers)
    assert found.document["outputs"][0]["data"] == [6.0]


def test_bfloat16_makes_the_way() -> None:
    """The model gets bfloat16, and so does the client."""
    engine = FakeEngine({"double": double})
    asked = {**question((1.5, -2.0, 0.25))["inputs"][0], "datatype": "BF16"}
    found = client(engine).post(INFER, {"inputs": [asked]}).document["outputs"][0]
    assert engine.asked[0][1]["x"].dtype == torch.bfloat16
    assert (found["datatype"], found["data"]) == ("BF16", [3.0, -4.0, 0.5])


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("GET", "/", 404, "'/': no such call; /v2/openapi.json has them"),
        ("GET", "/v2/nothing", 404, "no such call"),
        ("GET", "/v3", 404, "no such call"),
        ("GET", "/v2/models//ready", 404, "no such call"),
        ("GET", "/v2/models/gone", 404, "no model 'gone' is served"),
        ("GET", "/v2/models/gone/ready", 404, "no model 'gone' is served"),
        ("GET", "/v2/models/double/versions/2", 404, "version '2'; there is only '1'"),
        ("GET", "/v2/models/double/versions/2/ready", 404, "version '2'"),
        ("POST", "/v2/models/double/versions/2/infer", 404, "version '2'"),
        ("POST", "/v2/models/gone/infer", 404, "no model 'gone' is served"),
        ("GET", INFER, 405, "GET: POST only"),
        ("DELETE", "/v2", 405, "DELETE: GET, HEAD only"),
        ("POST", "/v2/health/live", 405, "POST: GET, HEAD only"),
        ("POST", INFER, 400, "no JSON"),
        ("POST", LOAD, 403, "load: off; `trunkline serve --allow-repository-writes`"),
        ("POST", "/v2/repository/models/double/unload", 403, "unload: off"),
        ("POST", "/v2/repository/models//load", 404, "no such call"),
        ("POST", "/v2/repository/models/double/drop", 404, "no such call"),
    ],
)
def test_calls_that_there_are_not(method: str, path: str, status: int, message: str) -> None:
    """Each is refused with its status and `{"error": ...}`; 405 says what is allowed."""
    found = client().call(method, path)
    assert found.status == status
    assert message in found.document["error"]
    assert ("allow" in found.headers) == (status == 405)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v2/models/a%2Fb", "a/b"),
        ("/v2/models/a/b", "a/b"),
        ("/v2/models/a%252Fb", "a%2Fb"),
        ("/v2/models/a%2Fready", "a/ready"),
        ("/v2/models/a%2Fversions%2F1", "a/versions/1"),
        ("/v2/models/versions/versions/1", "versions"),
        ("/v2/models/infer", "infer"),
    ],
)
def test_names_are_decoded_once(path: str, name: str) -> None:
    """A name is what stands in the path, decoded once; only a path's own slashes end it."""
    asked = client(FakeEngine({name: double}))
    assert asked.get(path).document["name"] == name
    assert asked.post(f"{path}/infer", question()).status == 200


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (RefusedError(Reason.DEADLINE, "x", 0.2), 503, "deadline"),
        (RefusedError(Reason.QUEUE_FULL, "x", 3.4), 503, "queue_full"),
        (RefusedError(Reason.UNAVAILABLE, "x"), 503, "unavailable"),
        (RefusedError(Reason.LATE, "x"), 504, "late"),
        (ModelFailedError("x"), 500, "failed"),
        (CorruptBlobError("x"), 409, None),
        (ZeroDivisionError("secret"), 500, None),
    ],
)
@pytest.mark.parametrize("later", [False, True], ids=["at once", "later"])
def test_how_the_engine_fails(
    error: Exception, status: int, reason: str | None, later: bool
) -> None:
    """Status, reason and Retry-After (whole seconds, at least 1) by the kind of error, whether it
    comes at once or with the future; a bug's message is not told."""

    def fails(_: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
        raise error

    engine = FakeEngine({"double": fails})
    engine.refuse = None if later else error
    found = client(engine).post(INFER, question())
    assert (found.status, found.document.get("reason")) == (status, reason)
    assert "secret" not in found.document["error"]
    retry = {"deadline": "1", "queue_full": "4", "unavailable": "1"}
    assert found.headers.get("retry-after") == retry.get(reason or "")


def test_an_output_that_the_protocol_has_no_type_for() -> None:
    """The model's fault, by name."""
    engine = FakeEngine({"double": lambda _: {"y": torch.zeros(1, dtype=torch.complex64)}})
    found = client(engine).post(INFER, question())
    assert (found.status, found.document["reason"]) == (500, "failed")
    assert "output 'y' is of type torch.complex64" in found.document["error"]


@pytest.mark.parametrize(
    ("timeout", "header", "seconds"),
    [
        (None, None, 10),
        (0, None, 10),
        (2_000_000, None, 2),
        (None, "1500.5", 1.5005),
        (2_000_000, "1500", 1.5),
        (1_000_000, "1500", 1),
        (10**12, None, 300),
        (None, "900000000", 300),
    ],
)
def test_deadlines(timeout: int | None, header: str | None, seconds: float) -> None:
    """The parameter in microseconds, the header in milliseconds, the shorter of both, the default,
    and never more than the longest; counted from the arrival."""
    engine = FakeEngine({"double": double})
    parameters = {} if timeout is None else {"timeout": timeout}
    headers = {} if header is None else {"Trunkline-Timeout-Ms": header}
    before = time.monotonic()
    found = client(engine).post(INFER, question(parameters=parameters), headers)
    after = time.monotonic()
    assert found.status == 200
    assert before + seconds <= engine.asked[0][2] <= after + seconds


@pytest.mark.parametrize(
    ("timeout", "header", "message"),
    [
        (-1, None, "parameter 'timeout': a whole number of microseconds"),
        (1.5, None, "parameter 'timeout'"),
        (True, None, "parameter 'timeout'"),
        ("5", None, "parameter 'timeout'"),
        (None, "-1", "Trunkline-Timeout-Ms: a number of milliseconds, got '-1'"),
        (None, "1e3", "Trunkline-Timeout-Ms"),
        (None, "nan", "Trunkline-Timeout-Ms"),
        (None, "", "Trunkline-Timeout-Ms"),
    ],
)
def test_odd_deadlines_are_refused(timeout: Any, header: str | None, message: str) -> None:
    """400, naming where it stands."""
    parameters = {} if timeout is None else {"timeout": timeout}
    headers = {} if header is None else {"Trunkline-Timeout-Ms": header}
    found = client().post(INFER, question(parameters=parameters), headers)
    assert (found.status, message in found.document["error"]) == (400, True)


def test_a_request_that_waits_past_its_deadline() -> None:
    """503 and cancelled, so that it is never computed, if its batch had not begun; else 504."""
    for begun, status, reason in ((False, 503, "deadline"), (True, 504, "late")):
        engine = FakeEngine({"double": double}, hold=True)
        asked = client(engine)

        async def ask(
            engine: FakeEngine = engine, asked: Client = asked, begun: bool = begun
        ) -> Answered:
            task = asyncio.create_task(
                asked.send("POST", INFER, question(parameters={"timeout": 30_000}))
            )
            while not engine.pending:
                await asyncio.sleep(0)
            if begun:
                engine.pending[0].set_running_or_notify_cancel()
            return await task

        found = asyncio.run(ask())
        assert (found.status, found.document["reason"]) == (status, reason)
        assert engine.pending[0].cancelled() == (not begun)


def test_a_client_that_hangs_up_is_not_computed_for() -> None:
    """Its future is cancelled, nothing is sent, and its body's bytes are free again."""
    engine = FakeEngine({"double": double}, hold=True)
    app = ServerApp(engine, ServerSettings())

    async def ask() -> Answered:
        gone = asyncio.Event()
        task = asyncio.create_task(Client(app).send("POST", INFER, question(), gone=gone))
        while not engine.pending:
            await asyncio.sleep(0)
        gone.set()
        return await task

    found = asyncio.run(ask())
    assert found.messages == []
    assert engine.pending[0].cancelled()
    assert app._infer.intake.bytes == 0


def test_a_client_that_hangs_up_within_its_body() -> None:
    """Nothing is submitted and nothing sent."""
    engine = FakeEngine({"double": double})
    asked = client(engine)

    async def ask() -> Answered:
        gone = asyncio.Event()
        gone.set()
        return await asked.send("POST", INFER, b'{"inp', gone=gone, whole=False)

    assert asyncio.run(ask()).messages == []
    assert engine.asked == []


def test_too_large_bodies_are_refused_as_they_come() -> None:
    """413 from the declared length without reading, from the chunk that is too much, and from what
    a packed body unpacks to; exactly the limit is read."""
    limits = Limits(body_bytes=1000)
    asked = client(limits=limits)
    found = asked.post(INFER, b"", {"Content-Length": "1001"})
    assert (found.status, found.read) == (413, 0)
    found = asked.post(INFER, b" " * 1001, chunk=100)
    assert (found.status, found.read) == (413, 11)
    assert asked.post(INFER, b" " * 1000, chunk=100).status == 400
    for pack in (gzip.compress, zlib.compress):
        name = "gzip" if pack is gzip.compress else "deflate"
        found = asked.post(INFER, pack(b" " * 1001), {"Content-Encoding": name})
        assert found.status == 413
        found = asked.post(INFER, pack(b" " * 1000), {"Content-Encoding": name})
        assert found.status == 400


@pytest.mark.parametrize(
    ("body", "encoding", "status"),
    [
        (b"no gzip", "gzip", 400),
        (gzip.compress(b"{}", mtime=0)[:-1], "gzip", 400),
        (gzip.compress(b"{}", mtime=0) + b"more", "gzip", 400),
        (zlib.compress(b"{}"), "gzip", 400),
        (b"", "gzip", 400),
        (b"{}", "br", 415),
        (gzip.compress(b"{}", mtime=0), "gzip, gzip", 415),
    ],
)
def test_odd_packing_is_refused(body: bytes, encoding: str, status: int) -> None:
    """What is not one whole stream of its kind, and kinds that we do not read."""
    found = client().post(INFER, body, {"Content-Encoding": encoding})
    assert (found.status, "error" in found.document) == (status, True)


def test_all_bodies_together_have_a_limit() -> None:
    """A second request that would pass it is refused with 503 while the first waits, and a packed
    one before it is unpacked; afterwards every byte is free again."""
    engine = FakeEngine({"double": double}, hold=True)
    body = json.dumps(question()).encode()
    app = ServerApp(engine, ServerSettings(limits=Limits(bodies_bytes=len(body) + 10)))
    asked = Client(app)
    packed = gzip.compress(b"\0" * 5000, mtime=0)
    assert len(packed) < len(body)

    async def ask() -> tuple[Answered, Answered, Answered]:
        first = asyncio.create_task(asked.send("POST", INFER, body))
        while not engine.pending:
            await asyncio.sleep(0)
        second = await asked.send("POST", INFER, body)
        engine.answer(engine.pending[0], "double", engine.asked[0][1])
        third = await asked.send("POST", INFER, packed, {"Content-Encoding": "gzip"})
        return await first, second, third

    first, second, third = asyncio.run(ask())
    assert [first.status, second.status, third.status] == [200, 503, 503]
    assert second.document["reason"] == third.document["reason"] == "queue_full"
    assert app._infer.intake.bytes == 0


def test_a_body_that_does_not_come_in_time() -> None:
    """408, and the connection is to be closed."""
    asked = client(limits=Limits(body_s=0.02))
    found = asyncio.run(asked.send("POST", INFER, b'{"inp', whole=False))
    assert (found.status, found.headers["connection"]) == (408, "close")
    assert "did not arrive within 0.02 s" in found.document["error"]


def test_headers_that_could_be_read_in_two_ways() -> None:
    """Two lengths, or two hosts: 400. Too many bytes of headers: 431."""
    asked = client()
    two = [("Host", "localhost"), ("Host", "evil.example")]
    found = asked.call("GET", "/v2", headers=two, host=None)
    assert (found.status, found.document["error"]) == (400, "header host: twice")
    assert asked.get("/v2", {"X": "y" * 40_000}).status == 431
    assert asked.get("/v2?" + "y" * 40_000).status == 431


def test_the_index() -> None:
    """All models, or only those that are served; a body is not needed."""
    engine = FakeEngine({"a": double, "b": double})
    engine.unload("b")
    asked = client(engine)
    names = [one["name"] for one in asked.post("/v2/repository/index", b"").document]
    assert names == ["a", "b"]
    found = asked.post("/v2/repository/index", {"ready": True}).document
    assert found == [{"name": "a", "version": "1", "state": "READY", "reason": ""}]
    assert asked.post("/v2/repository/index", {"ready": 1}).status == 400
    assert asked.post("/v2/repository/index", b"[]").status == 400


def test_a_model_that_cannot_be_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """409 and why, the digest included."""

    def load(_: str) -> None:
        raise CorruptBlobError("blob sha256:abc is damaged")

    engine = FakeEngine({"double": double})
    monkeypatch.setattr(engine, "load", load)
    found = client(engine, repository_writes=True).post(LOAD, b"")
    assert (found.status, found.document) == (409, {"error": "blob sha256:abc is damaged"})


class Shout:
    """A processor of texts: their lengths in, capitals out."""

    inputs = (TensorInfo("t", "BYTES", (-1,)),)

    def takes(self, names: frozenset[str]) -> bool:
        return names == {"t"}

    def encode(self, inputs: Mapping[str, Any]) -> Mapping[str, torch.Tensor]:
        return {"x": torch.tensor([len(one) for one in inputs["t"]])}

    def decode(self, outputs: Mapping[str, torch.Tensor]) -> Mapping[str, Any]:
        texts = [b"A" * size for size in outputs["y"].tolist()]
        return {"text": np.array(texts, dtype=object)}


def test_a_processor_stands_between_client_and_model() -> None:
    """Texts go in and come out of a model that has one; its twin without one refuses them."""
    engine = FakeEngine({"double": double, "plain": double})
    asked = Client(
        ServerApp(
            engine,
            ServerSettings(),
            processors=lambda one: Shout() if one.name == "double" else None,
        )
    )
    one = {"name": "t", "datatype": "BYTES", "shape": [2], "data": ["a", "bc"]}
    found = asked.post(INFER, {"inputs": [one]}).document["outputs"]
    assert found == [{"name": "text", "datatype": "BYTES", "shape": [2], "data": ["AA", "AAAA"]}]
    found = asked.post("/v2/models/plain/infer", {"inputs": [one]})
    assert (found.status, "takes numbers" in found.document["error"]) == (400, True)


def test_extra_routes() -> None:
    """More paths are served behind the same gate; their wrong methods and their bugs are answered
    as our own."""

    async def good(_: Request) -> PlainTextResponse:
        return PlainTextResponse("up 1")

    async def bad(_: Request) -> PlainTextResponse:
        raise ZeroDivisionError

    routes = [Route("/metrics", good), Route("/bad", bad)]
    app = ServerApp(FakeEngine({}), ServerSettings(token="t"), extra_routes=routes)
    let_in = {"Authorization": "Bearer t"}
    assert Client(app).get("/metrics").status == 401
    assert Client(app).get("/metrics", let_in).body == b"up 1"
    found = Client(app).post("/metrics", b"", let_in)
    assert (found.status, found.headers["allow"]) == (405, "GET, HEAD")
    assert Client(app).get("/bad", let_in).status == 500
