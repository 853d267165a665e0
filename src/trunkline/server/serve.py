"""Runs the HTTP app: from the first connection to the last answer."""

from __future__ import annotations

import logging
import signal
import socket
import threading
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from types import FrameType
from typing import Final

import uvicorn
from starlette.routing import Route

from trunkline.errors import InputError
from trunkline.server.app import ServerApp, no_processor
from trunkline.server.connections import guarded
from trunkline.server.conversion import ProcessorOf
from trunkline.server.work import Engine, Limits, ServerSettings

log = logging.getLogger(__name__)

LAST_ANSWERS_S: Final = 5
"""What clients have to read their answers after everything was answered."""

OTHER_FILES: Final = 512
"""Files that may be open beside the connections."""


class HttpServer(uvicorn.Server):
    """Serves an engine until it is told to stop.

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
        listening: Callable[[str], None] = lambda address: None,
    ) -> None:
        app = ServerApp(
            engine,
            settings,
            processors=processors,
            extra_routes=extra_routes,
            open_paths=open_paths,
        )
        super().__init__(_config(app, settings))
        self._engine = engine
        self._settings = settings
        self._listening = listening
        self._stopping: threading.Thread | None = None

    def stop(self) -> None:
        """Stop, from any thread and only once: take no more requests, finish those that wait within
        `drain_s`, refuse the rest, and end."""
        if self._stopping is None:
            self._stopping = threading.Thread(target=self._drain, name="drain", daemon=True)
            self._stopping.start()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """SIGTERM or SIGINT: stop; at the second one, at once."""
        if self._stopping is not None:  # whatever hangs, in whichever thread
            signal.signal(sig, signal.SIG_DFL)
            signal.raise_signal(sig)
        self.stop()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        await super().startup(sockets)
        if self.started:
            port = (sockets or [])[0].getsockname()[1]
            self._listening(address(self._settings, port))

    def _drain(self) -> None:
        try:
            if not self._engine.drain(self._settings.drain_s):
                log.warning("not all requests ended within %g s", self._settings.drain_s)
        finally:
            self._engine.close()
            self.should_exit = True


def serve(
    engine: Engine,
    settings: ServerSettings,
    place: socket.socket,
    *,
    processors: ProcessorOf = no_processor,
    extra_routes: Sequence[Route] = (),
    open_paths: Collection[str] = (),
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
            listening=listening,
        )
        with place:
            server.run(sockets=[place])
    finally:
        engine.close()


def bind(settings: ServerSettings) -> socket.socket:
    """A socket at the settings' address. Clients are turned away until the server listens, but no
    other process gets the address any more.

    Raises:
        InputError: it is taken, or none of this machine's.
    """
    host, port = settings.host.strip("[]"), settings.port
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, where = min(found, key=lambda one: one[0] != socket.AF_INET)
        place = socket.socket(family, socket.SOCK_STREAM)
        try:
            place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            place.bind(where)
        except OSError:
            place.close()
            raise
        return place
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise InputError(f"--host {host} --port {port}: cannot listen there: {why}") from None


def address(settings: ServerSettings, port: int) -> str:
    """Where the server is reached."""
    host = settings.host.strip("[]")
    scheme = "https" if settings.certificate else "http"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def check_tls(settings: ServerSettings) -> None:
    """Refuse files for TLS that cannot be used (InputError)."""
    import ssl

    if settings.certificate is None and settings.key is None:
        return
    if settings.certificate is None or settings.key is None:
        raise InputError("--tls-certificate and --tls-key: both, or neither")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
            settings.certificate, settings.key, password=_no_password
        )
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        raise InputError(
            f"--tls-certificate {settings.certificate}, --tls-key {settings.key}: {error}"
        ) from None


def _no_password() -> str:
    raise ValueError("the key has a password, which nobody could be asked for")


def raise_file_limit(limits: Limits) -> None:
    """Let the process open as many files as connections may need, where the system allows it."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = limits.connections + OTHER_FILES
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _config(app: ServerApp, settings: ServerSettings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=guarded(settings.limits),
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        log_level="error",  # with its warnings clients could fill a disk
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=max(1, round(settings.limits.idle_s)),
        timeout_graceful_shutdown=LAST_ANSWERS_S,
        ssl_certfile=settings.certificate,
        ssl_keyfile=settings.key,
    )
