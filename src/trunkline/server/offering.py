"""HTTP connections that offer requests to `express` before the app gets them."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any, ClassVar, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from trunkline.server.connections import GuardedProtocol
from trunkline.server.express import Express, Hangup
from trunkline.server.replies import ONE_WRITE_BYTES, Reply

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application


def offering(express: Express) -> type[GuardedProtocol]:
    """The connections of a server that has this to offer requests to."""
    return cast(type[GuardedProtocol], type("Offering", (OfferingProtocol,), {"express": express}))


class OfferingProtocol(GuardedProtocol):
    """A connection that has requests answered at once whose last byte came with the first."""

    express: ClassVar[Express]

    _begun: RequestResponseCycle | None = None
    _hang_up: Hangup | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody waits for the answer any more."""
        if self._hang_up is not None:
            self._hang_up()
            self._hang_up = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on; what is not there as a whole is for the app."""
        super().data_received(data)
        if self._begun is not None:
            cycle, self._begun = self._begun, None
            super()._start_asgi_task(cycle, self.app)

    def on_message_complete(self) -> None:
        """A request is there as a whole."""
        super().on_message_complete()
        if self._begun is not None:
            cycle, self._begun = self._begun, None
            self._offer(cycle)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        """Wait for the end of a request, in case it is there already. One that stood in the
        pipeline goes to the app: answered in turn, each within the other, they would nest."""
        if not cycle.more_body or cycle.scope["method"] != "POST":
            super()._start_asgi_task(cycle, app)
        else:
            self._begun = cycle

    def _offer(self, cycle: RequestResponseCycle) -> None:
        """Have a request answered that is there as a whole."""
        hang_up = None
        if not self.flow.write_paused:
            scope = cast(MutableMapping[str, Any], cycle.scope)
            hang_up = self.express.begin(
                scope, cycle.body, lambda reply: self._answer(cycle, reply)
            )
        if hang_up is None:
            super()._start_asgi_task(cycle, self.app)
        elif not cycle.response_complete:
            self._hang_up = hang_up

    def _answer(self, cycle: RequestResponseCycle, reply: Reply) -> None:
        """Send a reply to its end."""
        self._hang_up = None
        if self.transport.is_closing():
            return
        lines = [STATUS_LINE[reply.status]]
        for name, value in (*cycle.default_headers, *reply.lines()):
            lines += (name, b": ", value, b"\r\n")
        lines.append(b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n")
        if reply.size <= ONE_WRITE_BYTES:
            self.transport.write(b"".join([*lines, *reply.pieces]))
        else:
            self.transport.write(b"".join(lines))
            for piece in reply.pieces:
                self.transport.write(piece)
        cycle.response_started = cycle.response_complete = True
        if not cycle.keep_alive:
            self.transport.close()
        self.on_response_complete()
