"""Which call a URL's path means.

A model's name may hold any character, and clients write it in either way: tritonclient leaves `/`
as it is, others write `%2F`. So what stands before and after the name is looked for in the path as
it was sent, and the rest is the name, decoded once. The call `/v2/models/a/ready` is `ready` of
`a`; the metadata of a model `a/ready` are at `/v2/models/a%2Fready`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

VERSION: Final = "1"
"""The one version that every model has."""

_MODELS: Final = "/v2/models/"
STREAMS: Final = "/v2/streams/"
_REPOSITORY: Final = "/v2/repository/models/"

FIXED: Final = {
    "/v2": "server",
    "/v2/": "server",
    "/v2/health/live": "live",
    "/v2/health/ready": "ready",
    "/v2/models": "models",
    "/v2/repository/index": "index",
    "/v2/openapi.json": "openapi",
    "/openapi.json": "openapi",
}
"""Calls of the whole server, by path."""

_SUFFIXES: Final = (("/infer", "infer"), ("/ready", "model_ready"), ("/stream", "stream"))


@dataclass(frozen=True, slots=True)
class Call:
    """What is asked.

    Attributes:
        what: a value of `FIXED`, or of one model: `model`, `model_ready`, `infer`, `stream`,
            `load`, `unload`; or `transfer`, of a stream that is open.
        model: the model's name, empty in other calls.
        version: as the path names it, None if it names none.
        stream: the stream's id, empty in other calls.
    """

    what: str
    model: str = ""
    version: str | None = None
    stream: str = ""


@lru_cache(128)
def read(raw_path: str) -> Call | None:
    """The call of a path as it was sent; None if there is no such call."""
    if (fixed := FIXED.get(raw_path)) is not None:
        return Call(fixed)
    if raw_path.startswith(_MODELS):
        return _of_model(raw_path[len(_MODELS) :])
    if raw_path.startswith(_REPOSITORY):
        name, _, what = raw_path[len(_REPOSITORY) :].rpartition("/")
        return Call(what, unquote(name)) if name and what in ("load", "unload") else None
    if raw_path.startswith(STREAMS):
        return Call("transfer", stream=unquote(raw_path[len(STREAMS) :]))
    return None


def _of_model(rest: str) -> Call | None:
    """`NAME[/versions/VERSION][/infer|/ready|/stream]`."""
    what = "model"
    for suffix, found in _SUFFIXES:
        if rest.endswith(suffix):
            what, rest = found, rest[: -len(suffix)]
            break
    version = None
    name, mark, last = rest.rpartition("/versions/")
    if mark and last and "/" not in last:
        rest, version = name, unquote(last)
    return Call(what, unquote(rest), version) if rest else None
