"""The server's log."""

from __future__ import annotations

import json
import logging

import pytest

from tests.server.asgi import Client
from tests.server.engines import FakeEngine
from tests.server.running import question
from trunkline.server.app import ServerApp
from trunkline.server.logs import JsonLines
from trunkline.server.work import ServerSettings


def test_a_line_is_an_object(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever the client put into the path: one line, with the traceback of a bug in it, and
    without the client's token."""

    def bug(_: object) -> dict[str, object]:
        raise ZeroDivisionError

    app = ServerApp(FakeEngine({"a\nb": bug}), ServerSettings(token="s3cret"))  # type: ignore[dict-item]
    token = {"Authorization": "Bearer s3cret"}
    assert Client(app).post("/v2/models/a%0Ab/infer", question(), token).status == 500
    (record,) = caplog.records
    line = JsonLines().format(record)
    assert "\n" not in line
    found = json.loads(line)
    assert found["message"] == "POST /v2/models/a\nb/infer"
    assert (found["level"], found["logger"]) == ("error", "trunkline.server.app")
    assert "ZeroDivisionError" in found["traceback"]
    assert "s3cret" not in line


def test_refusals_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Clients cannot fill the log with their own faults."""
    with caplog.at_level(logging.INFO, "trunkline"):
        app = Client(ServerApp(FakeEngine({}), ServerSettings()))
        assert app.post("/v2/models/gone/infer", b"").status == 404
    assert caplog.records == []
