"""A client that costs little itself: `python -m benchmarks.servers.hammer JOB RESULT`.

It sends one request, made in advance, over and over: in a closed loop over so many connections, or
at a steady rate, each request on a connection that is free (a new one if none is). Latency in the
open loop counts from the moment when the request was due. It reads answers that have a
Content-Length, and nothing else of HTTP.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import cast

OK = b"HTTP/1.1 200"
LENGTH = b"content-length:"


@dataclass(frozen=True)
class Load:
    """What is sent: `connections` in a closed loop, or `rate` per second if that is not 0."""

    port: int
    path: str
    body: str
    seconds: float
    connections: int = 0
    rate: float = 0.0

    @property
    def request(self) -> bytes:
        head = (
            f"POST {self.path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(self.body)}\r\n\r\n"
        )
        return (head + self.body).encode()


class Connection(asyncio.Protocol):
    """One connection with at most one request under way."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._answer: asyncio.Future[bool] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass

    def ask(self, request: bytes) -> asyncio.Future[bool]:
        """Send; the future tells whether the status was 200."""
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        if self._transport.is_closing():
            self._answer.set_result(False)
        self._transport.write(request)
        return self._answer

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self._buffer[:end]).lower()
        at = head.index(LENGTH) + len(LENGTH)
        length = int(head[at:].split(b"\r\n", 1)[0])
        if len(self._buffer) >= end + 4 + length:
            good = self._buffer.startswith(OK)
            self._buffer.clear()
            self._tell(good)

    def connection_lost(self, error: Exception | None) -> None:
        self._tell(False)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _tell(self, good: bool) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(good)


async def connect(load: Load) -> Connection:
    """A new connection."""
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(Connection, "127.0.0.1", load.port)
    return connection


async def closed(load: Load) -> tuple[list[float], int]:
    """Latencies, and how many were not answered with 200."""
    latencies: list[float] = []
    failed = 0
    end = time.perf_counter() + load.seconds

    async def one() -> None:
        nonlocal failed
        connection, request = await connect(load), load.request
        while (begun := time.perf_counter()) < end:
            if await connection.ask(request):
                latencies.append(time.perf_counter() - begun)
            else:
                failed += 1
                connection.close()
                connection = await connect(load)
        connection.close()

    await asyncio.gather(*(one() for _ in range(load.connections)))
    return latencies, failed


async def steady(load: Load) -> tuple[list[float], int]:
    """The same at a steady rate."""
    free = [await connect(load) for _ in range(16)]
    latencies: list[float] = []
    failed = 0

    async def one(due: float, request: bytes) -> None:
        nonlocal failed
        connection = free.pop() if free else await connect(load)
        if await connection.ask(request):
            latencies.append(time.perf_counter() - due)
            free.append(connection)
        else:
            failed += 1
            connection.close()

    begun, request, tasks = time.perf_counter(), load.request, []
    for number in range(int(load.rate * load.seconds)):
        due = begun + number / load.rate
        if (wait := due - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        tasks.append(asyncio.create_task(one(due, request)))
    await asyncio.gather(*tasks)
    for connection in free:
        connection.close()
    return latencies, failed


def main() -> int:
    with contextlib.suppress(ImportError):  # comes with uvicorn[standard] on most systems
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    load = Load(**json.loads(Path(sys.argv[1]).read_text()))
    latencies, failed = asyncio.run((steady if load.rate else closed)(load))
    Path(sys.argv[2]).write_text(json.dumps({"latencies": latencies, "failed": failed}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
