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
from trunkline.server.waiting import answer_of
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
    """

    def __init__(self, engine: Engine, limits: Limits, processors: ProcessorOf) -> None:
        self._engine = engine
        self._limits = limits
        self._processors = processors
        self._intake = Intake(limits)
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
        async with self._intake.body(headers, receive) as body:
            request = await self._parse(body, headers)
            timeout = timeout_s(
                request.parameters, header_lines.text(headers, _TIMEOUT), self._limits
            )
            processor = await self._processor(stored, request)
            inputs = await self._encode(processor, request)
            deadline_s = arrival_s + timeout
            future = self._engine.submit(model, inputs, deadline_s)
            answer = await answer_of(future, deadline_s, receive)
            outputs = await self._decode(processor, answer.outputs)
            return await self._render(model, request, outputs)

    async def _parse(self, body: bytearray, headers: Mapping[bytes, bytes]) -> InferRequest:
        length, most = header_lines.text(headers, _LENGTH), self._limits.elements
        if len(body) <= BESIDE_BYTES or header_lines.whole(length or "") in range(BESIDE_BYTES):
            return protocol.parse(body, length, most)
        async with self._reading:
            return await asyncio.to_thread(protocol.parse, body, length, most)

    async def _processor(self, stored: StoredModel, request: InferRequest) -> Processor | None:
        """What stands between this request and its model, if anything does."""
        kinds = {one.datatype for one in request.inputs}
        if not stored.files or kinds.isdisjoint(_PREPROCESSED):
            return None
        found = await asyncio.to_thread(self._processors, stored)
        names = frozenset(one.name for one in request.inputs)
        return found if found is not None and found.takes(names) else None

    async def _encode(
        self, processor: Processor | None, request: InferRequest
    ) -> Mapping[str, torch.Tensor]:
        if processor is None:
            return to_torch(request.inputs)
        given = {one.name: one.array for one in request.inputs}
        return await asyncio.to_thread(processor.encode, given)

    async def _decode(
        self, processor: Processor | None, outputs: Mapping[str, torch.Tensor]
    ) -> Sequence[Tensor]:
        if processor is None:
            return from_torch(outputs)
        return from_torch(await asyncio.to_thread(processor.decode, outputs))

    async def _render(self, model: str, request: InferRequest, outputs: Sequence[Tensor]) -> Reply:
        written = sum(
            one.array.size
            for one in outputs
            if (wanted := request.wants(one.name)) and not wanted.binary
        )
        if written <= BESIDE_ELEMENTS:
            pieces, headers = protocol.render(model, VERSION, request, outputs)
        else:
            async with self._writing:
                pieces, headers = await asyncio.to_thread(
                    protocol.render, model, VERSION, request, outputs
                )
        return Reply(200, pieces, headers)
