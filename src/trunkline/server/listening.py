"""Listening for HTTP: the address, TLS, how many connections, and an orderly end."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any, Final

import uvicorn

from trunkline.errors import InputError
from trunkline.server.connections import GuardedProtocol, guarded
from trunkline.server.work import Limits, ServerSettings

OTHER_FILES: Final = 512
"""Files that may be open beside the connections."""


class Listener(uvicorn.Server):
    """Serves an ASGI app until it is told to stop.

    Args:
        drain: finishes what is under way, in a thread of its own, before connections are closed.
        last_answers_s: what clients have to read their answers after that.
        listening: called with the address as soon as connections are taken.
        protocol: what each connection is; it gets the settings' limits.
        how: more for uvicorn's configuration.
    """

    def __init__(
        self,
        app: Any,
        settings: ServerSettings,
        *,
        drain: Callable[[], None] = lambda: None,
        last_answers_s: int,
        listening: Callable[[str], None] = lambda address: None,
        protocol: type[GuardedProtocol] = GuardedProtocol,
        **how: Any,
    ) -> None:
        kind = guarded(settings.limits, protocol)
        super().__init__(_config(app, settings, kind, last_answers_s, how))
        self._settings = settings
        self._drain = drain
        self._listening = listening
        self._stopping: threading.Thread | None = None

    def stop(self) -> None:
        """Stop, from any thread and only once: take no more requests, finish those that are under
        way within their time, and end."""
        if self._stopping is None:
            self._stopping = threading.Thread(target=self._end, name="drain", daemon=True)
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

    def _end(self) -> None:
        try:
            self._drain()
        finally:
            self.should_exit = True


def bind(settings: ServerSettings) -> socket.socket:
    """A socket at the settings' address. Clients are turned away until the server listens, but no
    other process gets the address any more.

    Raises:
        InputError: it is taken, or none of this machine's.
    """
    host, port = settings.host.strip("[]"), settings.port
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, where = min(found, key=lambda one: one[0] != socket.AF_INET)
        # without the protocol, asyncio leaves Nagle's algorithm on, and answers wait 40 ms
        place = socket.socket(family, kind, protocol)
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
    except ssl.SSLError:
        raise InputError(
            f"--tls-certificate {settings.certificate}, --tls-key {settings.key}: they are no "
            "certificate and its key in PEM"
        ) from None
    except (OSError, ValueError) as error:
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


def _config(
    app: Any,
    settings: ServerSettings,
    protocol: type[asyncio.Protocol],
    last_answers_s: int,
    how: dict[str, Any],
) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        log_level="error",  # with its warnings clients could fill a disk
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=max(1, round(settings.limits.idle_s)),
        timeout_graceful_shutdown=last_answers_s,
        ssl_certfile=settings.certificate,
        ssl_keyfile=settings.key,
        **how,
    )
