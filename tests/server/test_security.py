"""The HTTP app by itself: who is let in, and what nobody is told."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import pytest
import torch

from tests.server.asgi import INFER, client
from tests.server.engines import FakeEngine
from tests.server.running import question
from trunkline.server.logs import JsonLines
from trunkline.server.work import ServerSettings


@pytest.mark.parametrize(
    ("host", "bound", "more", "let_in"),
    [
        ("127.0.0.1:8000", "127.0.0.1", (), True),
        ("localhost:1", "127.0.0.1", (), True),
        ("LOCALHOST", "127.0.0.1", (), True),
        ("[::1]:8000", "127.0.0.1", (), True),
        ("[::1]", "::1", (), True),
        (None, "127.0.0.1", (), True),
        ("evil.example", "127.0.0.1", (), False),
        ("evil.example:8000", "localhost", (), False),
        ("localhost.evil.example", "127.0.0.1", (), False),
        ("127.0.0.1.evil.example", "127.0.0.1", (), False),
        ("0.0.0.0:8000", "127.0.0.1", (), False),
        ("", "127.0.0.1", (), False),
        ("[::1", "127.0.0.1", (), False),
        ("localhost@evil.example", "127.0.0.1", (), False),
        ("edge.example:80", "127.0.0.1", ("edge.example",), True),
        ("anything.example", "0.0.0.0", (), True),
        ("anything.example", "0.0.0.0", ("edge.example",), False),
        ("edge.example", "0.0.0.0", ("Edge.Example",), True),
        ("127.0.0.5:8000", "127.0.0.5", (), True),
    ],
)
def test_hosts(host: str | None, bound: str, more: tuple[str, ...], let_in: bool) -> None:
    """On the loopback interface, or with a list of hosts, only these names; else any."""
    asked = client(host=bound, hosts=more)
    headers = {"Host": host} if host is not None else {}
    found = asked.call("GET", "/v2/health/live", headers=headers, host=None)
    assert found.status == (200 if let_in else 403)


@pytest.mark.parametrize(
    ("origin", "bound", "host", "let_in"),
    [
        ("http://localhost:3000", "127.0.0.1", "127.0.0.1:8000", True),
        ("http://[::1]:3000", "127.0.0.1", "127.0.0.1:8000", True),
        ("https://evil.example", "127.0.0.1", "127.0.0.1:8000", False),
        ("null", "127.0.0.1", "127.0.0.1:8000", False),
        ("http://[", "127.0.0.1", "127.0.0.1:8000", False),
        ("https://evil.example", "0.0.0.0", "edge.example", False),
        ("https://edge.example", "0.0.0.0", "edge.example:8000", True),
    ],
)
def test_origins(origin: str, bound: str, host: str, let_in: bool) -> None:
    """Pages of the same or a loopback host may call, others may not, wherever the server is."""
    asked = client(host=bound)
    found = asked.post(INFER, question(), {"Origin": origin, "Host": host}, host=None)
    assert found.status == (200 if let_in else 403)


def test_the_token() -> None:
    """Every call but the two health checks wants it, unknown paths too; the scheme's case does not
    matter, everything else does."""
    asked = client(token="s3cret-ü")
    good = {"Authorization": "bearer s3cret-ü"}
    for path in ("/v2", "/v2/models/double", "/v2/models/double/ready", "/", "/v2/openapi.json"):
        found = asked.get(path)
        assert (found.status, found.headers["www-authenticate"]) == (401, "Bearer")
        assert "s3cret" not in found.document["error"]
    for wrong in ("Bearer", "Bearer s3cret", "Basic s3cret-ü", "s3cret-ü", "Bearer s3cret-üü"):
        assert asked.get("/v2", {"Authorization": wrong}).status == 401
    assert asked.post(INFER, question()).status == 401
    assert asked.post(INFER, question(), good).status == 200
    assert asked.get("/v2/health/live").status == asked.get("/v2/health/ready").status == 200


def test_the_token_is_not_shown() -> None:
    """The settings' text, which may end up in a log, does not have it."""
    assert "s3cret" not in repr(ServerSettings(token="s3cret"))


def test_bugs_are_logged_without_the_token(caplog: pytest.LogCaptureFixture) -> None:
    """What was called, shortened, and the traceback; nothing of the headers or the body."""

    def bug(_: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
        raise ZeroDivisionError

    name = "m" * 9000
    asked = client(FakeEngine({name: bug}), token="s3cret")
    token = {"Authorization": "Bearer s3cret"}
    assert asked.post(f"/v2/models/{name}/infer", question(id="1d"), token).status == 500
    (record,) = caplog.records
    line = JsonLines().format(record)
    assert record.getMessage().startswith("POST /v2/models/mmm")
    assert len(record.getMessage()) < 300
    assert "ZeroDivisionError" in line
    assert "s3cret" not in line
    assert "1d" not in record.getMessage()


def test_refusals_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Clients cannot fill the log with their own faults."""
    with caplog.at_level(logging.INFO, "trunkline"):
        assert client().post("/v2/models/gone/infer", b"").status == 404
    assert caplog.records == []
