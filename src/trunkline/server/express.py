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
from trunkline.server.waiting import past
from trunkline.server.work import Answer, Engine, Limits
from trunkline.units import shorten

log = logging.getLogger(__name__)

_LENGTH: Final = HEADER_LENGTH.lower().encode()
_TIMEOUT: Final = TIMEOUT_HEADER.lower().encode()

Send = Callable[[Reply], None]
Hangup = Callable[[], None]


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

    def begin(self, scope: Scope, body: bytearray, send: Send) -> Hangup | None:
        """Begin to answer a request whose body is there.

        Args:
            send: called once with the reply, now or later.

        Returns:
            What to call when the client hangs up before that; None, and nothing was done, if the
            request is for the app.
        """
        arrival_s = time.monotonic()
        raw = scope.get("raw_path")
        call = paths.read(raw.decode("latin-1")) if raw else None
        if call is None or call.what != "infer" or call.version not in (None, paths.VERSION):
            return None
        if scope["method"] != "POST" or len(body) > BESIDE_BYTES:
            return None
        held = self._inference.intake.hold()
        try:
            found = header_lines.read(scope, self._limits.head_bytes)
            self._gate.check(found, needs_token=True)
            if b"content-encoding" in found:
                return None
            stored = self._engine.stored(call.model)
            held.add(len(body))
            length = header_lines.text(found, _LENGTH)
            request = protocol.parse(body, length, self._limits.elements)
            if may_be_preprocessed(stored, request):
                held.release(held.bytes)
                return None
            header = header_lines.text(found, _TIMEOUT)
            deadline_s = arrival_s + timeout_s(request.parameters, header, self._limits)
            inputs = to_torch(request.inputs)
            future = self._engine.submit(call.model, inputs, deadline_s, more=True)
        except Exception as error:
            held.release(held.bytes)
            send(_of_error(call.model, error))
            return _nothing
        if not self._begins:  # once for all requests that the loop reads in this turn
            self._begins = True
            asyncio.get_running_loop().call_soon(self._go_on)
        return _Asked(self._inference, call.model, request, deadline_s, future, held, send).hang_up

    def _go_on(self) -> None:
        self._begins = False
        self._engine.begin()


class _Asked:
    """A request that waits for its answer."""

    __slots__ = ("_future", "_held", "_inference", "_model", "_over", "_request", "_send", "_timer")

    def __init__(
        self,
        inference: Inference,
        model: str,
        request: InferRequest,
        deadline_s: float,
        future: Future[Answer],
        held: Held,
        send: Send,
    ) -> None:
        self._inference = inference
        self._model = model
        self._request = request
        self._future = future
        self._held = held
        self._send = send
        self._over = False
        waits = inference.waits()
        left_s = max(0.0, deadline_s - time.monotonic())
        self._timer = waits.loop.call_later(left_s, self._late)
        future.add_done_callback(lambda _: waits.tell(self._answered))

    def hang_up(self) -> None:
        """Nobody waits any more."""
        if self._end():
            self._future.cancel()

    def _late(self) -> None:
        if not self._future.done() and self._end():
            self._send(replies.of_error(past(self._future.cancel())))

    def _answered(self) -> None:
        if self._over:
            return
        try:
            outputs = from_torch(self._future.result().outputs)
            reply = self._inference.rendered(self._model, self._request, outputs)
        except CancelledError:
            reply = replies.of_error(RefusedError(Reason.CANCELLED, "the request was cancelled"))
        except Exception as error:
            reply = _of_error(self._model, error)
        if reply is not None:
            if self._end():
                self._send(reply)
            return
        # large JSON: rendered in a thread, one at a time
        rendering = self._inference.render(self._model, self._request, outputs)
        self._inference.waits().keep(asyncio.ensure_future(rendering), self._rendered)

    def _rendered(self, rendering: asyncio.Future[Reply]) -> None:
        if rendering.cancelled() or not self._end():
            return
        error = rendering.exception()
        self._send(rendering.result() if error is None else _of_error(self._model, error))

    def _end(self) -> bool:
        """Let everything go; False if that was done before."""
        if self._over:
            return False
        self._over = True
        self._timer.cancel()
        self._held.release(self._held.bytes)
        return True


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
