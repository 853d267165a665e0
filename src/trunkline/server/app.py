"""The HTTP app: Open Inference Protocol v2 over an engine, as a plain ASGI callable."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final
from urllib.parse import quote

import msgspec
from starlette.routing import Match, Route
from starlette.types import Message, Receive, Scope, Send

from trunkline.errors import HttpError, InputError, Reason, RefusedError, TrunklineError
from trunkline.server import describing, openapi, paths, replies
from trunkline.server import headers as header_lines
from trunkline.server.bodies import ClientGone, Intake
from trunkline.server.conversion import ProcessorOf
from trunkline.server.express import Express
from trunkline.server.inference import Inference
from trunkline.server.paths import Call
from trunkline.server.replies import Reply
from trunkline.server.security import OPEN, Gate
from trunkline.server.streams.calls import Streams
from trunkline.server.work import Engine, ServedModel, ServerSettings, State, TensorInfo
from trunkline.store import StoredModel
from trunkline.units import shorten

log = logging.getLogger(__name__)

READ: Final = ("GET", "HEAD")
METHODS: Final = {
    **dict.fromkeys(("index", "infer", "load", "unload", "stream"), ("POST",)),
    "transfer": (*READ, "DELETE"),
}
"""The methods of a call, `READ` where none are given."""


SMALL_BODY: Final = 2**20
"""Bodies of calls that are no inference are read up to this size."""


def no_processor(_: StoredModel) -> None:
    """No model has preprocessing."""


class ServerApp:
    """Serves an engine's models over HTTP.

    Args:
        processors: the preprocessing of models that take texts or images.
        extra_routes: more paths (metrics, pages); ours come first. The gate guards them too.
        open_paths: those of them that need no token.
        streams: answers the calls of streams; None if none are offered.

    Attributes:
        express: for infer calls that a connection has as a whole (`offering`).
    """

    def __init__(
        self,
        engine: Engine,
        settings: ServerSettings,
        *,
        processors: ProcessorOf = no_processor,
        extra_routes: Sequence[Route] = (),
        open_paths: Collection[str] = (),
        streams: Streams | None = None,
    ) -> None:
        self._engine = engine
        self._settings = settings
        self._gate = Gate(settings)
        self._extra = tuple(extra_routes)
        self._open = frozenset(open_paths)
        self._processors = processors
        self._streams = streams
        self._infer = Inference(engine, settings.limits, processors)
        self.express = Express(engine, self._gate, settings.limits, self._infer)
        small = min(SMALL_BODY, settings.limits.body_bytes)
        self._intake = Intake(replace(settings.limits, body_bytes=small))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, whatever it holds."""
        if scope["type"] != "http":
            await _other(scope, receive, send)
            return
        arrival_s = time.monotonic()
        try:
            reply = await self._reply(scope, receive, send, arrival_s)
        except ClientGone:
            return
        except TrunklineError as found:
            reply = replies.of_error(found)
            if reply.status == 500:
                log.error("%s: %s", shorten(scope["path"]), found)
        except Exception:  # a bug; whoever called has to be answered all the same
            log.exception("%s %s", scope["method"], shorten(scope["path"]))
            reply = replies.error(500, "an error inside the server; its log says more")
        if reply is not None:
            await reply.send(send)

    async def _reply(
        self, scope: Scope, receive: Receive, send: Send, arrival_s: float
    ) -> Reply | None:
        """The reply; None if it was sent."""
        found = header_lines.read(scope, self._settings.limits.head_bytes)
        raw = scope.get("raw_path")
        call = paths.read(raw.decode("latin-1") if raw else quote(scope["path"]))
        needs_token = call.what not in OPEN if call else scope["path"] not in self._open
        self._gate.check(found, needs_token)
        if call is None:
            return await self._from_extra(scope, receive, send)
        methods = METHODS.get(call.what, READ)
        if scope["method"] not in methods:
            allowed = ", ".join(methods)
            raise HttpError(405, f"{scope['method']}: {allowed} only", Allow=allowed)
        if call.version not in (None, paths.VERSION):
            raise HttpError(
                404,
                f"model {call.model!r}: version {call.version!r}; there is only {paths.VERSION!r}",
            )
        if call.what == "infer":
            return await self._infer(call.model, found, receive, arrival_s)
        if call.what in ("stream", "transfer"):
            return await self._stream(call, scope, found, receive, send)
        if methods == ("POST",):
            return await self._repository(call, found, receive)
        if call.what == "model":
            served = self._engine.model(call.model)
            return replies.document(describing.model(served, await self._more_inputs(served)))
        return self._describe(call)

    async def _more_inputs(self, served: ServedModel) -> tuple[TensorInfo, ...]:
        """What a model's preprocessing takes."""
        if not served.stored.files:
            return ()
        try:
            found = await asyncio.to_thread(self._processors, served.stored)
        except TrunklineError as error:
            log.warning("model %r: no preprocessing: %s", served.name, error)
            return ()
        return () if found is None else found.inputs

    def _describe(self, call: Call) -> Reply:
        """Health and metadata."""
        engine = self._engine
        if call.what == "live":
            return _health("live", engine.live, Reason.UNAVAILABLE, "no batch can be computed")
        if call.what == "ready":
            return _health("ready", engine.ready, Reason.DRAINING, "no requests are taken")
        if call.what == "server":
            return replies.document(describing.server())
        if call.what == "models":
            return replies.document({"models": [one.name for one in engine.models()]})
        if call.what == "openapi":
            return replies.document(openapi.DOCUMENT)
        served = engine.model(call.model)
        ready = engine.ready and served.state is State.READY
        why = served.reason or "no requests are taken"
        return _health("ready", ready, Reason.UNAVAILABLE, f"model {served.name!r}: {why}")

    async def _repository(
        self, call: Call, found: Mapping[bytes, bytes], receive: Receive
    ) -> Reply:
        """The repository extension."""
        if call.what != "index" and not self._settings.repository_writes:
            raise HttpError(
                403, f"{call.what}: off; `trunkline serve --allow-repository-writes` turns it on"
            )
        with self._intake.hold() as held:
            asked = _object(await self._intake.body(found, receive, held))
        if call.what == "index":
            ready = asked.get("ready", False)
            if not isinstance(ready, bool):
                raise InputError("ready: must be true or false")
            return replies.document(describing.index(self._engine.models(), ready))
        parameters = asked.get("parameters") or {}
        if not isinstance(parameters, dict):
            raise InputError("parameters: must be an object")
        if call.what == "load" and parameters:
            raise InputError(
                f"parameter {next(iter(parameters))!r}: models are loaded as the store has them"
            )
        act = self._engine.load if call.what == "load" else self._engine.unload
        await asyncio.to_thread(act, call.model)
        return replies.document({})

    async def _stream(
        self,
        call: Call,
        scope: Scope,
        found: Mapping[bytes, bytes],
        receive: Receive,
        send: Send,
    ) -> Reply | None:
        """Streams: open one, read it, end it."""
        streams = self._streams
        if streams is None:
            raise HttpError(404, "no streams are offered")
        if call.what == "stream":
            if not self._engine.ready:
                raise RefusedError(Reason.DRAINING, "the server is stopping")
            return await streams.open(call.model, found, receive)
        if scope["method"] == "DELETE":
            return streams.close(call.stream)
        return await _begun(scope, send, partial(streams.read, call.stream, scope, found, receive))

    async def _from_extra(self, scope: Scope, receive: Receive, send: Send) -> Reply | None:
        """One of the other routes' answers, or none such."""
        for route in self._extra:
            match, more = route.matches(scope)
            if match is Match.PARTIAL:
                allowed = ", ".join(sorted(route.methods or ()))
                raise HttpError(405, f"{scope['method']}: {allowed} only", Allow=allowed)
            if match is Match.FULL:
                return await _begun(
                    scope, send, partial(_handle, route, {**scope, **more}, receive)
                )
        raise HttpError(404, f"{scope['path'][:200]!r}: no such call; /v2/openapi.json has them")


