"""Infer calls that came as a whole, answered without a task of their own.

A task, its channels and its wake-ups cost as much as all that a small request needs beside them. So
a connection (`offering`) first offers a request here, when its last byte came with its first.
What is not simple goes on to the app (`app`), which can do all of it: large bodies, packed ones,
texts and images.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from typing import Final

from starlette.types import Scope

from trunkline.errors import Reason, RefusedError, TrunklineError
from trunkline.server import headers as header_lines
from trunkline.server import paths, protocol, replies
from trunkline.server.bodies import Held
from trunkline.server.conversion import from_torch, to_torch
from trunkline.server.deadlines import TIMEOUT_HEADER, timeout_s
from trunkline.server.inference import BESIDE_BYTES, Inference, may_be_preprocessed
from trunkline.server.protocol import HEADER_LENGTH, InferRequest
from trunkline.server.replies import Reply
from trunkline.server.security import Gate
from trunkline.server.waiting import Waits, past
from trunkline.server.work import Answer, Engine, Limits
from trunkline.units import shorten

log = logging.getLogger(__name__)

_LENGTH: Final = HEADER_LENGTH.lower().encode()
_TIMEOUT: Final = TIMEOUT_HEADER.lower().encode()

Send = Callable[[Reply], None]
Hangup = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Head:
    """What the path and the headers of an infer call say; the same for equal ones.

    Attributes:
        model: its name.
        length: `Inference-Header-Content-Length`, None without it.
        timeout: `Trunkline-Timeout-Ms`, None without it.
    """

    model: str
    length: str | None
    timeout: str | None


class Express:
    """Answers infer calls at once, or when their answer is there.

    For the event loop only.

    Args:
        inference: the app's, which it shares the memory for bodies with.
    """

    def __init__(self, engine: Engine, gate: Gate, limits: Limits, inference: Inference) -> None:
        self._engine = engine
        self._gate = gate
        self._limits = limits
        self._inference = inference
        self._begins = False

    def head(self, scope: Scope) -> Head | None:
        """What the head of a request says, and that it is let in; None if it is for the app, which
        also says what is wrong with one."""
        raw = scope.get("raw_path")
        call = paths.read(raw.decode("latin-1")) if raw else None
        if call is None or call.what != "infer" or call.version not in (None, paths.VERSION):
            return None
        if scope["method"] != "POST":
            return None
        try:
            found = header_lines.read(scope, self._limits.head_bytes)
            self._gate.check(found, needs_token=True)
        except TrunklineError:
            return None
        if b"content-encoding" in found:
            return None
        length, timeout = (header_lines.text(found, name) for name in (_LENGTH, _TIMEOUT))
        return Head(call.model, length, timeout)

    def begin(
        self, head: Head, body: bytearray, send: Send, loop: asyncio.AbstractEventLoop
    ) -> Hangup | None:
        """Begin to answer a request whose body is there.

        Args:
            loop: that runs (to ask for it takes a call of the system).
            send: called once with the reply, now or later.

        Returns:
            What to call when the client hangs up before that; None, and nothing was done, if the
            request is for the app.
        """
        arrival_s = time.monotonic()
        if len(body) > BESIDE_BYTES:
            return None
        model = head.model
        held = self._inference.intake.hold()
        try:
            stored = self._engine.stored(model)
            held.add(len(body))
            request = protocol.parse(body, head.length, self._limits.elements)
            if may_be_preprocessed(stored, request):
                held.release(held.bytes)
                return None
            wait_s = timeout_s(request.parameters, head.timeout, self._limits)
            inputs = to_torch(request.inputs)
            future = self._engine.submit(model, inputs, arrival_s + wait_s, more=True)
        except Exception as error:
            held.release(held.bytes)
            send(_of_error(model, error))
            return _nothing
        if not self._begins:  # once for all requests that the loop reads in this turn
            self._begins = True
            loop.call_soon(self._go_on)
        waits = self._inference.waits(loop)
        asked = _Asked(self._inference, waits, model, request, future, held, send)
        asked.wait(arrival_s + wait_s - time.monotonic())
        return asked.hang_up

    def _go_on(self) -> None:
        self._begins = False
        self._engine.begin()


class _Asked:
    """A request that waits for its answer."""

    __slots__ = (
        *("_future", "_held", "_inference", "_model", "_request", "_send", "_timer", "_waits"),
    )

    def __init__(
        self,
        inference: Inference,
        waits: Waits,
        model: str,
        request: InferRequest,
        future: Future[Answer],
        held: Held,
        send: Send,
    ) -> None:
        self._inference = inference
        self._waits = waits
        self._model = model
        self._request = request
        self._future: Future[Answer] | None = future
        self._held = held
        self._send = send

    def wait(self, left_s: float) -> None:
        """Go on when the answer is there, or after so many seconds."""
        assert self._future is not None
        self._timer = self._waits.loop.call_later(max(0.0, left_s), self._late)
        self._future.add_done_callback(self._done)

    def hang_up(self) -> None:
        """Nobody waits any more."""
        if (future := self._end()) is not None:
            future.cancel()

    def _late(self) -> None:
        future = self._future
        if future is not None and not future.done():
            self._end()
            self._send(replies.of_error(past(future.cancel())))

    def _done(self, _: Future[Answer]) -> None:
        self._waits.tell(self._answered)

    def _answered(self) -> None:
        if self._future is None:
            return
        try:
            outputs = from_torch(self._future.result().outputs)
            reply = self._inference.rendered(self._model, self._request, outputs)
        except CancelledError:
            reply = replies.of_error(RefusedError(Reason.CANCELLED, "the request was cancelled"))
        except Exception as error:
            reply = _of_error(self._model, error)
        if reply is not None:
            self._end()
            self._send(reply)
            return
        # large JSON: rendered in a thread, one at a time
        rendering = self._inference.render(self._model, self._request, outputs)
        self._waits.keep(asyncio.ensure_future(rendering), self._rendered)

    def _rendered(self, rendering: asyncio.Future[Reply]) -> None:
        if rendering.cancelled() or self._end() is None:
            return
        error = rendering.exception()
        self._send(rendering.result() if error is None else _of_error(self._model, error))

    def _end(self) -> Future[Answer] | None:
        """Let everything go, the future first of all, which holds on to this: rings of objects
        would wait for the garbage collector. The future; None if that was done before."""
        future, self._future = self._future, None
        if future is not None:
            self._timer.cancel()
            self._held.release(self._held.bytes)
        return future


def _of_error(model: str, error: BaseException) -> Reply:
    if isinstance(error, TrunklineError):
        reply = replies.of_error(error)
        if reply.status == 500:
            log.error("infer of %s: %s", shorten(model), error)
        return reply
    log.error("infer of %s", shorten(model), exc_info=error)  # a bug; whoever called is answered
    return replies.error(500, "an error inside the server; its log says more")


def _nothing() -> None:
    """A request that was answered at once: who hangs up is missed by nobody."""
