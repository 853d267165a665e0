"""Load on a server that runs as a process: too much of it, while it is killed, stopped, changed."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.server.processes import Site, serving, until
from tests.server.traffic import BROKEN, Traffic

MODELS = tuple("abcd")
FORWARD_S = 0.03
ONE_AT_A_TIME = ("--max-batch=1",)
CAPACITY = 1 / FORWARD_S
"""Requests a second that the machine's other work cannot change much: forwards sleep."""

SECONDS = float(os.environ.get("TRUNKLINE_OVERLOAD_S", "4"))
"""How long to send three times what can be answered; 60 for the whole test."""

HONEST = {"200", "503", "504"}
"""Answered, refused, late."""

GROWTH_BYTES = 24 * 2**20


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Four models of 80 bytes that take 30 ms each."""
    made = Site(tmp_path_factory.mktemp("site"))
    for name in MODELS:
        made.add(name, "sleeper", seconds=FORWARD_S)
    return made


@contextmanager
def sending(traffic: Traffic) -> Iterator[None]:
    """Send in another thread until the context ends; then everything has ended."""
    thread = threading.Thread(target=traffic.run, args=(300,))
    thread.start()
    try:
        until(lambda: len(traffic.outcomes) > 30)
        yield
    finally:
        traffic.stop()
        thread.join(120)
    assert not thread.is_alive()
    assert len(traffic.outcomes) == traffic.sent
    assert traffic.wrong == []


@pytest.mark.slow
def test_three_times_what_can_be_answered(site: Site) -> None:
    """Goodput stays within 90 % of what it is at capacity, memory and open files do not grow, every
    request is answered or refused once, and what the server counts is what its clients saw."""
    with serving(site, *ONE_AT_A_TIME) as server:

        def send(rate: float, seconds: float) -> Traffic:
            found = Traffic(site, server.address, MODELS, rate, 1.0)
            found.run(seconds)
            assert found.wrong == []
            assert len(found.outcomes) == found.sent
            assert found.statuses.keys() <= HONEST
            return found

        parts = [send(CAPACITY, 2), send(3 * CAPACITY, 1.5)]
        memory, files = server.memory(), server.files()
        parts.append(send(3 * CAPACITY, SECONDS))
        assert parts[-1].good_per_s() >= 0.9 * max(one.good_per_s() for one in parts)
        assert server.memory() - memory < GROWTH_BYTES
        until(lambda: server.files() <= files + 2)
        received, answered, refused, in_flight = server.balance()
        assert (received, in_flight) == (sum(one.sent for one in parts), 0)
        assert received == answered + refused
        # an answer that came as the deadline passed may have found its client told so already
        statuses = sum((one.statuses for one in parts), start=Counter())
        assert statuses["200"] <= answered <= statuses["200"] + statuses["504"]


@pytest.mark.slow
def test_killed_and_stopped_under_load(site: Site) -> None:
    """Killed, it leaves clients with right answers, refusals or broken connections, and the store
    as it was. A new server serves it; at SIGTERM it answers or refuses whatever was sent before
    (only what is sent later may find nobody), and ends with status 0."""
    with serving(site, *ONE_AT_A_TIME) as server:
        traffic = Traffic(site, server.address, MODELS, 3 * CAPACITY, 1.0)
        with sending(traffic):
            server.process.send_signal(signal.SIGKILL)
            until(lambda: traffic.statuses[BROKEN] > 10)
        assert traffic.statuses.keys() <= HONEST | {BROKEN}
        assert traffic.statuses["200"] > 0
    assert site.store.verify().problems == ()
    with serving(site, *ONE_AT_A_TIME) as server:
        assert all(server.serves(name) for name in MODELS)
        traffic = Traffic(site, server.address, MODELS, 3 * CAPACITY, 1.0)
        with sending(traffic):
            told = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            assert server.process.wait(60) == 0
        assert {one.status for one in traffic.outcomes if one.sent_s < told} <= HONEST
        assert "200" in {one.status for one in traffic.outcomes if one.ended_s > told}
        assert traffic.statuses.keys() <= HONEST | {BROKEN}


@pytest.mark.slow
def test_models_that_come_and_go_under_load(site: Site, tmp_path: Path) -> None:
    """Other processes import a model, replace it, remove it and collect garbage: each answer is of
    a version that the store had, and requests for the other models are answered all along."""
    x = (1.0, 2.0, 3.0, 4.0)
    save_file({"weight": 2 * torch.eye(4), "bias": torch.zeros(4)}, tmp_path / "new.safetensors")
    factory = ("--factory", "tests.server.odd_models:obedient", "--input", "4", "--replace")
    with serving(site, "--memory=170") as server:  # two models: they leave and come back
        traffic = Traffic(site, server.address, MODELS, CAPACITY / 4, 10.0)
        with sending(traffic):
            assert server.ask("new")[0] == 404
            site.add("new", "obedient")
            until(lambda: server.serves("new"))
            done = site.run("import", str(tmp_path / "new.safetensors"), *factory)
            assert done.returncode == 0, done.stderr
            versions = {1: site.answer("new", x), 2: [2 * value for value in x]}
            found = versions[1]
            while found != pytest.approx(versions[2], rel=1e-5):
                assert found == pytest.approx(versions[1], rel=1e-5)
                status, found = server.ask("new", x)
                assert status == 200
            site.store.remove("new")
            assert site.store.gc().blobs > 0
            until(lambda: server.ask("new")[0] == 404)
        assert traffic.statuses.keys() == {"200"}
        assert all(server.serves(name) for name in MODELS)
