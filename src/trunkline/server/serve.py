"""Runs the HTTP app: from the first connection to the last answer."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Collection, Sequence
from typing import Final

from starlette.routing import Route

from trunkline.server.app import ServerApp, no_processor
from trunkline.server.conversion import ProcessorOf
from trunkline.server.listening import Listener, check_tls, raise_file_limit
from trunkline.server.offering import offering
from trunkline.server.streams.calls import Streams
from trunkline.server.work import Engine, ServerSettings

log = logging.getLogger(__name__)

LAST_ANSWERS_S: Final = 5
"""What clients have to read their answers after everything was answered."""


class HttpServer(Listener):
    """Serves an engine until it is told to stop: requests that wait then have `drain_s`, the rest
    are refused.

    Args:
        listening: called with the address as soon as connections are taken.
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
        listening: Callable[[str], None] = lambda address: None,
    ) -> None:
        app = ServerApp(
            engine,
            settings,
            processors=processors,
            extra_routes=extra_routes,
            open_paths=open_paths,
            streams=streams,
        )
        super().__init__(
            app,
            settings,
            drain=lambda: _drain(engine, settings.drain_s),
            last_answers_s=LAST_ANSWERS_S,
            listening=listening,
            protocol=offering(app.express),
        )


def serve(
    engine: Engine,
    settings: ServerSettings,
    place: socket.socket,
    *,
    processors: ProcessorOf = no_processor,
    extra_routes: Sequence[Route] = (),
    open_paths: Collection[str] = (),
    streams: Streams | None = None,
    listening: Callable[[str], None] = lambda address: None,
) -> None:
    """Serve until SIGTERM or SIGINT, in the main thread; the engine is closed at the end.

    Args:
        place: where to listen, from `bind`; closed at the end too.
        listening: called with the address as soon as connections are taken.

    Raises:
        InputError: the files for TLS cannot be used.
    """
    try:
        check_tls(settings)
        raise_file_limit(settings.limits)
        server = HttpServer(
            engine,
            settings,
            processors=processors,
            extra_routes=extra_routes,
            open_paths=open_paths,
            streams=streams,
            listening=listening,
        )
        with place:
            server.run(sockets=[place])
    finally:
        engine.close()


def _drain(engine: Engine, seconds: float) -> None:
    try:
        if not engine.drain(seconds):
            log.warning("not all requests ended within %g s", seconds)
    finally:
        engine.close()
