"""Ray Serve: one replica with `@serve.multiplexed` and `@serve.batch` (which splits by model)."""

from __future__ import annotations

import asyncio
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import lru
import ray
import torch
from ray import serve
from ray.serve.config import HTTPOptions
from starlette.requests import Request

GIVEN = lru.config()


class Loaded:
    """A model in memory; Ray calls `__del__` when it unloads it."""

    def __init__(self, loader: lru.Loader, name: str) -> None:
        self._loader, self._name = loader, name
        self.module: torch.nn.Module | None = loader.load(name)

    def __del__(self) -> None:
        module, self.module = self.module, None
        if module is not None:
            self._loader.leave(self._name, module)


@serve.deployment(
    num_replicas=1,
    max_ongoing_requests=2 * GIVEN["batch"] if GIVEN["queue"] else 1000,
    max_queued_requests=GIVEN["queue"] or -1,
    ray_actor_options={"num_cpus": 1},
)
class Variants:
    def __init__(self) -> None:
        self._loader = lru.Loader(lru.config())
        self._thread = ThreadPoolExecutor(1)  # loads and forwards, so that HTTP goes on

    @serve.multiplexed(max_num_models_per_replica=GIVEN["most_models"])
    async def model(self, name: str) -> Loaded:
        return await self._do(Loaded, self._loader, name)

    @serve.batch(max_batch_size=GIVEN["batch"], batch_wait_timeout_s=GIVEN["batch_wait_s"])
    async def infer(self, inputs: list[torch.Tensor]) -> list[torch.Tensor]:
        model = await self.model(serve.get_multiplexed_model_id())
        return await self._do(lru.forward, model.module, inputs)

    async def __call__(self, request: Request) -> dict[str, Any]:
        output = await self.infer(lru.decode(await request.json()))
        return lru.encode(serve.get_multiplexed_model_id(), output)

    async def _do(self, function: Any, *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)


def main() -> None:
    """Serve until SIGTERM."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    ray.init(
        num_cpus=2,
        object_store_memory=80 * 2**20,
        include_dashboard=False,
        _temp_dir=str(Path(GIVEN["folder"]) / "ray"),
    )
    serve.start(
        http_options=HTTPOptions(
            host="127.0.0.1",
            port=GIVEN["port"],
        ),
    )
    serve.run(Variants.bind(), route_prefix="/")
    stop.wait()
    serve.shutdown()
    ray.shutdown()


if __name__ == "__main__":
    main()
