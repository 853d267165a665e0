"""Requests at a steady rate, whatever becomes of them, by Triton's asynchronous client."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
import numpy as np
import tritonclient.http as triton
from tritonclient.http import aio
from tritonclient.utils import InferenceServerException

from tests.server.processes import Site

BROKEN = "connection"
"""The status of a request whose connection broke."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a request: when it was sent, when it ended, and with which status."""

    model: str
    sent_s: float
    ended_s: float
    status: str


class Traffic:
    """Sends requests of one sample each to models at random.

    Every answer is compared with what the model says; `wrong` holds what was not it.

    Args:
        timeout_s: the deadline of each.
    """

    def __init__(
        self, site: Site, address: str, models: Sequence[str], rate: float, timeout_s: float
    ) -> None:
        self._site = site
        self._address = address
        self._models = models
        self._rate = rate
        self._timeout_s = timeout_s
        self._chance = random.Random(0)
        self.outcomes: list[Outcome] = []
        self.wrong: list[str] = []
        self.sent = 0
        self.stopped = False

    def run(self, seconds: float) -> None:
        """Send for so long, or until `stop`, and wait for the last answer."""
        asyncio.run(self._run(seconds))

    def stop(self) -> None:
        """Send no more; from any thread."""
        self.stopped = True

    @property
    def statuses(self) -> Counter[str]:
        """How many requests ended with each status."""
        return Counter(one.status for one in self.outcomes)

    def good_per_s(self) -> float:
        """Answers in time by second of sending."""
        first = min(one.sent_s for one in self.outcomes)
        last = max(one.ended_s for one in self.outcomes)
        return self.statuses["200"] / (last - first)

    async def _run(self, seconds: float) -> None:
        began = time.monotonic()
        # conn_timeout of aiohttp is the whole request's: nobody gives up before the server does
        async with aio.InferenceServerClient(
            self._address, conn_limit=1000, conn_timeout=self._timeout_s + 60
        ) as client:
            tasks = []
            while not self.stopped and (now := time.monotonic()) < began + seconds:
                while self.sent < (now - began) * self._rate:
                    tasks.append(asyncio.create_task(self._send(client, self.sent)))
                    self.sent += 1
                await asyncio.sleep(0.005)
            await asyncio.gather(*tasks)

    async def _send(self, client: aio.InferenceServerClient, number: int) -> None:
        model = self._chance.choice(self._models)
        x = np.array([[number, 1, 2, 3]], np.float32)
        tensor = triton.InferInput("x", [1, 4], "FP32")
        tensor.set_data_from_numpy(x)
        sent = time.monotonic()
        try:
            answer = await client.infer(
                model, [tensor], request_id=str(number), timeout=int(self._timeout_s * 1e6)
            )
            self._compare(model, number, x, answer)
            status = "200"
        except InferenceServerException as error:
            status = str(error.status())
        except (aiohttp.ClientError, OSError):
            status = BROKEN
        self.outcomes.append(Outcome(model, sent, time.monotonic(), status))

    def _compare(self, model: str, number: int, x: np.ndarray, answer: Any) -> None:
        document = answer.get_response()
        wanted = self._site.answer(model, x[0])
        found = answer.as_numpy(document["outputs"][0]["name"])[0]
        if document["id"] != str(number) or not np.allclose(found, wanted, rtol=1e-4):
            self.wrong.append(f"{model} {number}: {document['id']} {found}, not {wanted}")
