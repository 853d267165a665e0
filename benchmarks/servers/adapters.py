"""The servers of the benchmark: how each is started, asked, and stopped.

All serve the same models with the same threads, and take the same JSON bodies.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import urllib3

from benchmarks.servers import environments
from benchmarks.servers.models import Library
from trunkline.runtime.threads import SPIN_ROUNDS

REPOSITORY = Path(__file__).resolve().parents[2]
PEER_FILES = REPOSITORY / "benchmarks" / "serving_peers"
START_S, STOP_S = 180.0, 30.0
_HTTP = urllib3.PoolManager()


@dataclass(frozen=True)
class Terms:
    """What holds for every server.

    Attributes:
        folder: for logs and configurations.
        peers: the folder of the peers' environments.
        threads: that PyTorch computes with.
        batch, batch_wait_s: of the peers: the most requests in a batch, and how long one waits
            for more.
        queue: the most requests that a peer holds where it has such a limit.
        queue_timeout_s: after which a peer gives a request up where it can; None for never.
        loading: how a peer brings weights in (`benchmarks/serving_peers/lru.py`).
    """

    library: Library
    folder: Path
    peers: Path
    threads: int
    batch: int = 4
    batch_wait_s: float = 0.002
    queue: int = 1000
    queue_timeout_s: float | None = None
    loading: str = "reuse"


class Server:
    """One server process (and its children)."""

    name: ClassVar[str]
    ready_path: ClassVar[str]

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = terms.folder / f"{type(self).__name__}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def command(self) -> Sequence[str]:
        """What starts it."""
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        """Beyond this process's own."""
        return {}

    def target(self, model: str) -> tuple[str, dict[str, str]]:
        """Path and headers of a request for a model."""
        return f"/v2/models/{model}/infer", {}

    def input_name(self) -> str:
        """What it calls the models' input."""
        return "input"

    def bytes_moved(self) -> int | None:
        """Bytes loaded since the start, None if that is not known."""
        raise NotImplementedError

    def start(self) -> None:
        """Start it and wait until it takes requests (RuntimeError if it does not)."""
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": str(self.terms.threads),
            "GOMP_SPINCOUNT": str(SPIN_ROUNDS),
            **self.environment(),
        }
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                list(self.command()),
                cwd=REPOSITORY,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        end = time.monotonic() + START_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > end:
                self.stop()
                tail = self.log.read_text(errors="replace")[-2000:]
                raise RuntimeError(f"{self.name} did not start; {self.log} ends:\n{tail}")
            time.sleep(0.1)

    def _answers(self) -> bool:
        try:
            return _HTTP.request("GET", self.url + self.ready_path, retries=False).status == 200
        except urllib3.exceptions.HTTPError:
            return False

    def stop(self) -> None:
        """End it, by force what does not end by itself."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_S)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # a session of its own: it and its children
        process.wait()

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Own(Server):
    """`trunkline serve`, memory for two whole models."""

    name = "trunkline"
    ready_path = "/v2/health/ready"
    options: ClassVar[tuple[str, ...]] = ()

    @property
    def memory_bytes(self) -> int:
        return self.terms.library.memory_bytes

    def command(self) -> Sequence[str]:
        serve = [sys.executable, "-m", "trunkline", "serve", "--store"]
        serve += [str(self.terms.library.store), "--port", str(self.port)]
        return [*serve, "--memory", str(self.memory_bytes), *self.options]

    def environment(self) -> dict[str, str]:
        """The list of trusted factories is the benchmark's own."""
        trusted = self.terms.folder / "config"
        path = trusted / "trunkline" / "trusted.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        names = {f"{one.module}:{one.factory}" for one in self.terms.library.variants}
        factories = [{"factory": name} for name in sorted(names)]
        path.write_text(json.dumps({"format": "trunkline/trust/1", "factories": factories}))
        paths = f"{REPOSITORY / 'src'}{os.pathsep}{REPOSITORY}"
        return {"XDG_CONFIG_HOME": str(trusted), "PYTHONPATH": paths}

    def input_name(self) -> str:
        """As the models' metadata says, if it says."""
        model = self.terms.library.variants[0].name
        inputs = _HTTP.request("GET", f"{self.url}/v2/models/{model}").json().get("inputs")
        return str(inputs[0]["name"]) if inputs else super().input_name()

    def bytes_moved(self) -> int | None:
        text = _HTTP.request("GET", f"{self.url}/metrics").data.decode()
        found = re.findall(r"^trunkline_\w*moved_bytes_total(?:{[^}]*})? (\S+)$", text, re.M)
        return int(sum(map(float, found))) if found else None


