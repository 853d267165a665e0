"""Waiting for an answer: until it comes, the deadline passes, or the client hangs up."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from typing import Any, Final, TypeVar

from starlette.types import Receive

from trunkline.errors import Reason, RefusedError
from trunkline.server.bodies import ClientGone
from trunkline.server.work import Answer

log = logging.getLogger(__name__)

T = TypeVar("T")

SOON_S: Final = 0.01
"""Answers that come sooner are not worth a look at whether the client is still there."""

Ended = asyncio.Future[bool]
"""The end of a wait: whether the client hung up."""


class Waits:
    """Waits for answers in one event loop.

    A thread that answers many requests wakes the loop once for all of them: to wake it takes as
    long as the rest of answering, and it then competes with the thread for the interpreter.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._waiting: deque[Callable[[], None]] = deque()
        self._told = False
        self._kept: set[asyncio.Future[Any]] = set()

    def tell(self, call: Callable[[], None]) -> None:
        """Have something called in the loop soon; from any thread."""
        self._waiting.append(call)
        if not self._told:  # or `_tell` comes, and finds this one too
            self._told = True
            with suppress(RuntimeError):  # the loop was closed meanwhile
                self.loop.call_soon_threadsafe(self._tell)

    def keep(self, task: asyncio.Future[T], then: Callable[[asyncio.Future[T]], None]) -> None:
        """Hold on to a task, as loops do not, and call something with it when it is done."""
        self._kept.add(task)
        task.add_done_callback(self._kept.discard)
        task.add_done_callback(then)

    async def answer_of(
        self, future: Future[Answer], deadline_s: float, receive: Receive
    ) -> Answer:
        """The answer that a future of the engine brings.

        When nobody waits for it any more, the future is cancelled, so that a batch that has not
        begun is never computed for it.

        Args:
            deadline_s: in seconds of `time.monotonic()`.
            receive: the client's channel; its whole body has been read.

        Raises:
            RefusedError: by the engine, or because the deadline passed: the reason is LATE if its
                batch had begun by then, else DEADLINE.
            ClientGone: the client hung up first.
            InputError, ModelFailedError: as the engine says.
        """
        if not future.done():
            try:
                gone = await self._first(future, deadline_s, receive)
            except asyncio.CancelledError:  # the server ends
                future.cancel()
                raise
            if not future.done():
                waited = future.cancel()
                if gone:
                    raise ClientGone
                raise past(waited)
        try:
            return future.result()
        except CancelledError:
            raise RefusedError(Reason.CANCELLED, "the request was cancelled") from None

    async def _first(self, future: Future[Answer], deadline_s: float, receive: Receive) -> bool:
        """Wait for the answer, the deadline, or the client's end; whether it was the last."""
        ended: Ended = self.loop.create_future()
        future.add_done_callback(lambda _: self.tell(lambda: _end(ended)))
        watchers: list[asyncio.Task[None]] = []
        left_s = deadline_s - time.monotonic()
        timers = (
            self.loop.call_later(max(0.0, left_s), _end, ended),
            self.loop.call_later(
                min(SOON_S, left_s / 2),
                lambda: watchers.append(self.loop.create_task(_watch(receive, ended))),
            ),
        )
        try:
            return await ended
        finally:
            for timer in timers:
                timer.cancel()
            for watcher in watchers:
                watcher.cancel()

    def _tell(self) -> None:
        self._told = False
        while self._waiting:
            call = self._waiting.popleft()
            try:
                call()
            except Exception:  # a bug; the others wait for theirs
                log.exception("telling of an answer failed")


def _end(ended: Ended, gone: bool = False) -> None:
    if not ended.done():
        ended.set_result(gone)


async def _watch(receive: Receive, ended: Ended) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    _end(ended, True)


def past(waited: bool) -> RefusedError:
    """The refusal at the deadline.

    Args:
        waited: whether its batch had not begun.
    """
    if waited:
        return RefusedError(Reason.DEADLINE, "the deadline passed before its batch began", 1.0)
    return RefusedError(Reason.LATE, "the deadline passed while its batch was under way")
