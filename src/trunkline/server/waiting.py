"""Waiting for an answer: until it comes, the deadline passes, or the client hangs up."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from typing import Final

from starlette.types import Receive

from trunkline.errors import Reason, RefusedError
from trunkline.server.bodies import ClientGone
from trunkline.server.work import Answer

SOON_S: Final = 0.01
"""Answers that come sooner are not worth a look at whether the client is still there."""


async def answer_of(future: Future[Answer], deadline_s: float, receive: Receive) -> Answer:
    """The answer that a future of the engine brings.

    When nobody waits for it any more, the future is cancelled, so that a batch that has not begun
    is never computed for it.

    Args:
        deadline_s: in seconds of `time.monotonic()`.
        receive: the client's channel; its whole body has been read.

    Raises:
        RefusedError: by the engine, or because the deadline passed: the reason is LATE if its batch
            had begun by then, else DEADLINE.
        ClientGone: the client hung up first.
        InputError, ModelFailedError: as the engine says.
    """
    if not future.done():
        try:
            gone = await _first(future, deadline_s, receive)
        except asyncio.CancelledError:  # the server ends
            future.cancel()
            raise
        if not future.done():
            waited = future.cancel()
            if gone:
                raise ClientGone
            raise _past(waited)
    try:
        return future.result()
    except CancelledError:
        raise RefusedError(Reason.CANCELLED, "the request was cancelled") from None


def _past(waited: bool) -> RefusedError:
    if waited:
        return RefusedError(Reason.DEADLINE, "the deadline passed before its batch began", 1.0)
    return RefusedError(Reason.LATE, "the deadline passed while its batch was under way")


async def _first(future: Future[Answer], deadline_s: float, receive: Receive) -> bool:
    """Wait for the first of the three; whether the client hung up."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[bool] = loop.create_future()

    def end(gone: bool) -> None:
        if not ended.done():
            ended.set_result(gone)

    def answered(_: Future[Answer]) -> None:
        with suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(end, False)

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        end(True)

    watchers: list[asyncio.Task[None]] = []
    left_s = deadline_s - time.monotonic()
    future.add_done_callback(answered)
    timers: list[asyncio.TimerHandle] = [
        loop.call_later(max(0.0, left_s), end, False),
        loop.call_later(
            min(SOON_S, left_s / 2), lambda: watchers.append(loop.create_task(watch()))
        ),
    ]
    try:
        return await ended
    finally:
        for timer in timers:
            timer.cancel()
        for watcher in watchers:
            watcher.cancel()
