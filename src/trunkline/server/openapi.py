"""The OpenAPI 3 document of exactly what is served, but for pages and metrics.

It follows the protocol's own document (`open_inference_rest.yaml`), and adds what that leaves out:
calls without a version, the repository extension, raw tensors, streams, and the errors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import trunkline
from trunkline.errors import Reason
from trunkline.server.deadlines import TIMEOUT_HEADER
from trunkline.server.protocol import HEADER_LENGTH
from trunkline.server.streams.wish import LONGEST_S, MOST_HAVE
from trunkline.server.tensors import DTYPES

Json = dict[str, Any]

ALWAYS: Final = {
    "400": "A header or a path that cannot be used",
    "401": "The token is missing or wrong",
    "403": "A host or a web page that is not let in, or a call that is off",
    "431": "The headers are too large",
}
"""Errors that every call can give; any can give 405 too, for another method."""

BODY: Final = {
    "400": "The request cannot be used",
    "408": "The body did not arrive in time",
    "413": "The body is too large",
    "415": "A content encoding other than gzip and deflate",
}
"""Errors of calls with a body."""

MODEL: Final = {"404": "No such model, or version"}
REFUSED: Final = {"503": "Not now; `reason` says why, `Retry-After` when to ask again"}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _content(schema: Json) -> Json:
    return {"application/json": {"schema": schema}}


def _list(of: Json) -> Json:
    return {"type": "array", "items": of}


def _object(required: Sequence[str], closed: bool = True, **properties: Json) -> Json:
    found: Json = {"type": "object", "properties": properties, "required": list(required)}
    return {**found, "additionalProperties": False} if closed else found


def _call(name: str, summary: str, answer: Json, **errors: str) -> Json:
    """An operation: what it answers, and with which errors."""
    responses: Json = {"200": {"description": "OK", "content": _content(answer)}}
    for status, why in sorted({**ALWAYS, "405": "Another method", **errors}.items()):
        response: Json = {"description": why, "content": _content(_ref("error"))}
        if status == "503":
            response["headers"] = {"Retry-After": {"schema": {"type": "integer"}}}
        responses[status] = response
    return {"operationId": name, "summary": summary, "responses": responses}


def _body(schema: Json, required: bool = False, raw: bool = False) -> Json:
    content = _content(schema)
    if raw:
        content["application/octet-stream"] = {"schema": {"type": "string", "format": "binary"}}
    return {"requestBody": {"required": required, "content": content}}


def _parameter(name: str, where: str, schema: Json, description: str) -> Json:
    return {
        "name": name,
        "in": where,
        "required": where == "path",
        "schema": schema,
        "description": description,
    }


def _model_paths(prefix: str, names: list[Json], suffix: str) -> Json:
    """The calls of one model, with or without its version in the path."""
    metadata = _call(f"model{suffix}", "A model's metadata", _ref("model"), **MODEL)
    ready = _call(
        f"model_ready{suffix}", "Whether a model is served", _ref("ready"), **MODEL, **REFUSED
    )
    infer = _call(
        f"infer{suffix}",
        "Ask a model",
        _ref("answer"),
        **BODY,
        **MODEL,
        **REFUSED,
        **{"500": "The model failed", "504": "Its batch was begun and did not end in time"},
    )
    infer["responses"]["200"]["content"]["application/octet-stream"] = {
        "schema": {"type": "string", "format": "binary"}
    }
    infer["parameters"] = [
        _parameter(
            TIMEOUT_HEADER,
            "header",
            {"type": "number", "exclusiveMinimum": True, "minimum": 0, "maximum": 1e9},
            "How long the request can wait, in milliseconds",
        ),
        _parameter(
            HEADER_LENGTH,
            "header",
            {"type": "integer", "minimum": 0},
            "Bytes of JSON before raw tensors; without it the whole body is JSON",
        ),
    ]
    infer |= _body(_ref("question"), required=True, raw=True)
    return {
        prefix: {"parameters": names, "get": metadata},
        f"{prefix}/ready": {"parameters": names, "get": ready},
        f"{prefix}/infer": {"parameters": names, "post": infer},
        f"{prefix}/stream": {"parameters": names, "post": _open_stream(suffix)},
    }


def _open_stream(suffix: str) -> Json:
    """The call that opens a stream."""
    errors = {**BODY, **MODEL, **REFUSED}
    found = _call(f"stream{suffix}", "Open a stream of a model", _ref("opened"), **errors)
    created = found["responses"].pop("200")
    created["description"] = "The stream, to be read at `Location`"
    created["headers"] = {"Location": {"schema": {"type": "string"}}}
    found["responses"] = {"201": created, **found["responses"]}
    return found | _body(_ref("wish"))


def _stream_paths() -> Json:
    """The calls of a stream that is open."""
    name = _parameter("stream", "path", {"type": "string", "minLength": 1}, "The stream's id")
    none = {"404": "No such stream (any more)"}
    read = _call("read_stream", "Read a stream: a safetensors file", {}, **none)
    content = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
    etag = {"ETag": {"schema": {"type": "string"}}}
    for status, what in (("200", "The stream"), ("206", "The range of it that was asked for")):
        read["responses"][status] = {"description": what, "content": content, "headers": etag}
    behind = _call("", "", {}, **{"416": "The range begins behind the end"})
    read["responses"]["416"] = behind["responses"]["416"]
    text = {"type": "string"}
    read["parameters"] = [
        _parameter("Range", "header", text, "`bytes=N-` to go on from byte N"),
        _parameter("If-Range", "header", text, "The ETag of the bytes that are there"),
    ]
    end = _call("end_stream", "End a stream, so that its share is free", {}, **none)
    del end["responses"]["200"]
    end["responses"]["204"] = {"description": "Ended"}
    return {"/v2/streams/{stream}": {"parameters": [name], "get": read, "delete": end}}


def _server_paths() -> Json:
    repository = {**BODY, **REFUSED}
    off = {**MODEL, **repository, "409": "The model cannot be served as it is"}
    index = _call("index", "Which models there are", _ref("index"), **repository)
    load = _call("load", "Serve a model of the store (off by default)", {"type": "object"}, **off)
    unload = _call("unload", "Serve it no longer (off by default)", {"type": "object"}, **off)
    name = [_parameter("model", "path", {"type": "string", "minLength": 1}, "The model's name")]
    asked = _object([], closed=False, parameters={"type": "object"})
    return {
        "/v2/health/live": {"get": _call("live", "Server live", _ref("live"), **REFUSED)},
        "/v2/health/ready": {"get": _call("ready", "Server ready", _ref("ready"), **REFUSED)},
        "/v2": {"get": _call("server", "The server's metadata", _ref("server"))},
        "/v2/models": {"get": _call("models", "The models' names", _ref("models"))},
        "/v2/openapi.json": {"get": _call("openapi", "This document", {"type": "object"})},
        "/v2/repository/index": {
            "post": index | _body(_object([], closed=False, ready={"type": "boolean"}))
        },
        "/v2/repository/models/{model}/load": {
            "parameters": name,
            "post": load | _body(asked),
        },
        "/v2/repository/models/{model}/unload": {
            "parameters": name,
            "post": unload | _body(asked),
        },
    }


def _schemas() -> Json:
    text, whole = {"type": "string"}, {"type": "integer"}
    parameters: Json = {
        "type": "object",
        "additionalProperties": {
            "anyOf": [text, {"type": "number"}, {"type": "boolean"}],
        },
    }
    sizes = _list({"type": "integer", "minimum": 0})
    datatype: Json = {"type": "string", "enum": list(DTYPES)}
    data = _list({})  # of numbers, texts, truth values, or lists of these
    tensor: Json = {"name": {"type": "string", "minLength": 1}, "datatype": datatype}
    known = _list(
        _object(["name", "datatype", "shape"], name=text, datatype=text, shape=_list(whole))
    )
    shared: Json = {**tensor, "shape": sizes, "parameters": _ref("parameters"), "data": data}
    return {
        "error": _object(["error"], error=text, reason={"type": "string", "enum": [*Reason]}),
        "live": _object(["live"], live={"type": "boolean"}),
        "ready": _object(["ready"], ready={"type": "boolean"}),
        "server": _object(
            ["name", "version", "extensions"], name=text, version=text, extensions=_list(text)
        ),
        "models": _object(["models"], models=_list(text)),
        "model": _object(
            ["name", "versions", "platform", "inputs", "outputs"],
            name=text,
            versions=_list(text),
            platform=text,
            inputs=known,
            outputs=known,
        ),
        "index": _list(
            _object(
                ["name", "version", "state", "reason"],
                name=text,
                version=text,
                state={"type": "string", "enum": ["READY", "UNAVAILABLE"]},
                reason=text,
            )
        ),
        "parameters": parameters,
        "input": _object(["name", "datatype", "shape"], closed=False, **shared),
        "output": _object(["name", "datatype", "shape"], **shared),
        "question": _object(
            ["inputs"],
            closed=False,
            id=text,
            parameters=_ref("parameters"),
            inputs={**_list(_ref("input")), "minItems": 1},
            outputs=_list(
                _object(["name"], closed=False, name=tensor["name"], parameters=_ref("parameters"))
            ),
        ),
        "answer": _object(
            ["model_name", "model_version", "outputs"],
            model_name=text,
            model_version=text,
            id=text,
            outputs=_list(_ref("output")),
        ),
        **_stream_schemas(),
    }


def _stream_schemas() -> Json:
    text, size = {"type": "string"}, {"type": "integer", "minimum": 0}
    digest: Json = {"type": "string", "pattern": "^sha256:[a-f0-9]{64}$"}
    seconds: Json = {"type": "number", "minimum": 0, "maximum": LONGEST_S}
    rate: Json = {"type": "number", "minimum": 0, "nullable": True}
    return {
        "wish": _object(
            [],
            have={**_list(digest), "maxItems": MOST_HAVE},
            deadline_s={**seconds, "exclusiveMinimum": True, "nullable": True},
            compute_s={"oneOf": [seconds, _list(seconds)]},
            first_byte_s=seconds,
        ),
        "opened": _object(
            ["id", "model", "manifest", "bytes", "etag", "rate_bytes_per_s", "admitted", "blocks"],
            id=text,
            model=text,
            manifest=digest,
            bytes=size,
            etag=text,
            rate_bytes_per_s=rate,
            admitted={"type": "boolean"},
            blocks=_list(
                _object(
                    ["digest", "size", "held"],
                    digest=digest,
                    size=size,
                    held={"type": "boolean"},
                    begin=size,
                    end=size,
                )
            ),
            documents={"type": "object", "additionalProperties": text},
        ),
    }


def document() -> Json:
    """The document."""
    name = _parameter("model", "path", {"type": "string", "minLength": 1}, "The model's name")
    version = _parameter("version", "path", {"type": "string", "enum": ["1"]}, "There is only 1")
    return {
        "openapi": "3.0.3",
        "info": {
            "title": "Trunkline: Open Inference Protocol v2",
            "version": trunkline.__version__,
            "license": {"name": "Apache-2.0"},
        },
        "paths": {
            **_server_paths(),
            **_model_paths("/v2/models/{model}", [name], ""),
            **_model_paths("/v2/models/{model}/versions/{version}", [name, version], "_version"),
            **_stream_paths(),
        },
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }


DOCUMENT: Final = document()
