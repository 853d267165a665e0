"""Requests straight into an ASGI app, as a server would hand them over."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import unquote

from starlette.types import ASGIApp, Message

from tests.server.engines import FakeEngine, double, echo
from trunkline.server.app import ServerApp
from trunkline.server.work import ServerSettings

Headers = Mapping[str, str] | Iterable[tuple[str, str]]

INFER = "/v2/models/double/infer"


@dataclass
class Answered:
    """What the app sent, and how many pieces of the body it read."""

    messages: list[Message] = field(default_factory=list)
    read: int = 0

    @property
    def status(self) -> int:
        return int(self.messages[0]["status"])

    @property
    def headers(self) -> dict[str, str]:
        return {key.decode(): value.decode() for key, value in self.messages[0]["headers"]}

    @property
    def body(self) -> bytes:
        return b"".join(one.get("body", b"") for one in self.messages[1:])

    @property
    def document(self) -> Any:
        return json.loads(self.body)


class Client:
    """Calls an app."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    def get(self, path: str, headers: Headers = ()) -> Answered:
        return self.call("GET", path, headers=headers)

    def post(
        self,
        path: str,
        body: bytes | Mapping[str, Any],
        headers: Headers = (),
        chunk: int = 2**16,
        host: str | None = "localhost",
    ) -> Answered:
        return self.call("POST", path, body, headers, chunk, host)

    def call(
        self,
        method: str,
        path: str,
        body: bytes | Mapping[str, Any] = b"",
        headers: Headers = (),
        chunk: int = 2**16,
        host: str | None = "localhost",
    ) -> Answered:
        return asyncio.run(self.send(method, path, body, headers, chunk, host))

    async def send(
        self,
        method: str,
        path: str,
        body: bytes | Mapping[str, Any] = b"",
        headers: Headers = (),
        chunk: int = 2**16,
        host: str | None = "localhost",
        gone: asyncio.Event | None = None,
        whole: bool = True,
    ) -> Answered:
        """One request; the client hangs up when `gone` is set, or never; if not `whole` the rest of
        its body does not come."""
        raw = json.dumps(body).encode() if isinstance(body, Mapping) else body
        pieces = [raw[i : i + chunk] for i in range(0, len(raw), chunk)] or [b""]
        given = list(headers.items() if isinstance(headers, Mapping) else headers)
        if host is not None:
            given.append(("Host", host))
        raw_path, _, query = path.partition("?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(raw_path),
            "raw_path": raw_path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(key.lower().encode(), value.encode()) for key, value in given],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 8000),
        }
        answered = Answered()

        async def receive() -> Message:
            if answered.read < len(pieces):
                answered.read += 1
                more = answered.read < len(pieces) or not whole
                return {
                    "type": "http.request",
                    "body": pieces[answered.read - 1],
                    "more_body": more,
                }
            await (gone or asyncio.Event()).wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            answered.messages.append(message)

        await self.app(scope, receive, send)
        return answered


def client(engine: FakeEngine | None = None, **changes: Any) -> Client:
    """A client of an app with these settings."""
    found = engine or FakeEngine({"double": double, "echo": echo})
    return Client(ServerApp(found, replace(ServerSettings(), **changes)))
