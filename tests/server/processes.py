"""`trunkline serve` as a process of its own: started, asked, looked at from outside, ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
import urllib3
from prometheus_client.parser import text_string_to_metric_families

from tests.server import odd_models
from trunkline.runtime import state_dict_source
from trunkline.store import Architecture, InputSpec, Store
from trunkline.store.trust import trust

Weights = dict[str, torch.Tensor]


class Site:
    """A store in a folder, and a configuration that trusts the factories of `odd_models`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = Store.open(folder / "store", create=True)
        self.weights: dict[str, Weights] = {}
        self.environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "XDG_CONFIG_HOME": str(folder / "configuration"),
            "TRUNKLINE_STORE": str(folder / "store"),
        }
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("XDG_CONFIG_HOME", self.environment["XDG_CONFIG_HOME"])
            names = ("sleeper", "obedient", "stack")
            trust(f"{odd_models.__name__}:{name}" for name in names)

    def add(
        self,
        name: str,
        factory: str,
        size: int = 4,
        shared: Mapping[str, torch.Tensor] | None = None,
        **kwargs: Any,
    ) -> None:
        """Add a model with seeded weights, but for those that are `shared`; it takes (n, size)."""
        made: Weights = getattr(odd_models, factory)(**kwargs).state_dict()
        generator = torch.Generator().manual_seed(len(self.weights))
        for key, value in made.items():
            made[key] = torch.rand(value.shape, generator=generator) / value.shape[-1]
        made.update(shared or {})
        self.weights[name] = made
        architecture = Architecture("factory", f"{odd_models.__name__}:{factory}", kwargs)
        source = state_dict_source(made, architecture=architecture, input=InputSpec((size,)))
        self.store.add(name, source, replace=True)

    def answer(self, name: str, x: Sequence[float]) -> list[float]:
        """What a model of one layer answers to one sample."""
        made = self.weights[name]
        found: list[float] = (
            made["weight"] @ torch.tensor([*map(float, x)]) + made["bias"]
        ).tolist()
        return found

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Another process's `trunkline ...` on this store."""
        command = [sys.executable, "-m", "trunkline", *words]
        return subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=120, check=False
        )


@dataclass
class Process:
    """A server that runs."""

    site: Site
    process: subprocess.Popen[str]
    url: str
    http: urllib3.PoolManager = field(
        default_factory=lambda: urllib3.PoolManager(
            maxsize=4, retries=False, timeout=urllib3.Timeout(60)
        )
    )

    @property
    def address(self) -> str:
        """Host and port."""
        return self.url.removeprefix("http://")

    @property
    def port(self) -> int:
        """Its port."""
        return int(self.address.rpartition(":")[2])

    def ask(
        self, model: str, x: Sequence[float] = (1, 2, 3, 4), timeout_s: float = 30
    ) -> tuple[int, Any]:
        """Status, and the output or the error, of one sample in one request."""
        one = {"name": "x", "datatype": "FP32", "shape": [1, len(x)], "data": list(x)}
        found = self.http.request(
            "POST",
            f"{self.url}/v2/models/{model}/infer",
            body=json.dumps({"inputs": [one], "parameters": {"timeout": int(timeout_s * 1e6)}}),
        )
        document = found.json()
        if found.status == 200:
            return 200, document["outputs"][0]["data"]
        return found.status, document["error"]

    def serves(self, model: str) -> bool:
        """Whether it answers, and rightly, for a model of one layer of four."""
        status, found = self.ask(model)
        assert status != 200 or found == pytest.approx(
            self.site.answer(model, (1, 2, 3, 4)), rel=1e-5
        )
        return status == 200

    def metrics(self) -> dict[str, float]:
        """Its metrics: a name, with the labels' values after it, and its value."""
        text = self.http.request("GET", f"{self.url}/metrics").data.decode()
        return {
            " ".join((sample.name.removeprefix("trunkline_"), *sample.labels.values())): (
                sample.value
            )
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def balance(self) -> tuple[float, float, float, float]:
        """Requests received, answered, refused and in flight."""
        found = self.metrics()
        return (
            found["requests_received_total"],
            sum(value for key, value in found.items() if key.startswith("requests_answered_total")),
            sum(value for key, value in found.items() if key.startswith("requests_refused_total")),
            found["requests_in_flight"],
        )

    def memory(self, what: str = "VmRSS") -> int:
        """Its resident memory in bytes, as the system sees it; `VmHWM` for the most it had."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return 1024 * int(next(one for one in lines if one.startswith(what)).split()[1])

    def files(self) -> int:
        """How many files and connections it has open."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def stop(self) -> int:
        """Tell it to stop; its exit status."""
        self.http.clear()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


@contextmanager
def serving(site: Site, *options: str, **how: Any) -> Iterator[Process]:
    """`trunkline serve` on any free port, with its log beside the store."""
    log = site.folder / "log"
    with log.open("a") as file:
        how = {"stderr": file, "env": site.environment, **how}
        command = [sys.executable, "-m", "trunkline", "serve", "--port=0", *options]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **how)
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        assert " at http://" in said, log.read_text()
        yield Process(site, process, said.split(" at ")[1].strip())
    finally:
        process.kill()
        process.communicate()


def until(holds: Callable[[], bool], seconds: float = 30) -> None:
    """Wait until something holds."""
    ends = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends, "it never held"
        time.sleep(0.05)
