"""The infer call: body -> tensors -> engine -> answer, by the deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

import torch
from starlette.types import Receive

from trunkline.server import headers as header_lines
from trunkline.server import protocol
from trunkline.server.bodies import Intake
from trunkline.server.conversion import Processor, ProcessorOf, from_torch, to_torch
from trunkline.server.deadlines import TIMEOUT_HEADER, timeout_s
from trunkline.server.paths import VERSION
from trunkline.server.protocol import HEADER_LENGTH, InferRequest
from trunkline.server.replies import Reply
from trunkline.server.tensors import Tensor
from trunkline.server.waiting import Waits
from trunkline.server.work import Engine, Limits
from trunkline.store import StoredModel

_LENGTH: Final = HEADER_LENGTH.lower().encode()
_TIMEOUT: Final = TIMEOUT_HEADER.lower().encode()

_PREPROCESSED: Final = frozenset({"BYTES", "UINT8"})
"""What texts and images come as."""

BESIDE_BYTES: Final = 2**16
"""JSON longer than this is read in a thread, so that other requests are not kept waiting."""

BESIDE_ELEMENTS: Final = 2**13
"""More elements than this are written as JSON in a thread."""


class Inference:
    """Answers infer calls.

    Args:
        processors: the preprocessing of models that take texts or images.

    Attributes:
        intake: the memory for bodies.
    """

    def __init__(self, engine: Engine, limits: Limits, processors: ProcessorOf) -> None:
        self._engine = engine
        self._limits = limits
        self._processors = processors
        self.intake = Intake(limits)
        self._waits: Waits | None = None
        # large JSON takes many times its size in memory: one at a time, either way
        self._reading, self._writing = asyncio.Semaphore(1), asyncio.Semaphore(1)

    async def __call__(
        self, model: str, headers: Mapping[bytes, bytes], receive: Receive, arrival_s: float
    ) -> Reply:
        """Answer one call.

        Args:
            arrival_s: when it arrived, in seconds of `time.monotonic()`.

        Raises:
            TrunklineError: as `replies.of_error` explains.
            ClientGone: the client hung up.
        """
        stored = self._engine.stored(model)  # an unknown one is refused without its body
        with self.intake.hold() as held:
            body = await self.intake.body(headers, receive, held)
            request = await self._parse(body, headers)
            timeout = timeout_s(
                request.parameters, header_lines.text(headers, _TIMEOUT), self._limits
            )
            processor = None
            if may_be_preprocessed(stored, request):
                processor = await self._processor(stored, request)
            if processor is None:
                inputs: Mapping[str, torch.Tensor] = to_torch(request.inputs)
            else:
                given = {one.name: one.array for one in request.inputs}
                inputs = await asyncio.to_thread(processor.encode, given)
            deadline_s = arrival_s + timeout
            future = self._engine.submit(model, inputs, deadline_s)
            answer = await self.waits(asyncio.get_running_loop()).answer_of(
                future, deadline_s, receive
            )
            if processor is None:
                outputs = from_torch(answer.outputs)
            else:
                outputs = from_torch(await asyncio.to_thread(processor.decode, answer.outputs))
            return await self.render(model, request, outputs)

    def waits(self, loop: asyncio.AbstractEventLoop) -> Waits:
        """The waits of the event loop that runs."""
        if self._waits is None or self._waits.loop is not loop:
            self._waits = Waits(loop)
        return self._waits

    async def _parse(self, body: bytearray, headers: Mapping[bytes, bytes]) -> InferRequest:
        length, most = header_lines.text(headers, _LENGTH), self._limits.elements
        if len(body) <= BESIDE_BYTES or header_lines.whole(length or "") in range(BESIDE_BYTES):
            return protocol.parse(body, length, most)
        async with self._reading:
            return await asyncio.to_thread(protocol.parse, body, length, most)

    async def _processor(self, stored: StoredModel, request: InferRequest) -> Processor | None:
        """What stands between this request and its model, if anything does."""
        found = await asyncio.to_thread(self._processors, stored)
        names = frozenset(one.name for one in request.inputs)
        return found if found is not None and found.takes(names) else None

    def rendered(
        self, model: str, request: InferRequest, outputs: Sequence[Tensor]
    ) -> Reply | None:
        """The answer; None if so much JSON is better written in a thread (`render`)."""
        if not _is_short(request, outputs):
            return None
        return Reply(200, *protocol.render(model, VERSION, request, outputs))

    async def render(self, model: str, request: InferRequest, outputs: Sequence[Tensor]) -> Reply:
        """The answer."""
        if (reply := self.rendered(model, request, outputs)) is not None:
            return reply
        async with self._writing:
            pieces, headers = await asyncio.to_thread(
                protocol.render, model, VERSION, request, outputs
            )
        return Reply(200, pieces, headers)


def may_be_preprocessed(stored: StoredModel, request: InferRequest) -> bool:
    """Whether a model may have preprocessing for a request: texts and images."""
    return bool(stored.files) and any(one.datatype in _PREPROCESSED for one in request.inputs)


def _is_short(request: InferRequest, outputs: Sequence[Tensor]) -> bool:
    """Whether few enough elements are written as JSON."""
    if sum([one.array.size for one in outputs]) <= BESIDE_ELEMENTS:
        return True
    wanted = [(one, request.wants(one.name)) for one in outputs]
    written = [one.array.size for one, how in wanted if how is not None and not how.binary]
    return sum(written) <= BESIDE_ELEMENTS
