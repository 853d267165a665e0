"""The serving benchmark's own parts: what it counts, and from when."""

from __future__ import annotations

import asyncio
import json
import math

import pytest
import torch
from aiohttp import web

from benchmarks.servers.client import Answered, Asked, Job, carry_out
from benchmarks.servers.comparing import compared
from benchmarks.servers.own import Own, OwnUnlimited
from benchmarks.servers.peers import LitServe, RayServe
from benchmarks.servers.replay import Outcome, right, summary
from benchmarks.serving_peers.gpt2 import gpt2


def answered(status: int = 200, done_s: float = 1.5, deadline_s: float = 2.0) -> Answered:
    """A request that was to go at 1 s and went at 1.2 s."""
    return Answered("a", 0, 1.0, 1.2, done_s, deadline_s, status, [1.0])


def outcome(in_time: int, bytes_moved: int | None) -> Outcome:
    """Ten requests in ten seconds, of which the others were late."""
    return Outcome(10.0, 10, in_time, 10 - in_time, 0, 0, 0, 0.1, 0.2, 0.0, bytes_moved)


def test_each_request_is_counted_once() -> None:
    """In time, late, refused and failed make up what was sent; late is after the deadline."""
    answers = [answered(), answered(done_s=2.5), answered(503), answered(500), answered(0)]
    found = summary(answers, {"a": [[1.0]]}, 4.0, None)
    assert (found.sent, found.in_time, found.late, found.refused, found.failed) == (5, 1, 1, 1, 2)
    assert found.goodput == 0.25  # one in four seconds


def test_latency_counts_from_the_trace() -> None:
    """A client that sends late does not make the server look faster."""
    found = summary([answered(), answered()], {"a": [[1.0]]}, 4.0, None)
    assert found.median_s == pytest.approx(0.5)  # 1.5 - 1.0, not 1.5 - 1.2
    assert found.lag_s == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("outputs", "good"), [([100.0, 1.05], True), ([100.0, 1.2], False), ([100.0], False)]
)
def test_an_answer_is_right_up_to_rounding(outputs: list[float], good: bool) -> None:
    """A thousandth of the largest output is allowed (0.1 here), and no other length."""
    assert right(outputs, [100.0, 1.0]) is good


def test_a_wrong_answer_is_counted() -> None:
    """An answer for another model's weights does not pass."""
    assert summary([answered(), answered()], {"a": [[2.0]]}, 4.0, None).wrong == 2


def test_the_open_loop_does_not_wait_for_answers() -> None:
    """All requests are sent although the first is answered only when the last has come."""
    bodies = []

    async def infer(request: web.Request) -> web.Response:
        bodies.append(await request.json())
        if len(bodies) == 3:
            everyone.set()
        await everyone.wait()
        return web.json_response({"outputs": [{"data": [1.0]}]})

    async def go() -> list[Answered]:
        nonlocal everyone
        everyone = asyncio.Event()
        application = web.Application()
        application.router.add_post("/infer", infer)
        runner = web.AppRunner(application)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        trace = [Asked(0.0, "a", 0, 30.0) for _ in range(3)]
        job = Job(f"http://{host}:{port}", {"a": ("/infer", {})}, [json.dumps([])], trace)
        try:
            return await asyncio.wait_for(carry_out(job), 30.0)
        finally:
            await runner.cleanup()

    everyone: asyncio.Event
    answers = asyncio.run(go())
    assert [one.status for one in answers] == [200, 200, 200]
    # The time that is left is told in microseconds, and is no more than the wait.
    assert all(0 < body["parameters"]["timeout"] <= 30_000_000 for body in bodies)


def test_ratios_are_against_the_best_peer() -> None:
    """Goodput counts against the peer with most, bytes against the one that moved fewest."""
    found = {
        ("poisson", 0.5): {
            Own: [outcome(10, 100)],
            OwnUnlimited: [outcome(10, 0)],
            LitServe: [outcome(5, 300)],
            RayServe: [outcome(4, 200)],
        },
        ("poisson", 1.5): {
            Own: [outcome(6, 100)],
            OwnUnlimited: [outcome(8, 0)],
            LitServe: [outcome(3, 300)],
            RayServe: [outcome(1, 200)],
        },
    }
    largest, least, moved, limit = (one.value for one in compared("some", found))
    assert largest == pytest.approx(10 / 5)
    assert least == pytest.approx(2.0)  # 10 / 5 and 6 / 3
    assert moved == pytest.approx(0.5)
    assert limit == pytest.approx(6 / 8)


def test_bytes_are_unknown_where_ours_are() -> None:
    """A figure that cannot be read is no reached target."""
    found = {("poisson", 1.0): {Own: [outcome(10, None)], LitServe: [outcome(5, 300)]}}
    moved = compared("some", found)[2]
    assert math.isnan(moved.value)
    assert not moved.reached


def test_the_text_network_has_the_size_of_gpt_2() -> None:
    """GPT-2 small has 124,439,808 parameters; ten outputs of width 768 come on top."""
    with torch.device("meta"):
        assert sum(one.numel() for one in gpt2(10).parameters()) == 124_439_808 + 7680
