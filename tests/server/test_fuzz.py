"""Whatever bytes come: a request's fault is never the server's error."""

from __future__ import annotations

import json
import random
import socket
from collections.abc import Iterator

import pytest
from hypothesis import given, settings

from tests.server.asgi import Client
from tests.server.engines import FakeEngine, echo
from tests.server.malformed import damaged, requests
from tests.server.running import Running, question, running
from trunkline.server.app import ServerApp
from trunkline.server.work import Limits, ServerSettings

ENGINE = FakeEngine({"m": echo})
APP = Client(
    ServerApp(ENGINE, ServerSettings(repository_writes=True, limits=Limits(elements=1000)))
)


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
        clients.append(socket.create_connection(("127.0.0.1", server.port), timeout=30))
        clients[-1].sendall(damaged(good, chance))
    seen = set()
    for client in clients:
        with client, client.makefile("rb") as answer:
            seen.add(answer.readline()[9:12])
    assert {status[:1] for status in seen} <= {b"2", b"4", b""}
    assert {b"200", b"400"} <= seen
    assert server.call("POST", "/v2/models/m/infer", question())[0] == 200