class OwnWhole(Own):
    """The same, whole models."""

    name = "whole models"
    options = ("--whole-models",)


class OwnUnlimited(Own):
    """The same, with memory for everything."""

    name = "all resident"

    @property
    def memory_bytes(self) -> int:
        return sum(self.terms.library.bytes.values())


class Peer(Server):
    """A server of somebody else's, with `benchmarks/serving_peers`."""

    package: ClassVar[str]

    def __init__(self, terms: Terms) -> None:
        super().__init__(terms)
        self.counter = terms.folder / f"{self.package}.bytes"
        self.config = terms.folder / f"{self.package}.json"

    @property
    def python(self) -> str:
        return str(environments.python(self.terms.peers, self.package))

    def environment(self) -> dict[str, str]:
        """Where its configuration is, which this writes."""
        terms, library = self.terms, self.terms.library
        self.counter.write_bytes(bytes(8))
        models = {
            one.name: {
                "weights": str(library.weights(one)),
                "bytes": library.bytes[one.name],
                "code": one.code,
                "factory": one.factory,
                "kwargs": {},
            }
            for one in library.variants
        }
        given = {
            "models": models,
            "memory_bytes": library.memory_bytes,
            "most_models": 2,
            "threads": terms.threads,
            "port": self.port,
            "batch": terms.batch,
            "batch_wait_s": terms.batch_wait_s,
            "queue": terms.queue,
            "queue_timeout_s": terms.queue_timeout_s,
            "loading": terms.loading,
            "counter": str(self.counter),
            "folder": str(terms.folder),
        }
        self.config.write_text(json.dumps(given))
        return {"SERVING_CONFIG": str(self.config), "PYTHONPATH": str(PEER_FILES)}

    def bytes_moved(self) -> int | None:
        return int(struct.unpack("<q", self.counter.read_bytes())[0])


class LitServe(Peer):
    """LitServe: one path, the model's name in the body's parameters."""

    name = "LitServe"
    package = "litserve"
    ready_path = "/health"

    def command(self) -> Sequence[str]:
        return [self.python, str(PEER_FILES / "litserve_app.py")]

    def target(self, model: str) -> tuple[str, dict[str, str]]:
        return "/infer", {}


class RayServe(Peer):
    """Ray Serve: one path, the model's name in a header."""

    name = "Ray Serve"
    package = "ray"
    ready_path = "/-/healthz"

    def command(self) -> Sequence[str]:
        return [self.python, str(PEER_FILES / "ray_app.py")]

    def environment(self) -> dict[str, str]:
        """Its nodes and its driver know each other by a token."""
        return {
            **super().environment(),
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_USAGE_STATS_ENABLED": "0",
        }

    def target(self, model: str) -> tuple[str, dict[str, str]]:
        return "/", {"serve_multiplexed_model_id": model}


class MLServer(Peer):
    """MLServer: a model of its repository for each variant."""

    name = "MLServer"
    package = "mlserver"
    ready_path = "/v2/health/ready"

    def command(self) -> Sequence[str]:
        folder = self.terms.folder / "mlserver"
        settings = {
            "host": "127.0.0.1",
            "http_port": self.port,
            "grpc_port": _free_port(),
            "metrics_endpoint": None,
            "parallel_workers": 0,
            "debug": False,
        }
        folder.mkdir(exist_ok=True)
        (folder / "settings.json").write_text(json.dumps(settings))
        for variant in self.terms.library.variants:
            model = {"name": variant.name, "implementation": "mlserver_runtime.Variant"}
            if self.terms.batch > 1:
                model |= {
                    "max_batch_size": self.terms.batch,
                    "max_batch_time": self.terms.batch_wait_s,
                }
            (folder / variant.name).mkdir(exist_ok=True)
            (folder / variant.name / "model-settings.json").write_text(json.dumps(model))
        return [str(Path(self.python).with_name("mlserver")), "start", str(folder)]


OWN = (Own, OwnWhole, OwnUnlimited)
PEERS = (MLServer, RayServe, LitServe)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