class Started:
    """A client's channel that remembers whether a response was begun."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.begun = False

    async def __call__(self, message: Message) -> None:
        """Send on."""
        self.begun = True
        await self._send(message)


async def _handle(route: Route, scope: Scope, receive: Receive, send: Send) -> None:
    await route.handle(scope, receive, send)


async def _begun(
    scope: Scope, send: Send, answer: Callable[[Send], Awaitable[Reply | None]]
) -> Reply | None:
    """What answers by itself; an error of it is answered by whoever called us, if it can be."""
    started = Started(send)
    try:
        return await answer(started)
    except Exception:  # a bug
        if not started.begun:
            raise
        log.exception("%s %s", scope["method"], shorten(scope["path"]))  # too late to say so
        return None


def _health(what: str, good: bool, reason: Reason, why: str) -> Reply:
    return replies.document({what: True}) if good else replies.error(503, why, reason)


def _object(body: bytearray) -> dict[str, Any]:
    """The JSON object of a body that may be empty."""
    if not body.strip():
        return {}
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"request: no JSON: {error}") from None
    if not isinstance(found, dict):
        raise InputError("request: no JSON object")
    return found


async def _other(scope: Scope, receive: Receive, send: Send) -> None:
    """What is no HTTP request: the server's start and end, and websockets, which are refused."""
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
    elif scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1000})
