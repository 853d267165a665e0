"""A real server on a free port in a thread, and what sends it requests."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from starlette.routing import Route

from tests.server.engines import FakeEngine
from trunkline.server.app import no_processor
from trunkline.server.conversion import ProcessorOf
from trunkline.server.listening import bind
from trunkline.server.serve import HttpServer
from trunkline.server.streams.calls import Streams
from trunkline.server.work import ServerSettings


@dataclass
class Running:
    """A server that runs: its address, and what it serves."""

    url: str
    engine: FakeEngine
    server: HttpServer

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    def call(
        self,
        method: str,
        path: str,
        body: bytes | Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, dict[str, str], Any]:
        """Status, headers and JSON document of a call."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            raw = json.dumps(body).encode() if isinstance(body, Mapping) else body
            connection.request(method, path, raw, dict(headers or {}))
            answer = connection.getresponse()
            content = answer.read()
            named = {key.lower(): value for key, value in answer.getheaders()}
            return answer.status, named, json.loads(content) if content else None
        finally:
            connection.close()


@contextmanager
def running(
    engine: FakeEngine,
    settings: ServerSettings | None = None,
    processors: ProcessorOf = no_processor,
    extra_routes: Sequence[Route] = (),
    streams: Streams | None = None,
) -> Iterator[Running]:
    """Serve until the context ends."""
    settings = settings or ServerSettings(port=0)
    place = bind(settings)
    there, urls = threading.Event(), []

    def listening(url: str) -> None:
        urls.append(url)
        there.set()

    server = HttpServer(
        engine,
        settings,
        processors=processors,
        extra_routes=extra_routes,
        streams=streams,
        listening=listening,
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [place]})
    thread.start()
    try:
        assert there.wait(30)
        yield Running(urls[0], engine, server)
    finally:
        server.stop()
        thread.join(30)
        place.close()
    assert not thread.is_alive()
    assert not engine.ready


def question(data: Sequence[float] = (1.0, 2.5), **more: Any) -> dict[str, Any]:
    """A good request for `double`."""
    one = {"name": "x", "datatype": "FP32", "shape": [len(data)], "data": list(data)}
    return {"inputs": [one], **more}
