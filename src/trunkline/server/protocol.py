"""Requests and responses of the Open Inference Protocol v2 with the binary tensor extension.

A body is JSON, or JSON followed by the raw bytes of the tensors that say so with
`parameters.binary_data_size`; then the header `Inference-Header-Content-Length` has the length of
the JSON. The content type does not matter: clients send what they like.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from trunkline.errors import InputError
from trunkline.server.tensors import (
    DTYPES,
    Tensor,
    elements,
    from_bytes,
    from_json,
    to_bytes,
    to_json,
)

HEADER_LENGTH: Final = "Inference-Header-Content-Length"
MAX_TENSORS: Final = 1024
Parameters = Mapping[str, str | int | float | bool]


@dataclass(frozen=True, slots=True)
class WantedOutput:
    """An output that a request names, and whether it wants it raw."""

    name: str
    binary: bool


@dataclass(frozen=True, slots=True)
class InferRequest:
    """What a client asks a model.

    Attributes:
        id: the client's name for the request, given back; empty for none.
        parameters: of the request, `timeout` among them.
        inputs: the tensors.
        outputs: those that it wants, all if empty.
        binary: whether outputs that are not named are to come raw.
    """

    id: str = ""
    parameters: Parameters = field(default_factory=dict)
    inputs: tuple[Tensor, ...] = ()
    outputs: tuple[WantedOutput, ...] = ()
    binary: bool = False

    def wants(self, name: str) -> WantedOutput | None:
        """How it wants an output, None if not at all."""
        if not self.outputs:
            return WantedOutput(name, self.binary)
        return next((one for one in self.outputs if one.name == name), None)


def parse(body: bytes | bytearray, header_length: str | None, max_elements: int) -> InferRequest:
    """Read the body of an infer request.

    Args:
        header_length: the value of `Inference-Header-Content-Length`, if it came.
        max_elements: the most elements of one tensor.

    Raises:
        InputError: saying what is wrong and where.
    """
    view = memoryview(body)
    length = _length(header_length, len(view))
    message = _json(view[:length])
    raw = _Raw(view[length:])
    parameters = _parameters(message, "request")
    inputs = tuple(
        _tensor(one, f"inputs[{i}]", raw, max_elements)
        for i, one in enumerate(_list(message, "inputs"))
    )
    if not inputs:
        raise InputError("request: no inputs")
    raw.check_end()
    _refuse_twice([one.name for one in inputs], "inputs")
    binary = parameters.get("binary_data_output", False) is True
    wanted = [
        _wanted(one, f"outputs[{i}]", binary)
        for i, one in enumerate(_list(message, "outputs", optional=True))
    ]
    _refuse_twice([one.name for one in wanted], "outputs")
    name = message.get("id", "")
    if not isinstance(name, str):
        raise InputError(f"request: id must be a text, got {type(name).__name__}")
    return InferRequest(name, parameters, inputs, tuple(wanted), binary)


def render(
    model: str, version: str, request: InferRequest, outputs: Iterable[Tensor]
) -> tuple[list[bytes | memoryview], dict[str, str]]:
    """The pieces of a response's body, and its headers.

    Raises:
        InputError: the request names an output that there is not, or JSON cannot hold a value.
    """
    given = {one.name: one for one in outputs}
    if unknown := [one.name for one in request.outputs if one.name not in given]:
        raise InputError(
            f"model {model!r} has no output {unknown[0]!r}; it has {', '.join(map(repr, given))}"
        )
    described: list[dict[str, Any]] = []
    pieces: list[bytes | memoryview] = []
    for tensor in given.values():
        wanted = request.wants(tensor.name)
        if wanted is None:
            continue
        one: dict[str, Any] = {
            "name": tensor.name,
            "datatype": tensor.datatype,
            "shape": list(tensor.shape),
        }
        if wanted.binary:
            pieces.append(to_bytes(tensor))
            one["parameters"] = {"binary_data_size": len(pieces[-1])}
        else:
            one["data"] = to_json(tensor)
        described.append(one)
    message: dict[str, Any] = {"model_name": model, "model_version": version}
    if request.id:
        message["id"] = request.id
    message["outputs"] = described
    head = msgspec.json.encode(message)
    if not pieces:
        return [head], {"Content-Type": "application/json"}
    headers = {"Content-Type": "application/octet-stream", HEADER_LENGTH: str(len(head))}
    return [head, *pieces], headers


class _Raw:
    """The bytes after the JSON, handed out in the order of the tensors."""

    def __init__(self, view: memoryview) -> None:
        self._view = view
        self._at = 0

    def take(self, size: object, where: str) -> memoryview:
        if not isinstance(size, int) or isinstance(size, bool) or size < 0:
            raise InputError(f"{where}: binary_data_size must be a whole number of bytes")
        if self._at + size > len(self._view):
            raise InputError(
                f"{where}: {size} bytes of raw data, but only {len(self._view) - self._at} come"
            )
        self._at += size
        return self._view[self._at - size : self._at]

    def check_end(self) -> None:
        if self._at < len(self._view):
            raise InputError(f"request: {len(self._view) - self._at} bytes that no input claims")


def _length(header_length: str | None, size: int) -> int:
    if header_length is None:
        return size
    if not (header_length.isascii() and header_length.isdigit() and len(header_length) < 20):
        raise InputError(f"{HEADER_LENGTH}: no whole number: {header_length[:40]!r}")
    if int(header_length) > size:
        raise InputError(f"{HEADER_LENGTH}: {header_length}, but the body has {size} bytes")
    return int(header_length)


def _json(raw: memoryview) -> dict[str, Any]:
    try:
        message = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"request: no JSON: {error}") from None
    if not isinstance(message, dict):
        raise InputError("request: no JSON object")
    return message


def _list(message: Mapping[str, Any], key: str, optional: bool = False) -> Sequence[Any]:
    found = message.get(key)
    if found is None and optional:
        return ()
    if not isinstance(found, list):
        raise InputError(f"request: {key} must be a list")
    if len(found) > MAX_TENSORS:
        raise InputError(f"request: {len(found)} {key}, limit {MAX_TENSORS}")
    return found


def _parameters(owner: Mapping[str, Any], where: str) -> Parameters:
    found = owner.get("parameters")
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise InputError(f"{where}: parameters must be an object")
    for key, value in found.items():
        if not isinstance(value, (str, int, float, bool)):
            raise InputError(f"{where}: parameter {key!r} must be a text, a number or a boolean")
    return found


def _tensor(one: object, where: str, raw: _Raw, max_elements: int) -> Tensor:
    if not isinstance(one, dict):
        raise InputError(f"{where}: no object")
    name = _name(one, where)
    where = f"input {name!r}"
    datatype, shape = one.get("datatype"), one.get("shape")
    if not isinstance(datatype, str) or datatype not in DTYPES:
        raise InputError(f"{where}: datatype must be one of {', '.join(DTYPES)}")
    if not isinstance(shape, list) or any(type(size) is not int for size in shape):
        raise InputError(f"{where}: shape must be a list of whole numbers")
    elements(shape, max_elements, where)
    parameters = _parameters(one, where)
    if "binary_data_size" in parameters:
        if one.get("data") is not None:
            raise InputError(f"{where}: both data and binary_data_size")
        view = raw.take(parameters["binary_data_size"], where)
        return Tensor(name, datatype, from_bytes(view, datatype, shape, where))
    if "data" not in one:
        raise InputError(f"{where}: neither data nor binary_data_size")
    return Tensor(name, datatype, from_json(one["data"], datatype, shape, where))


def _wanted(one: object, where: str, default: bool) -> WantedOutput:
    if not isinstance(one, dict):
        raise InputError(f"{where}: no object")
    binary = _parameters(one, where).get("binary_data", default)
    if not isinstance(binary, bool):
        raise InputError(f"{where}: binary_data must be true or false")
    return WantedOutput(_name(one, where), binary)


def _name(one: Mapping[str, Any], where: str) -> str:
    name = one.get("name")
    if not isinstance(name, str) or not name:
        raise InputError(f"{where}: name must be a text")
    return name


def _refuse_twice(names: Sequence[str], what: str) -> None:
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"{what}: {twice!r} twice")
