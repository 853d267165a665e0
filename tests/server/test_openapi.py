"""The published OpenAPI document: it is valid, agrees with the official one, and holds."""

from __future__ import annotations

import tempfile
from copy import deepcopy
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from tests.server.asgi import Client
from tests.server.distribution.store_servers import layered, make_store
from tests.server.engines import FakeEngine, double, echo
from trunkline.server.app import ServerApp
from trunkline.server.openapi import DOCUMENT
from trunkline.server.streams.calls import Streams
from trunkline.server.streams.offering import Offer
from trunkline.server.streams.transfers import StreamLimits
from trunkline.server.work import Limits, ServerSettings

ENGINE = FakeEngine({"double": double, "echo": echo})
ENGINE.unload = ENGINE.load  # type: ignore[method-assign]  # or models would refuse with 503
STORE = tempfile.TemporaryDirectory()
STREAMS = Streams(
    Offer(make_store(Path(STORE.name) / "store", {"double": layered(1), "echo": layered(2)})),
    Limits(),
    StreamLimits(most=10**6),
)
APP = ServerApp(ENGINE, ServerSettings(repository_writes=True), streams=STREAMS)


def aimed(document: dict[str, Any]) -> dict[str, Any]:
    """The document for models that there are: few random names would be theirs."""
    found = deepcopy(document)
    for path in found["paths"].values():
        for parameter in path.get("parameters", []):
            if parameter["name"] == "model":
                parameter["schema"] = {"type": "string", "enum": ["double", "echo", "a/%gone"]}
    return found


schema = schemathesis.openapi.from_dict(aimed(DOCUMENT))
schema.app = APP

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    unsupported_method,
]

OFFICIAL: dict[str, dict[str, Any]] = {
    "/v2/health/live": {"get": ["200"]},
    "/v2/health/ready": {"get": ["200"]},
    "/v2": {"get": ["200", "400"]},
    "/v2/models/{model}/versions/{version}": {"get": ["200"]},
    "/v2/models/{model}/versions/{version}/ready": {"get": ["200"]},
    "/v2/models/{model}/versions/{version}/infer": {"post": ["200", "400"]},
}
"""Paths, methods and statuses of `open_inference_rest.yaml`, version 2.0 of the protocol (its
`/v2/` is our `/v2`; both are served)."""


def test_the_official_calls_are_all_there() -> None:
    """Each path, method and status of the protocol's own document is in ours."""
    for path, methods in OFFICIAL.items():
        for method, statuses in methods.items():
            assert set(statuses) <= set(DOCUMENT["paths"][path][method]["responses"])


def test_it_is_served() -> None:
    """At both of its addresses, as it is."""
    app = Client(APP)
    assert app.get("/v2/openapi.json").document == DOCUMENT
    assert app.get("/openapi.json").document == DOCUMENT


@schema.parametrize()
@hypothesis.settings(
    max_examples=10, deadline=None, suppress_health_check=list(HealthCheck), database=None
)
def test_answers_are_as_published(case: schemathesis.Case) -> None:
    """Whatever is asked, good or bad: no server error, and status, type, headers and body are as
    the document says."""
    case.call_and_validate(checks=CHECKS, headers={"Host": "localhost"})


@pytest.mark.parametrize("model", ["double", "echo"])
def test_answers_of_a_model_are_as_published(model: str) -> None:
    """The answer to a good question, which random ones seldom are."""
    operation = schema["/v2/models/{model}/infer"]["POST"]
    one = {"name": "x", "datatype": "FP32", "shape": [2], "data": [1, 2]}
    case = operation.Case(
        path_parameters={"model": model}, body={"inputs": [one]}, media_type="application/json"
    )
    response = case.call(headers={"Host": "localhost"})
    assert response.status_code == 200
    case.validate_response(response, checks=CHECKS)


def test_answers_of_streams_are_as_published() -> None:
    """A stream that is opened, read in whole and in part, and ended."""
    operation = schema["/v2/models/{model}/stream"]["POST"]
    case = operation.Case(
        path_parameters={"model": "double"}, body={"have": []}, media_type="application/json"
    )
    opened = case.call(headers={"Host": "localhost"})
    assert opened.status_code == 201
    case.validate_response(opened, checks=CHECKS)
    name = opened.json()["id"]
    for method, headers, status in (
        ("GET", {}, 200),
        ("GET", {"Range": "bytes=9-"}, 206),
        ("GET", {"Range": "bytes=999999-"}, 416),
        ("DELETE", {}, 204),
    ):
        case = schema["/v2/streams/{stream}"][method].Case(path_parameters={"stream": name})
        response = case.call(headers={"Host": "localhost", **headers})
        assert response.status_code == status
        case.validate_response(response, checks=CHECKS)
