"""MLServer: a runtime whose models share one LRU in the server's process.

MLServer loads every model of its repository at the start; here that loads nothing, and weights come
when a model is asked. It batches by model (`max_batch_size`). One thread loads and computes, so
that HTTP goes on (`parallel_workers` is 0: a pool of workers would have an LRU each).
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import lru
import torch
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


@cache
def models() -> lru.Models:
    """The one LRU."""
    return lru.Models(lru.config())


THREAD = ThreadPoolExecutor(1)


class Variant(MLModel):
    async def load(self) -> bool:
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        array = NumpyCodec.decode_input(payload.inputs[0])
        loop = asyncio.get_running_loop()
        output = await loop.run_in_executor(THREAD, self._run, torch.from_numpy(array))
        answer = NumpyCodec.encode_output("output", output.numpy())
        return InferenceResponse(model_name=self.name, outputs=[answer])

    def _run(self, inputs: torch.Tensor) -> torch.Tensor:
        return lru.forward(models().get(self.name), [inputs])[0]
