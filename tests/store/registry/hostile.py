"""A registry that can be told to misbehave: a store's content over HTTP, and faults before it."""

from __future__ import annotations

import json
import re
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from trunkline.store import Store
from trunkline.store.digests import digest_of
from trunkline.store.manifest import MANIFEST_TYPE

PIECE_BYTES = 2**14


class Ask(BaseHTTPRequestHandler):
    """A request, and the ways to answer it."""

    protocol_version = "HTTP/1.1"
    registry: Registry

    @property
    def digest(self) -> str:
        """The blob's digest, or the manifest's reference."""
        return self.path.rpartition("/")[2]

    @property
    def content(self) -> bytes:
        """What an honest registry would send; empty for nothing."""
        held = self.registry.blobs if "/blobs/" in self.path else self.registry.manifests
        return held.get(self.digest, b"")

    def answer(
        self,
        status: int,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        declared: int | None = None,
    ) -> None:
        """Send a response; `declared` is what its Content-Length says where that is not true (the
        connection is then closed), -1 for none."""
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if declared != -1:
            self.send_header("Content-Length", str(len(body) if declared is None else declared))
        if declared is not None:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        if self.command != "HEAD":
            for begin in range(0, len(body), PIECE_BYTES):
                self.wfile.write(body[begin : begin + PIECE_BYTES])
                self.registry.sent += len(body[begin : begin + PIECE_BYTES])
                self.registry.progress()

    def honest(self) -> None:
        """What an honest registry answers."""
        if self.path == "/v2/":
            self.answer(200, b"{}")
            return
        content, headers = self.content, {"Docker-Content-Digest": digest_of(self.content)}
        if not content:
            self.answer(404, b'{"errors":[{"code":"BLOB_UNKNOWN","message":"not here"}]}')
            return
        if "/manifests/" in self.path:
            headers["Content-Type"] = MANIFEST_TYPE
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        if asked is None:
            self.answer(200, content, headers)
            return
        first = int(asked[1])
        headers["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
        self.answer(206, content[first:], headers)

    def do_GET(self) -> None:
        """Answer with a fault, if there is one for this request, else honestly."""
        self.registry.asked.append((self.command, self.path, dict(self.headers.items())))
        with self.registry.answering(), suppress(OSError):  # the client has gone
            if not self.registry.fault(self):
                self.honest()

    do_HEAD = do_POST = do_PUT = do_GET

    def log_message(self, *_: object) -> None:
        """Say nothing."""


Fault = Callable[[Ask], bool]
"""Answers a request wrongly and returns True, or leaves it alone and returns False."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients go in the middle here; other errors are for pytest to show."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class Registry:
    """A registry on loopback.

    Attributes:
        blobs, manifests: what it holds; manifests by tag and by digest.
        fault: asked first, about every request.
        asked: method, path and headers of every request.
        sent: bytes of bodies it has sent; `progress` is called whenever there are more.
    """

    def __init__(self, store: Store | None = None) -> None:
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, bytes] = {}
        self.fault: Fault = lambda ask: False
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.sent = 0
        self.progress: Callable[[], None] = lambda: None
        self._busy = 0
        self._idle = threading.Condition()
        for name in store.names() if store is not None else ():
            assert store is not None
            model = store.model(name)
            raw = store.blob_path(model.digest).read_bytes()
            self.put(name, raw)
            manifest = json.loads(raw)
            for part in (manifest["config"], *manifest["layers"]):
                self.blobs[part["digest"]] = store.blob_path(part["digest"]).read_bytes()
        handler = type("Bound", (Ask,), {"registry": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        self.port = self._server.server_address[1]

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    def reference(self, tag: str) -> str:
        """What a pull is given for a tag."""
        return f"oci://{self.host}/models:{tag}"

    def put(self, tag: str, manifest: bytes | dict[str, Any]) -> str:
        """Hold a manifest under a tag and its digest, which is returned."""
        raw = manifest if isinstance(manifest, bytes) else json.dumps(manifest).encode()
        self.manifests[tag] = self.manifests[digest_of(raw)] = raw
        return digest_of(raw)

    def asks_for(self, part: str) -> list[dict[str, str]]:
        """The headers of the requests whose path holds a text."""
        return [headers for _, path, headers in self.asked if part in path]

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Held while a request is answered."""
        with self._idle:
            self._busy += 1
        try:
            yield
        finally:
            with self._idle:
                self._busy -= 1
                self._idle.notify_all()

    def begin_count(self) -> None:
        """Count the bytes that are sent from now on; what is under way ends before."""
        with self._idle:
            assert self._idle.wait_for(lambda: self._busy == 0, 30)
            self.sent = 0

    def run(self) -> None:
        """Serve until `stop`."""
        self._server.serve_forever(poll_interval=0.02)

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def registry(store: Store | None = None) -> Iterator[Registry]:
    """A registry that holds a store's models, until the context ends."""
    there = Registry(store)
    thread = threading.Thread(target=there.run, daemon=True)
    thread.start()
    try:
        yield there
    finally:
        there.stop()
        thread.join(30)


# ---- faults ----


def on(path: str, act: Callable[[Ask], None], times: int | None = None) -> Fault:
    """The act for requests whose path has a match of a pattern; only so many times, if given."""
    left = [times]
    lock = threading.Lock()

    def fault(ask: Ask) -> bool:
        if not re.search(path, ask.path):
            return False
        with lock:
            if left[0] == 0:
                return False
            if left[0] is not None:
                left[0] -= 1
        act(ask)
        return True

    return fault


def status(number: int, **headers: str) -> Callable[[Ask], None]:
    """Answer with an error."""
    body = json.dumps({"errors": [{"code": "X", "message": "so it is"}]}).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda ask: ask.answer(number, body, named)


def die(share: float) -> Callable[[Ask], None]:
    """Close the connection after a share of the body that was promised."""

    def act(ask: Ask) -> None:
        content = ask.content
        ask.answer(200, content[: int(share * len(content))], declared=len(content))

    return act


def lie(ask: Ask) -> None:
    """As many bytes as were promised, and others."""
    ask.answer(200, bytes(len(ask.content)))


def resized(change: int, tell: bool) -> Callable[[Ask], None]:
    """A body longer or shorter by so many bytes, its Content-Length true or not there."""

    def act(ask: Ask) -> None:
        body = ask.content[:change] if change < 0 else ask.content + bytes(change)
        ask.answer(200, body, declared=None if tell else -1)

    return act


def redirect(to: str) -> Callable[[Ask], None]:
    """Lead to another address; `{path}` in it is the request's path."""
    return lambda ask: ask.answer(307, headers={"Location": to.format(path=ask.path)})


def garbage(body: bytes) -> Callable[[Ask], None]:
    """Answer with this."""
    return lambda ask: ask.answer(200, body, {"Content-Type": MANIFEST_TYPE})


def hang(until: threading.Event) -> Callable[[Ask], None]:
    """Say nothing until told to."""

    def act(ask: Ask) -> None:
        until.wait(60)
        ask.close_connection = True

    return act
