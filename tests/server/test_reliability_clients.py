"""Clients that are slow, half gone, or make no sense, against a server that runs as a process."""

from __future__ import annotations

import json
import os
import random
import socket
import struct
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress

import pytest
import requests as requests_library
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.server.malformed import damaged, requests
from tests.server.processes import Process, Site, serving, until

SHARE = -(-int(os.environ.get("TRUNKLINE_MALFORMED", "900")) // 3)
"""Malformed requests of each of the three kinds; 10,000 in all for the whole test."""

GROWTH_BYTES = 24 * 2**20

HEAD = (
    b"POST /v2/models/m/infer HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n"
    b"Connection: close\r\n\r\n"
)
QUESTION = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}]}
BODY = json.dumps(QUESTION).encode()

MANY = settings(
    max_examples=SHARE, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A server of one model of a layer."""
    site = Site(tmp_path_factory.mktemp("site"))
    site.add("m", "sleeper", seconds=0)
    with serving(site) as found:
        assert found.serves("m")
        yield found


@pytest.fixture(autouse=True)
def _unharmed(server: Process) -> Iterator[None]:
    """Afterwards the server answers, has no more files open than before, and every request has an
    answer or a refusal."""
    files = server.files()
    yield
    assert server.serves("m")
    until(lambda: server.files() <= files + 2)

    def even() -> bool:
        received, answered, refused, waiting = server.balance()
        return waiting == 0 and received == answered + refused

    until(even)  # one that has just ended is counted a moment later


def connected(server: Process) -> socket.socket:
    """A connection."""
    return socket.create_connection(("127.0.0.1", server.port), timeout=30)


def reset(client: socket.socket) -> None:
    """Close it as a machine does that lost its memory."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def test_half_open_clients(server: Process) -> None:
    """Of three hundred connections some say nothing, some stop in the head, in the body or before
    they read, some are reset: meanwhile others are answered."""
    begun = (b"", HEAD[:40], HEAD % len(BODY) + BODY[:9], HEAD % len(BODY) + BODY)
    clients = []
    for number in range(300):
        client = connected(server)
        client.sendall(begun[number % 4])
        clients.append(client)
    assert all(server.serves("m") for _ in range(10))
    for number, client in enumerate(clients):
        reset(client) if number % 8 < 4 else client.close()


class Seen:
    """Statuses of answers; none may be a server's error but those that are documented."""

    def __init__(self, server: Process) -> None:
        self.counts: Counter[int] = Counter()
        self._server = server
        self._memory = 0

    def add(self, status: int, content: bytes, what: object) -> None:
        """Take in one answer."""
        assert status < 500 or (status in (503, 504) and b'"reason"' in content), (what, content)
        self.counts[status] += 1
        if self.counts.total() == SHARE // 2:
            self._memory = self._server.memory()

    def check(self) -> None:
        """Good and bad ones were seen, and memory did not grow in the second half."""
        assert self.counts.keys() & {200, 400} == {200, 400}
        assert self._server.memory() - self._memory < GROWTH_BYTES


@pytest.mark.slow
def test_requests_out_of_the_published_document(server: Process) -> None:
    """Whatever schemathesis makes of it, good or bad: no server error."""
    schema = schemathesis.openapi.from_url(f"{server.url}/v2/openapi.json")
    calls = [found.ok() for found in schema.get_all_operations()]
    modes = list(schemathesis.GenerationMode)
    strategies = [call.as_strategy(generation_mode=mode) for call in calls for mode in modes]
    seen = Seen(server)
    with requests_library.Session() as session:

        @MANY
        @given(st.one_of(strategies))
        def ask(case: schemathesis.Case) -> None:
            if "model" in case.path_parameters:
                case.path_parameters["model"] = "m"
            found = case.call(base_url=server.url, session=session)
            seen.add(found.status_code, found.content, case)

        ask()
    seen.check()


def test_bodies_and_headers_that_make_no_sense(server: Process) -> None:
    """Faulty JSON, raw tensors of other sizes than they say, packed or not: no server error."""
    seen = Seen(server)

    @MANY
    @given(requests())
    def ask(one: tuple[str, bytes, dict[str, str]]) -> None:
        path, body, headers = one
        found = server.http.request("POST", server.url + path, body=body, headers=headers)
        seen.add(found.status, found.data, one)

    ask()
    seen.check()


def test_damaged_http(server: Process) -> None:
    """Bytes changed, left out or put in anywhere, the client's sending side closed after them: an
    answer that is no server's error, or none."""
    seen, chance = Seen(server), random.Random(3)
    for _ in range(-(-SHARE // 50)):
        sent = [(connected(server), damaged(HEAD % len(BODY) + BODY, chance)) for _ in range(50)]
        for client, raw in sent:
            client.sendall(raw)
        assert server.serves("m")  # whatever is whole was read by now
        for client, raw in sent:
            answer = b""
            with client, client.makefile("rb") as file, suppress(ConnectionError):
                client.shutdown(socket.SHUT_WR)
                answer = file.read()
            seen.add(int(answer[9:12] or 0), answer, raw)
    seen.check()
