"""`trunkline serve` killed, as by a power failure, while `trunkline stream` receives a model."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.cli.commands import runner
from tests.server import odd_models
from tests.server.engines import FakeEngine
from tests.server.processes import Process, Site, serving, until
from tests.server.running import running
from trunkline.device import client as device_client
from trunkline.server.streams.calls import Streams
from trunkline.server.streams.offering import Offer
from trunkline.server.work import Limits
from trunkline.store import Store
from trunkline.store.registry import Patience

WIDTH, LAYERS = 128, 12
LINK = "--link=0.5Mbit"
"""Twelve layers of 66 kB take 13 s, so the first one is there long before the last."""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A server's store of one model, and an input in a file beside it."""
    made = Site(tmp_path / "site")
    made.add("m", "stack", size=WIDTH, width=WIDTH, layers=LAYERS)
    save_file({"x": torch.linspace(-1, 1, 2 * WIDTH).reshape(2, WIDTH)}, made.folder / "x")
    return made


@pytest.fixture
def device(tmp_path: Path) -> Store:
    """The device's own store, empty."""
    return Store.open(tmp_path / "device", create=True)


def words(site: Site, device: Store, url: str) -> list[str]:
    """The command that streams the model."""
    files = ["--input", str(site.folder / "x"), "--outputs", str(site.folder / "y")]
    return ["stream", url, "m", "--json", "--store", str(device.path), *files]


def check(site: Site, device: Store) -> None:
    """The output is bit-equal to that of the loaded model, and the device's store has it whole."""
    module = odd_models.stack(WIDTH, LAYERS)
    module.load_state_dict(site.weights["m"])
    with torch.inference_mode():
        expected = module(load_file(site.folder / "x")["x"])
    assert torch.equal(load_file(site.folder / "y")["output"], expected)
    assert device.names() == ["m"]
    assert not device.verify().problems


def kill_midway(server: Process, site: Site, device: Store) -> int:
    """Kill a server when a block has come to the device, and the last one has not; the bytes of the
    blocks that are there after the server's end."""
    blocks = site.store.model("m").blocks

    def came() -> int:
        there = set(device.digests())
        return sum(block.bytes for block in blocks if block.digest in there)

    until(lambda: came() > 0, 60)
    server.process.kill()
    server.process.wait(60)
    assert 0 < came() < site.store.model("m").bytes
    return came()


@pytest.fixture
def run(
    site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Runs a command with some patience, where the factory of the model is trusted."""
    monkeypatch.setenv("XDG_CONFIG_HOME", site.environment["XDG_CONFIG_HOME"])

    def call(tries: int, *command: str) -> tuple[int, str, str]:
        patience = Patience(tries=tries, first_s=0.01, most_s=0.2, read_s=60)
        monkeypatch.setattr(device_client, "PATIENCE", patience)
        return runner(capsys)(*command)

    return call


@pytest.fixture
def beside() -> Iterator[ThreadPoolExecutor]:
    """A thread that does something to the server meanwhile."""
    with ThreadPoolExecutor(1) as pool:
        yield pool


def test_a_server_that_is_killed_and_started_again(
    site: Site, device: Store, run: Callable[..., tuple[int, str, str]], beside: ThreadPoolExecutor
) -> None:
    """At the same port: the client opens another transfer of the rest, and ends as if nothing had
    happened, with no block sent twice but for the one that was under way."""
    with ExitStack() as servers:
        server = servers.enter_context(serving(site, LINK))

        def kill_and_start() -> str:
            kill_midway(server, site, device)
            return servers.enter_context(serving(site, f"--port={server.port}")).url

        again = beside.submit(kill_and_start)
        status, out, err = run(1000, *words(site, device, server.url))
        assert again.result() == server.url
    assert (status, err) == (0, "")
    report = json.loads(out)
    assert report["reopened"] == 1
    layers = report["layers"]
    assert sum(layer["sent_bytes"] for layer in layers) == report["bytes"]
    twice = report["received_bytes"] - report["bytes"]  # two headers, and a part of a block
    assert 0 < twice < max(layer["bytes"] for layer in layers) + 2 * 2**14
    check(site, device)


def test_a_server_that_stays_dead(
    site: Site, device: Store, run: Callable[..., tuple[int, str, str]], beside: ThreadPoolExecutor
) -> None:
    """One line, status 2, no output and no model in the store, when patience has ended; the blocks
    that came are there for the next try, which receives the others only."""
    with serving(site, LINK) as server:
        killed = beside.submit(kill_midway, server, site, device)
        status, out, err = run(3, *words(site, device, server.url))
        came = killed.result()
    assert (status, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert f"no answer from {server.url}" in err
    assert not (site.folder / "y").exists()
    assert device.names() == []
    assert not device.verify().problems

    streams = Streams(Offer(site.store), Limits())
    with running(FakeEngine({}), streams=streams) as there:
        status, out, err = run(3, *words(site, device, there.url))
    assert (status, err) == (0, "")
    report = json.loads(out)
    assert report["held_bytes"] >= came > 0
    assert report["received_bytes"] < report["bytes"] - came + 2**14
    check(site, device)
