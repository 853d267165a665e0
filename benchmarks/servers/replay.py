"""A trace against a server: run the client, and sum up what came back."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median, quantiles

from benchmarks.servers import client
from benchmarks.servers.client import Answered, Asked, Job
from benchmarks.servers.server import REPOSITORY, Server
from trunkline.experiments.traces import Arrival

DATATYPES = {"float32": "FP32", "int64": "INT64"}
LONG_S = client.PATIENCE_S
WARM_UPS = 5
TOLERANCE = 1e-3
"""Of an output, beside the largest of its request: batches and vector units round differently."""


@dataclass(frozen=True)
class Outcome:
    """What became of a trace.

    Attributes:
        seconds: how long requests came.
        sent, in_time, late, refused, failed: requests; the last four make up the first.
        wrong: answers that are not what a model loaded the usual way answers.
        median_s, p99_s: latencies of all answers, from the moment the trace says.
        lag_s: by how much the client itself was late, 99th percentile.
        bytes_moved: by the server meanwhile, None if it does not say.
    """

    seconds: float
    sent: int
    in_time: int
    late: int
    refused: int
    failed: int
    wrong: int
    median_s: float
    p99_s: float
    lag_s: float
    bytes_moved: int | None

    @property
    def goodput(self) -> float:
        """Requests answered in time, per second."""
        return self.in_time / self.seconds

    @property
    def share(self) -> float:
        """Of the requests, those answered in time."""
        return self.in_time / self.sent if self.sent else math.nan


def replay(
    server: Server, trace: Sequence[Arrival], seconds: float, *, hang_up: bool = False
) -> Outcome:
    """Send a trace to a running server."""
    names = [one.name for one in server.terms.library.variants]
    count = len(server.terms.library.inputs)
    asked = [
        Asked(one.arrival_s, names[one.model], i % count, one.deadline_s - one.arrival_s)
        for i, one in enumerate(trace)
    ]
    before = server.bytes_moved()
    answers = run(server, asked, hang_up=hang_up)
    after = server.bytes_moved()
    moved = None if before is None or after is None else after - before
    return summary(answers, server.terms.library.expected, seconds, moved)


def warm_up(server: Server) -> None:
    """Ask every model once, so that nothing is met for the first time when it counts.

    A server may refuse a model that is too slow the first time; it is asked again, up to 5 times.
    """
    names = [one.name for one in server.terms.library.variants]
    for _ in range(WARM_UPS):
        asked = [Asked(0.0, name, 0, LONG_S) for name in names]
        answers = run(server, asked, clients=1, rounds=True)
        names = [one.model for one in answers if one.status != 200]
        if not names:
            return
    statuses = sorted({one.status for one in answers})
    raise RuntimeError(f"{server.name}: status {statuses} for {', '.join(names)}; see {server.log}")


def capacity(server: Server, clients: int, seconds: float) -> float:
    """Requests per second of a closed loop that asks all models alike."""
    names = [one.name for one in server.terms.library.variants]
    count = len(server.terms.library.inputs)
    asked = [Asked(0.0, name, i, LONG_S) for name in names for i in range(count)]
    answers = run(server, asked, clients=clients, seconds=seconds)
    answered = [one.done_s for one in answers if one.status == 200]
    if len(answered) < 2:
        raise RuntimeError(f"{server.name}: a closed loop got no answers")
    return len(answered) / max(answered)


def run(
    server: Server,
    trace: list[Asked],
    *,
    clients: int = 0,
    seconds: float = 0.0,
    rounds: bool = False,
    hang_up: bool = False,
) -> list[Answered]:
    """Let the client do a job; `rounds`: every request of the trace once, one after another."""
    library = server.terms.library
    spec = library.variants[0].input
    shared = {"name": server.input_name(), "datatype": DATATYPES[spec.dtype]}
    inputs = [
        json.dumps([{**shared, "shape": [1, *spec.shape], "data": one}], separators=(",", ":"))
        for one in library.inputs
    ]
    targets = {one.name: server.target(one.name) for one in library.variants}
    job = Job(server.url, targets, inputs, trace, clients, seconds, rounds, hang_up)
    paths = [server.terms.folder / name for name in ("job.json", "answers.json")]
    paths[0].write_text(json.dumps(asdict(job)))
    command = [sys.executable, "-m", "benchmarks.servers.client", *map(str, paths)]
    subprocess.run(command, cwd=REPOSITORY, check=True)
    return client.read(paths[1])


def summary(
    answers: Sequence[Answered],
    expected: dict[str, list[list[float]]],
    seconds: float,
    bytes_moved: int | None,
) -> Outcome:
    """Count what came back."""
    answered = [one for one in answers if one.status == 200]
    latencies = [one.done_s - one.at_s for one in answered]
    lags = [one.sent_s - one.at_s for one in answers]
    in_time = sum(one.in_time for one in answered)
    return Outcome(
        seconds=seconds,
        sent=len(answers),
        in_time=in_time,
        late=len(answered) - in_time,
        refused=sum(one.refused for one in answers),
        failed=sum(one.failed for one in answers),
        wrong=sum(not right(one.outputs, expected[one.model][one.input]) for one in answered),
        median_s=median(latencies) if latencies else math.nan,
        p99_s=percentile_99(latencies),
        lag_s=percentile_99(lags),
        bytes_moved=bytes_moved,
    )


def right(outputs: Sequence[float], expected: Sequence[float]) -> bool:
    """Whether an answer is the expected one up to rounding."""
    allowed = TOLERANCE * max(map(abs, expected))
    return len(outputs) == len(expected) and all(
        abs(a - b) <= allowed for a, b in zip(outputs, expected, strict=True)
    )


def percentile_99(values: Sequence[float]) -> float:
    """NaN of too few."""
    return quantiles(values, n=100, method="inclusive")[98] if len(values) > 1 else math.nan
