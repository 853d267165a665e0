"""The operator's routes: what they answer, and what they say to browsers."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.testclient import TestClient

from tests.server.still_engine import StillEngine, digest, record, served
from trunkline.errors import Reason
from trunkline.server.operations import STATIC, Operations, routes

MODELS = [
    served("a", {"bottom": 100, "a": 50}, ["bottom", "a"], waiting=3),
    served("b", {"bottom": 100, "b": 60}, ["bottom"], reason="sha256:12 is damaged"),
]
RESIDENT = frozenset(map(digest, ("bottom", "a")))


def made() -> tuple[StillEngine, Operations, TestClient]:
    """An engine, its operations, and a client of their routes."""
    engine = StillEngine(MODELS)
    engine.shown = replace(
        engine.shown, now_s=time.monotonic(), resident=RESIDENT, resident_bytes=155
    )
    operations = Operations()
    client = TestClient(Starlette(routes=routes(engine, operations)))
    return engine, operations, client


def test_status() -> None:
    """The status adds up: bytes by how many hold them, requests by what became of them."""
    _, operations, client = made()
    now = time.monotonic()
    for _ in range(4):
        operations.received("a")
    operations.answered("a", 0.1, True)
    operations.answered("a", 0.9, False)
    operations.refused("a", Reason.DEADLINE)
    operations.batch(record("a", compute_end_s=now - 3600))
    operations.batch(record("b", compute_end_s=now - 0.1))
    status = client.get("/status.json").json()
    assert status["memory"] == {
        "budget_bytes": 1000, "resident_bytes": 155, "resident_blocks": 2,
        "shared_bytes": 100, "own_bytes": 50, "whole_bytes": 250,
    }  # fmt: skip
    requests = status["requests"]
    assert (requests["received"], requests["in_time"], requests["late"]) == (4, 1, 1)
    assert (requests["refused"]["deadline"], requests["in_flight"]) == (1, 1)
    assert requests["waiting"] == 3
    assert status["models"][1] == {
        "name": "b", "state": "UNAVAILABLE", "reason": "sha256:12 is damaged", "bytes": 160,
        "shared_bytes": 100, "resident_bytes": 100, "waiting": 0,
    }  # fmt: skip
    assert [one["model"] for one in status["batches"]] == ["b"]


def test_last_batches_are_shown_by_their_age() -> None:
    """Batches of the last seconds come with their times before the snapshot."""
    engine, operations, client = made()
    now = engine.shown.now_s
    operations.batch(record("a", load_begin_s=now - 1, load_end_s=now - 0.5,
                            compute_begin_s=now - 0.5, compute_end_s=now - 0.25))  # fmt: skip
    (batch,) = client.get("/status.json").json()["batches"]
    assert batch["load_ago_s"] == pytest.approx([1, 0.5])
    assert batch["compute_ago_s"] == pytest.approx([0.5, 0.25])


def test_sharing_follows_the_models() -> None:
    """The status names the sharing document, which is another one once the models are others."""
    engine, _, client = made()
    first = client.get("/sharing.json").json()
    assert client.get("/status.json").json()["library"] == first["key"]
    engine.shown = replace(engine.shown, models=MODELS[:1])
    second = client.get("/sharing.json").json()
    assert (second["models"], len(first["models"])) == (["a"], 2)
    assert client.get("/status.json").json()["library"] == second["key"] != first["key"]


def test_machines_read() -> None:
    """Prometheus' text with its content type, and the trace as JSON that no cache keeps."""
    _, operations, client = made()
    operations.batch(record("a"))
    answer = client.get("/metrics", headers={"Accept": "application/openmetrics-text;version=x"})
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert len(list(text_string_to_metric_families(answer.text))) > 20
    answer = client.get("/timeline.json")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json()["traceEvents"]


def test_page_runs_no_foreign_code() -> None:
    """Every answer to a browser forbids other hosts, inline scripts and frames, and the files have
    nothing inline to forbid."""
    _, _, client = made()
    for path, (_, kind) in STATIC.items():
        answer = client.get(path)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == kind
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert "unsafe" not in policy
        for forbidden in ("innerHTML", "insertAdjacent", "eval(", "<style", " style=", " onload="):
            assert forbidden not in answer.text
        assert "https://" not in answer.text
        assert not any(
            "http://" in line for line in answer.text.splitlines() if "w3.org" not in line
        )


def test_texts_that_are_no_unicode() -> None:
    """A file name that is no UTF-8 in an error makes no answer fail."""
    engine, operations, client = made()
    operations.batch(record("a", error="no such file: \udcff", compute_end_s=time.monotonic()))
    engine.shown = replace(engine.shown, models=[served("a", {"x": 1}, reason="\udcff")])
    assert client.get("/status.json").json()["models"][0]["reason"] == "\udcff"
    assert "\\udcff" in client.get("/timeline.json").text


def test_writing_methods_are_refused() -> None:
    """The routes only read."""
    _, _, client = made()
    for path in (*STATIC, "/status.json", "/sharing.json", "/metrics", "/timeline.json"):
        assert client.post(path, content=json.dumps({})).status_code == 405
