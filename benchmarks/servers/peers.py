"""The peers: what starts each of `benchmarks/serving_peers`, and how it is asked."""

from __future__ import annotations

import json
import secrets
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from benchmarks.servers import environments
from benchmarks.servers.server import REPOSITORY, Server, Terms, free_port

PEER_FILES = REPOSITORY / "benchmarks" / "serving_peers"


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
            "grpc_port": free_port(),
            "metrics_endpoint": None,
            "parallel_workers": 0,
            "debug": False,
        }
        folder.mkdir(exist_ok=True)
        (folder / "settings.json").write_text(json.dumps(settings))
        for variant in self.terms.library.variants:
            model: dict[str, object] = {
                "name": variant.name,
                "implementation": "mlserver_runtime.Variant",
            }
            if self.terms.batch > 1:
                model |= {
                    "max_batch_size": self.terms.batch,
                    "max_batch_time": self.terms.batch_wait_s,
                }
            (folder / variant.name).mkdir(exist_ok=True)
            (folder / variant.name / "model-settings.json").write_text(json.dumps(model))
        return [str(Path(self.python).with_name("mlserver")), "start", str(folder)]


PEERS = (MLServer, RayServe, LitServe)
