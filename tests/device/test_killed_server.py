"""`trunkline serve` killed, as by a power failure, while `trunkline stream` receives a model."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
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
LINK = "--link=2Mbit"
"""Twelve layers of 66 kB take 3.2 s, so the first ones are there long before the last."""


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
    """Kill a server when some blocks have come to the device, and the last one has not; their bytes
    there after the server's end."""
    blocks = site.store.model("m").blocks

    def came() -> int:
        there = set(device.digests())
        return sum(block.bytes for block in blocks if block.digest in there)

    until(lambda: came() > 0)
    server.process.kill()
    server.process.wait(60)
    assert 0 < came() < site.store.model("m").bytes
    return came()


def test_a_server_that_is_killed_and_started_again(site: Site, device: Store) -> None:
    """At the same port: the client opens another transfer of the rest, and ends as if nothing had
    happened, with no block sent twice but for the one that was under way."""
    with serving(site, LINK) as server:
        client = subprocess.Popen(
            [sys.executable, "-m", "trunkline", *words(site, device, server.url)],
            env=site.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            kill_midway(server, site, device)
            with serving(site, f"--port={server.port}") as again:
                out, err = client.communicate(timeout=120)
                assert again.url == server.url
        finally:
            client.kill()
            client.communicate()
    assert (client.returncode, err) == (0, "")
    report = json.loads(out)
    assert report["reopened"] == 1
    layers = report["layers"]
    assert sum(layer["sent_bytes"] for layer in layers) == report["bytes"]
    twice = report["received_bytes"] - report["bytes"]  # two headers, and a part of a block
    assert 0 < twice < max(layer["bytes"] for layer in layers) + 2 * 2**14
    check(site, device)


def test_a_server_that_stays_dead(
    site: Site, device: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, status 2, no output and no model in the store, when patience has ended; the blocks
    that came are there for the next try, which receives the others only."""
    monkeypatch.setenv("XDG_CONFIG_HOME", site.environment["XDG_CONFIG_HOME"])
    eager = Patience(tries=3, first_s=0.01, most_s=0.1, read_s=20)
    monkeypatch.setattr(device_client, "PATIENCE", eager)
    run = runner(capsys)
    came: list[int] = []
    with serving(site, LINK) as server:
        killer = threading.Thread(target=lambda: came.append(kill_midway(server, site, device)))
        killer.start()
        status, out, err = run(*words(site, device, server.url))
        killer.join()
    assert (status, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert f"no answer from {server.url}" in err
    assert not (site.folder / "y").exists()
    assert device.names() == []
    assert not device.verify().problems

    streams = Streams(Offer(site.store), Limits())
    with running(FakeEngine({}), streams=streams) as there:
        status, out, err = run(*words(site, device, there.url))
    assert (status, err) == (0, "")
    report = json.loads(out)
    assert report["held_bytes"] >= came[0] > 0
    assert report["received_bytes"] < report["bytes"] - came[0] + 2**14
    check(site, device)
