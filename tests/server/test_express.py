"""Infer calls that come as a whole, over real connections, and what goes to the app instead."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Mapping

import pytest
import torch

from tests.server.engines import FakeEngine, double
from tests.server.running import question, running
from tests.server.test_serve import BODY, HEAD, connected, read_all
from trunkline.server.app import ServerApp
from trunkline.server.inference import BESIDE_ELEMENTS
from trunkline.server.offering import OfferingProtocol
from trunkline.server.replies import JSON, Heads, Reply
from trunkline.server.work import Limits, ServerSettings

CLOSE = (HEAD % len(BODY)).replace(b"Host", b"Connection: close\r\nHost") + BODY
INFER = "/v2/models/double/infer"


def scope(path: str = INFER, method: str = "POST", **headers: str) -> dict[str, object]:
    """What a connection knows of a request."""
    lines = [(b"host", b"localhost")]
    lines += [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"method": method, "path": path, "raw_path": path.encode(), "headers": lines}


def replied(engine: FakeEngine, asked: Mapping[str, object], body: bytes = BODY) -> Reply | None:
    """The reply to a request that is offered; None if it is for the app."""

    async def ask() -> Reply | None:
        app = ServerApp(engine, ServerSettings())
        loop = asyncio.get_running_loop()
        there: asyncio.Future[Reply] = loop.create_future()
        head = app.express.head(dict(asked))
        taken = head and app.express.begin(head, bytearray(body), there.set_result, loop)
        if taken is None:
            assert app._infer.intake.bytes == 0
            return None
        reply = await there
        assert app._infer.intake.bytes == 0
        return reply

    return asyncio.run(ask())


def test_what_is_offered_is_answered_or_left_to_the_app() -> None:
    """An infer call, or what is wrong with its body, is answered; other calls, heads that are not
    let in, packed bodies, and texts for a model that may have preprocessing are for the app. No
    byte of a body stays counted."""
    engine = FakeEngine({"double": double})
    reply = replied(engine, scope())
    assert reply is not None
    assert reply.status == 200
    wrong = replied(engine, scope(), b"{")
    assert wrong is not None
    assert wrong.status == 400
    assert replied(engine, scope(host="evil.example")) is None  # two hosts
    nobody = replied(engine, scope("/v2/models/gone/infer"))
    assert nobody is not None
    assert nobody.status == 404
    text = {"name": "x", "datatype": "BYTES", "shape": [1], "data": ["a"]}
    assert replied(engine, scope(), json.dumps({"inputs": [text]}).encode()) is None
    assert replied(engine, scope(content_encoding="gzip")) is None
    assert replied(engine, scope("/v2/models/double")) is None
    assert replied(engine, scope("/v2/models/double/versions/2/infer")) is None


def test_a_request_in_one_piece_and_in_two() -> None:
    """The answer is the same, and both have the `Date` that uvicorn gives."""
    with running(FakeEngine({"double": double})) as there:
        whole, parts = connected(there.port), connected(there.port)
        whole.sendall(CLOSE)
        parts.sendall(CLOSE[:-3])
        answer = read_all(whole)  # so what came of the other has been read, too
        parts.sendall(CLOSE[-3:])
        other = read_all(parts)
    for one in (answer, other):
        assert one.startswith(b"HTTP/1.1 200 ")
        assert b"\r\ndate: " in one
        assert b"\r\nconnection: close\r\n" in one
    assert answer.split(b"\r\n\r\n")[1] == other.split(b"\r\n\r\n")[1]


def test_requests_in_a_pipeline() -> None:
    """Many at once on one connection are answered in their order, refusals among them."""
    good, bad = HEAD % len(BODY) + BODY, HEAD % 1 + b"{"
    with running(FakeEngine({"double": double})) as there:
        client = connected(there.port)
        client.sendall((good + bad) * 200 + CLOSE)
        answers = read_all(client).split(b"HTTP/1.1 ")[1:]
    assert [one[:3] for one in answers] == [b"200", b"400"] * 200 + [b"200"]


def test_a_head_that_comes_again() -> None:
    """Requests whose head came before are answered as the first one: whole, in two pieces with
    another head between, with a body that is wrong, two at once, and the last one closes."""
    wrong, other = b"x" * len(BODY), (HEAD % len(BODY)).replace(b"Host", b"X-One: 1\r\nHost")
    one = HEAD % len(BODY) + BODY
    asked = [[one], [one], [one[:-3], one[-3:]], [one], [other + BODY], [one]]
    asked += [[HEAD % len(BODY) + wrong], [one]]
    answers = []
    with running(FakeEngine({"double": double})) as there:
        client = connected(there.port)
        for pieces in asked:
            for piece in pieces:
                client.sendall(piece)
            answers.append(read_one(client))
        client.sendall(one + one)
        answers += [read_one(client), read_one(client)]
        client.sendall(CLOSE)
        answers.append(read_all(client))
    kinds = [answer[9:12] for answer in answers]
    assert kinds == [b"200"] * 6 + [b"400"] + [b"200"] * 4
    bodies = {answer.split(b"\r\n\r\n")[1] for answer in answers}
    assert len(bodies) == 2  # the answer and the error


def test_a_head_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as requests begin with the same bytes; whatever their bodies are, of one length."""
    parsed = []
    parse = OfferingProtocol.on_headers_complete
    monkeypatch.setattr(
        OfferingProtocol, "on_headers_complete", lambda one: (parsed.append(one), parse(one))[1]
    )
    other = (HEAD % len(BODY)).replace(b"Host", b"X-One: 1\r\nHost") + BODY
    with running(FakeEngine({"double": double})) as there:
        client = connected(there.port)
        for body in (BODY, BODY, b"x" * len(BODY), BODY):
            client.sendall(HEAD % len(BODY) + body)
            read_one(client)
        assert len(parsed) == 1
        client.sendall(other)
        read_one(client)
        assert len(parsed) == 2


