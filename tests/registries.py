"""Registries for tests: Debian's docker-registry on loopback, and servers that follow a script."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

CONFIG = """\
version: 0.1
log: {accesslog: {disabled: false}, formatter: json}
storage:
  filesystem: {rootdirectory: %s}
  delete: {enabled: true}
http:
  addr: 127.0.0.1:0
%s
"""
"""On port 0 the system chooses, and the log tells which."""

USER, PASSWORD = "ada", "lovelace"
HTPASSWD = "ada:$2b$05$abcdefghijklmnopqrstuuugyJgZetmHGvxwCJ1rpgM8bgT8KJ8.i\n"
"""That password, by bcrypt."""


@dataclass
class DockerRegistry:
    """A running docker-registry."""

    host: str
    folder: Path
    log: Path

    def requests(self) -> list[tuple[str, str, int]]:
        """Every request so far: method, path without query, status."""
        found = re.findall(r'"([A-Z]+) (/v2/[^ ?"]*)[^"]*" (\d{3})', self.log.read_text())
        return [(method, path, int(status)) for method, path, status in found]

    def blob_file(self, digest: str) -> Path:
        """Where it keeps a blob."""
        hexa = digest.removeprefix("sha256:")
        top = self.folder / "docker/registry/v2/blobs/sha256"
        return top / hexa[:2] / hexa / "data"


@contextmanager
def docker_registry(folder: Path, more: str = "") -> Iterator[DockerRegistry]:
    """Debian's docker-registry over an empty folder, with `more` lines of configuration (first of
    `http`); the test is skipped where there is none."""
    program = shutil.which("docker-registry")
    if program is None:
        pytest.skip("no docker-registry here: `make registry` as root installs Debian's")
    config, log = folder / "registry.yml", folder / "registry.log"
    config.write_text(CONFIG % (folder, more))
    with log.open("wb") as output:
        process = subprocess.Popen([program, "serve", str(config)], stdout=output, stderr=output)
        try:
            yield DockerRegistry(_listening(process, log), folder, log)
        finally:
            process.kill()
            process.wait()


def _listening(process: subprocess.Popen[bytes], log: Path) -> str:
    """The host and port in its log, once it is there."""
    while process.poll() is None:
        if found := re.search(r"listening on (127\.0\.0\.1:\d+)", log.read_text()):
            return found[1]
    raise AssertionError(f"docker-registry ended:\n{log.read_text()}")


@dataclass
class Request:
    """What a scripted server was asked."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Reply:
    """What it answers. `cut`: the connection is closed after so many bytes of the body."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None


@dataclass
class Scripted:
    """A running scripted server and what it was asked so far."""

    host: str
    asked: list[Request]

    def seen(self, name: str) -> list[str]:
        """The values of a header in all requests that carried it."""
        return [one.headers[name] for one in self.asked if name in one.headers]


@contextmanager
def scripted(answer: Callable[[Request], Reply]) -> Iterator[Scripted]:
    """A server on loopback that answers as it is told."""
    asked: list[Request] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            request = Request(self.command, self.path, dict(self.headers), body)
            asked.append(request)
            reply = answer(request)
            self.send_response(reply.status)
            for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(reply.body[: reply.cut])
            self.close_connection = reply.cut is not None

        do_GET = do_HEAD = do_POST = do_PUT = handle_one

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield Scripted(f"127.0.0.1:{server.server_address[1]}", asked)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
