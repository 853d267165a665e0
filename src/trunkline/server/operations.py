"""The operator's side of a server: its metrics, timeline, logs and status page, over HTTP."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from trunkline.errors import Reason
from trunkline.server.logs import LogObserver
from trunkline.server.metrics import Metrics
from trunkline.server.sharing import Sharing, key_of
from trunkline.server.status import BATCH_MOST, BATCH_SECONDS, status
from trunkline.server.tally import Tally
from trunkline.server.timeline import Timeline
from trunkline.server.work import BatchRecord, Engine, LoadRecord, Observer, Snapshot

STATIC: Final = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/static/page.css": ("page.css", "text/css; charset=utf-8"),
    "/static/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/static/charts.js": ("charts.js", "text/javascript; charset=utf-8"),
    "/static/icon.svg": ("icon.svg", "image/svg+xml"),
}
"""Paths of the page's files, which tell nothing of the server: they need no token. The page asks
its reader for one when `status.json` wants it."""

HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}

EXPOSITION: Final = "text/plain; version=0.0.4; charset=utf-8"


class Operations:
    """The observer that a server's engine tells everything; safe to call from any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.tally = Tally(clock)
        self.timeline = Timeline(clock=clock)
        self.metrics = Metrics(self.tally)
        self._logs = LogObserver()
        self._all: tuple[Observer, ...] = (self.tally, self.timeline, self.metrics, self._logs)
        self._sharing = Sharing.of([])

    def received(self, model: str) -> None:
        """A request came in: only counted."""
        self.tally.received(model)

    def answered(self, model: str, wait_s: float, in_time: bool) -> None:
        """A request was answered: told to those who make something of every one."""
        self.tally.answered(model, wait_s, in_time)
        self.metrics.answered(model, wait_s, in_time)
        if not in_time:
            self._logs.answered(model, wait_s, in_time)

    def refused(self, model: str, reason: Reason) -> None:
        """A request was not answered."""
        for observer in self._all:
            observer.refused(model, reason)

    def batch(self, record: BatchRecord) -> None:
        """A batch ended."""
        for observer in self._all:
            observer.batch(record)

    def loaded(self, record: LoadRecord) -> None:
        """A load ended."""
        for observer in self._all:
            observer.loaded(record)

    def decided(self, seconds: float, waiting: int) -> None:
        """The scheduler took a decision: nothing that is counted or logged."""
        self.timeline.decided(seconds, waiting)
        self.metrics.decided(seconds, waiting)

    def status(self, engine: Engine) -> dict[str, Any]:
        """The document that the status page shows."""
        snapshot = engine.snapshot()
        batches = self.timeline.last(BATCH_SECONDS, BATCH_MOST)
        return status(engine, snapshot, self.sharing(snapshot), self.tally.counts(), batches)

    def sharing(self, snapshot: Snapshot) -> Sharing:
        """What the models share, worked out anew only when they change."""
        models = [model.stored for model in snapshot.models]
        sharing = self._sharing  # read once: another thread may put a newer one there
        if sharing.key != key_of(models):
            self._sharing = sharing = Sharing.of(models)
        return sharing


def routes(engine: Engine, operations: Operations) -> list[Route]:
    """The status page, `/status.json`, `/sharing.json`, `/metrics` and `/timeline.json`."""
    operations.metrics.watch(engine)

    # Plain functions, not coroutines: they run in worker threads, beside the event loop.
    def status_json(request: Request) -> Response:
        return _json(operations.status(engine))

    def sharing_json(request: Request) -> Response:
        return _json(operations.sharing(engine.snapshot()).document)

    def metrics(request: Request) -> Response:
        return Response(operations.metrics.exposition(), headers={"Content-Type": EXPOSITION})

    def timeline_json(request: Request) -> Response:
        return _json(operations.timeline.trace())

    return [
        *(Route(path, _static(name, kind)) for path, (name, kind) in STATIC.items()),
        Route("/status.json", status_json),
        Route("/sharing.json", sharing_json),
        Route("/metrics", metrics),
        Route("/timeline.json", timeline_json),
    ]


def _static(name: str, kind: str) -> Callable[[Request], Awaitable[Response]]:
    content = files("trunkline.server").joinpath("static", name).read_bytes()
    headers = {**HEADERS, "Content-Type": kind, "Cache-Control": "no-cache"}

    async def answer(request: Request) -> Response:
        return Response(content, headers=headers)

    return answer


def _json(document: dict[str, Any]) -> Response:
    try:
        body = msgspec.json.encode(document)
    except UnicodeEncodeError:  # an error's text with a file name that is no UTF-8
        body = json.dumps(document).encode()
    headers = {**HEADERS, "Content-Type": "application/json", "Cache-Control": "no-store"}
    return Response(body, headers=headers)