def read_one(client: socket.socket) -> bytes:
    """One answer and no byte of the next, of a connection that stays open."""
    with client.makefile("rb", buffering=0) as file:  # unbuffered: it leaves the rest
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += file.read(1) or pytest.fail(f"closed after {head!r}")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        return head + b"".join(file.read(1) or b"" for _ in range(length))


def test_a_large_body_that_is_refused_at_once() -> None:
    """It is no head, however long it is: the next request on the connection is answered."""
    limits = Limits(head_bytes=1000)
    with running(FakeEngine({"double": double}), ServerSettings(port=0, limits=limits)) as there:
        client = connected(there.port)
        for _ in range(3):
            client.sendall(HEAD % 3000 + b"x" * 3000)
            assert read_one(client).startswith(b"HTTP/1.1 400 ")
        client.sendall(CLOSE)
        assert read_all(client).startswith(b"HTTP/1.1 200 ")


def test_no_connection_keeps_a_body_that_was_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else idle connections would hold what no limit counts."""
    lost = OfferingProtocol.connection_lost
    kept: list[int] = []

    def watched(one: OfferingProtocol, error: Exception | None) -> None:
        kept.append(len(one.cycle.body))
        lost(one, error)

    monkeypatch.setattr(OfferingProtocol, "connection_lost", watched)
    with running(FakeEngine({"double": double})) as there:
        client = connected(there.port)
        client.sendall(HEAD % len(BODY) + BODY)
        assert read_one(client).startswith(b"HTTP/1.1 200 ")
        client.close()
    assert kept == [0]


def test_the_deadline_passes() -> None:
    """503 while the request waits, and its future is cancelled; 504 once its batch runs."""
    engine = FakeEngine({"double": double}, hold=True)
    with running(engine) as there:
        status, _, document = there.call("POST", INFER, question(), {"Trunkline-Timeout-Ms": "30"})
        assert (status, document["reason"]) == (503, "deadline")
        assert engine.pending[0].cancelled()
        engine.submitted.clear()
        running_ = threading.Thread(
            target=lambda: (
                engine.submitted.wait(30),
                engine.pending[1].set_running_or_notify_cancel(),
            )
        )
        running_.start()
        status, _, document = there.call("POST", INFER, question(), {"Trunkline-Timeout-Ms": "200"})
        running_.join(30)
        assert (status, document["reason"]) == (504, "late")


def test_a_large_answer() -> None:
    """More numbers than are written in the event loop come all the same."""
    engine = FakeEngine({"double": lambda _: {"y": torch.ones(1, BESIDE_ELEMENTS + 1)}})
    with running(engine) as there:
        status, _, document = there.call("POST", INFER, question())
    assert status == 200
    assert document["outputs"][0]["data"] == [1.0] * (BESIDE_ELEMENTS + 1)


def test_all_bodies_together_have_a_limit() -> None:
    """A second request is refused while the first waits; a client that hangs up makes room."""
    engine = FakeEngine({"double": double}, hold=True)
    settings = ServerSettings(port=0, limits=Limits(bodies_bytes=len(BODY) + 10))
    with running(engine, settings) as there:
        client = connected(there.port)
        client.sendall(HEAD % len(BODY) + BODY)
        assert engine.submitted.wait(30)
        gone = threading.Event()
        engine.pending[0].add_done_callback(lambda _: gone.set())
        status, _, document = there.call("POST", INFER, question())
        assert (status, document["reason"]) == (503, "queue_full")
        client.close()
        assert gone.wait(30)
        engine.hold = False
        assert there.call("POST", INFER, question())[0] == 200


def test_a_head_is_made_anew_when_anything_of_it_changes() -> None:
    """Status, the reply's own headers, and those that every response has (the date, say)."""
    heads, today, tomorrow = Heads(), [(b"date", b"1")], [(b"date", b"2")]
    good, other = Reply(200, [], JSON), Reply(200, [], {**JSON, "X": "y"})
    line = b"HTTP/1.1 200 OK\r\n"
    first = line + b"date: 1\r\ncontent-type: application/json\r\n"
    assert heads.of(good, line, today) == heads.of(good, line, today) == first
    assert heads.of(other, line, today) == first + b"x: y\r\n"
    assert heads.of(good, line, today) == first
    assert heads.of(good, line, tomorrow) == first.replace(b"1\r\nc", b"2\r\nc")
    assert heads.of(Reply(400, [], JSON), b"no\r\n", tomorrow).startswith(b"no\r\n")
