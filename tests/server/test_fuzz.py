"""Whatever bytes come: a request's fault is never the server's error."""

from __future__ import annotations

import gzip
import json
import random
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.server.asgi import Client
from tests.server.engines import FakeEngine, echo
from tests.server.running import Running, question, running
from trunkline.server.app import ServerApp
from trunkline.server.tensors import DTYPES
from trunkline.server.work import Limits, ServerSettings

ENGINE = FakeEngine({"m": echo})
APP = Client(
    ServerApp(ENGINE, ServerSettings(repository_writes=True, limits=Limits(elements=1000)))
)

values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
tensors = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["x", "y", ""]) | values,
        "datatype": st.sampled_from(sorted(DTYPES)) | values,
        "shape": st.lists(st.integers(-1, 4), max_size=3) | values,
    },
    optional={
        "data": st.lists(st.integers(-1, 300) | st.floats() | st.booleans(), max_size=8) | values,
        "parameters": st.fixed_dictionaries(
            {}, optional={"binary_data_size": st.integers(-1, 40) | values}
        )
        | values,
    },
)
questions = st.fixed_dictionaries(
    {"inputs": st.lists(tensors, max_size=3) | values},
    optional={
        "id": st.text(max_size=5) | values,
        "parameters": st.fixed_dictionaries(
            {},
            optional={
                "timeout": st.integers(0, 10**9) | values,
                "binary_data_output": st.booleans() | values,
            },
        )
        | values,
        "outputs": st.lists(st.fixed_dictionaries({"name": st.sampled_from("xyz")})) | values,
    },
)


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, bytes, dict[str, str]]:
    """A path, a body and its headers: a question that is mostly not good, raw bytes after it, parts
    of it, packed or not."""
    body = json.dumps(draw(questions)).encode()
    headers: dict[str, Any] = {}
    size = len(body)
    if draw(st.booleans()):
        body += draw(st.binary(max_size=60))
        headers["Inference-Header-Content-Length"] = str(
            draw(st.just(size) | st.integers(-1, size + 80))
        )
    if draw(st.integers(0, 4)) == 0:
        headers["Content-Encoding"] = draw(st.sampled_from(["gzip", "deflate", "identity", "x"]))
        body = gzip.compress(body, mtime=0) if draw(st.booleans()) else body
    if draw(st.integers(0, 9)) == 0:
        body = draw(st.binary(max_size=100)) or body[: draw(st.integers(0, len(body)))]
    path = draw(
        st.sampled_from(
            ["/v2/models/m/infer"] * 4
            + ["/v2/repository/index", "/v2/repository/models/m/load", "/v2/models/%ff%00/infer"]
        )
    )
    return path, body, headers


@settings(max_examples=400, deadline=None)
@given(requests())
def test_faulty_requests_are_answered_as_such(given_: tuple[str, bytes, dict[str, str]]) -> None:
    """200, or 4xx with `{"error": ...}`."""
    found = APP.post(*given_)
    assert found.status == 200 or 400 <= found.status < 500
    assert found.status == 200 or list(found.document) == ["error"]


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    """A real server that does not wait long for the rest of a request."""
    limits = Limits(head_s=0.5, body_s=0.5)
    with running(FakeEngine({"m": echo}), ServerSettings(port=0, limits=limits)) as found:
        yield found


GOOD = (
    b"POST /v2/models/m/infer HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n"
    b"Connection: close\r\n\r\n%s"
)


def test_damaged_http_is_no_server_error(server: Running) -> None:
    """Three hundred requests with bytes changed, left out or put in anywhere: each is answered with
    200 or 4xx, or closed if it never becomes whole; then a good one is answered."""
    body = json.dumps(question()).encode()
    good = GOOD % (len(body), body)
    chance = random.Random(7)
    clients = []
    for _ in range(300):
        raw = bytearray(good)
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(raw))
            raw[at : at + chance.randint(0, 3)] = chance.randbytes(chance.randint(0, 3))
        clients.append(socket.create_connection(("127.0.0.1", server.port), timeout=30))
        clients[-1].sendall(raw)
    seen = set()
    for client in clients:
        with client, client.makefile("rb") as answer:
            seen.add(answer.readline()[9:12])
    assert {status[:1] for status in seen} <= {b"2", b"4", b""}
    assert {b"200", b"400"} <= seen
    assert server.call("POST", "/v2/models/m/infer", question())[0] == 200
