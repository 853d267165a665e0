"""The load generator, a process of its own: `python -m benchmarks.servers.client JOB ANSWERS`.

An open loop replays a trace: every request is sent when the trace says, however many wait, and its
latency counts from that moment, also where the client itself was late (so waiting is never left
out). A closed loop has so many clients that each send the next request when they have their answer.
Both use one pool of connections without a limit.

The job and the answers are JSON; `Job` and `Answered` are what they hold.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import aiohttp

REFUSALS = (408, 429, 503, 504)
"""Statuses by which a server says that it will not answer this request."""

PATIENCE_S = 60.0
"""A client hangs up after this, unless the job says sooner."""


@dataclass(frozen=True)
class Asked:
    """A request: when, which model, which input, and how long its client can wait."""

    at_s: float
    model: str
    input: int
    wait_s: float


@dataclass(frozen=True)
class Job:
    """What a client does.

    Attributes:
        targets: by model, path and headers.
        inputs: the JSON of `inputs` of each input.
        trace: the requests of an open loop; for a closed loop, what its clients send in turn.
        clients: of a closed loop; 0 for an open one.
        seconds: of a closed loop.
        rounds: a closed loop of one client that sends every request once.
        hang_up: whether clients close the connection when their time is over.
    """

    url: str
    targets: dict[str, tuple[str, dict[str, str]]]
    inputs: list[str]
    trace: list[Asked]
    clients: int = 0
    seconds: float = 0.0
    rounds: bool = False
    hang_up: bool = False


@dataclass(frozen=True)
class Answered:
    """What became of a request; times are seconds since the job began.

    Attributes:
        at_s: when it was to be sent; latency counts from here.
        deadline_s: when its client's time is over.
        status: HTTP's; 0 where no answer came.
        outputs: the numbers of the first output, empty if there is none.
    """

    model: str
    input: int
    at_s: float
    sent_s: float
    done_s: float
    deadline_s: float
    status: int
    outputs: list[float]

    @property
    def in_time(self) -> bool:
        return self.status == 200 and self.done_s <= self.deadline_s

    @property
    def refused(self) -> bool:
        return self.status in REFUSALS

    @property
    def failed(self) -> bool:
        return self.status != 200 and not self.refused


class Client:
    """Sends requests and notes what comes."""

    def __init__(self, job: Job, session: aiohttp.ClientSession) -> None:
        self._job, self._session = job, session
        self._begun = time.monotonic()
        self.answers: list[Answered] = []

    def now(self) -> float:
        return time.monotonic() - self._begun

    async def send(self, asked: Asked, at_s: float) -> None:
        path, headers = self._job.targets[asked.model]
        deadline_s = at_s + asked.wait_s
        sent_s = self.now()
        left_s = max(deadline_s - sent_s, 0.001)
        parameters = json.dumps({"model": asked.model, "timeout": int(left_s * 1e6)})
        body = f'{{"parameters":{parameters},"inputs":{self._job.inputs[asked.input]}}}'
        limit = aiohttp.ClientTimeout(left_s if self._job.hang_up else PATIENCE_S)
        status, raw = 0, b""
        try:
            async with self._session.post(
                self._job.url + path,
                data=body.encode(),
                headers={"Content-Type": "application/json", **headers},
                timeout=limit,
            ) as response:
                raw = await response.read()
                status = response.status
        except (aiohttp.ClientError, TimeoutError):
            pass
        done_s = self.now()
        outputs = json.loads(raw)["outputs"][0]["data"] if status == 200 else []
        self.answers.append(
            Answered(asked.model, asked.input, at_s, sent_s, done_s, deadline_s, status, outputs)
        )

    async def open_loop(self) -> None:
        """Send each at its time, wait for all."""
        tasks = []
        for asked in self._job.trace:
            await asyncio.sleep(asked.at_s - self.now())
            tasks.append(asyncio.create_task(self.send(asked, asked.at_s)))
        await asyncio.gather(*tasks)

    async def closed_loop(self) -> None:
        """Every client sends when it has its answer."""
        order = list(self._job.trace)
        if self._job.rounds:
            for asked in order:
                await self.send(asked, self.now())
            return
        random.Random(0).shuffle(order)

        async def one(first: int) -> None:
            at = first
            while self.now() < self._job.seconds:
                await self.send(order[at % len(order)], self.now())
                at += self._job.clients

        await asyncio.gather(*(one(first) for first in range(self._job.clients)))


async def carry_out(job: Job) -> list[Answered]:
    """Do a job."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:
        client = Client(job, session)
        await (client.closed_loop() if job.clients else client.open_loop())
        return client.answers


def read(path: Path) -> list[Answered]:
    """The answers that a client wrote."""
    return [Answered(**one) for one in json.loads(path.read_text())]


def main() -> int:
    given: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text())
    job = Job(**{**given, "trace": [Asked(**one) for one in given["trace"]]})
    answers = asyncio.run(carry_out(job))
    Path(sys.argv[2]).write_text(json.dumps([asdict(one) for one in answers]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
