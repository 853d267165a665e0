"""Echo handlers on bare uvicorn, as raw ASGI applications.

`protocol` reads an infer request and renders an infer response with the inputs as outputs, by the
functions of our server: what any server of the protocol has to do. `plain` sends the body back.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from trunkline.server.protocol import parse, render

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
MAX_ELEMENTS = 2**26


async def protocol(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer an infer request with its inputs."""
    if scope["type"] == "http":
        body = await _body(receive)
        if not body:  # asked whether it is there
            return await _answer(send, b"", {})
        request = parse(body, None, MAX_ELEMENTS)
        outputs = [replace(one, name="output") for one in request.inputs]
        pieces, headers = render("noop", "1", request, outputs)
        await _answer(send, b"".join(pieces), headers)


async def plain(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a body with itself."""
    if scope["type"] == "http":
        await _answer(send, await _body(receive), {"Content-Type": "application/json"})


async def _body(receive: Receive) -> bytes:
    pieces, more = [], True
    while more:
        message = await receive()
        pieces.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(pieces)


async def _answer(send: Send, body: bytes, headers: dict[str, str]) -> None:
    told = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    told.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": 200, "headers": told})
    await send({"type": "http.response.body", "body": body})
