"""LitServe: one worker with a user's LRU; a batch is grouped by model."""

from __future__ import annotations

from typing import Any

import litserve
import lru
import torch


class Variants(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self.models = lru.Models(lru.config())

    def decode_request(self, request):  # LitServe makes FastAPI's schema of annotations
        return request["parameters"]["model"], lru.decode(request)

    def batch(self, inputs: list[Any]) -> list[Any]:
        return list(inputs)

    def unbatch(self, output: list[Any]) -> list[Any]:
        return output

    def predict(self, given: Any) -> Any:
        if isinstance(given, tuple):  # without batching
            return self._run([given])[0]
        return self._run(given)

    def encode_response(self, output):
        return lru.encode(*output)

    def _run(self, requests: list[tuple[str, torch.Tensor]]) -> list[tuple[str, torch.Tensor]]:
        groups: dict[str, list[int]] = {}
        for i, (name, _) in enumerate(requests):
            groups.setdefault(name, []).append(i)
        outputs: list[Any] = [None] * len(requests)
        for name, members in groups.items():
            answers = lru.forward(self.models.get(name), [requests[i][1] for i in members])
            for i, answer in zip(members, answers, strict=True):
                outputs[i] = (name, answer)
        return outputs


if __name__ == "__main__":
    given = lru.config()
    api = Variants(
        max_batch_size=given["batch"], batch_timeout=given["batch_wait_s"], api_path="/infer"
    )
    server = litserve.LitServer(api, accelerator="cpu", timeout=given["queue_timeout_s"] or False)
    server.run(
        host="127.0.0.1",
        port=given["port"],
        num_api_servers=1,
        log_level="warning",
        generate_client_file=False,
    )
