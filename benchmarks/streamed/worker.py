"""A device: a process that streams and runs what it is told to.

It computes on one thread and forgets a network's blocks after each run; its module stays built. The
imports stand at the top, for the process that devices are forked from.
"""

from __future__ import annotations

from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from transformers import (  # noqa: F401  # loads their modules
    GPT2LMHeadModel,
    ResNetForImageClassification,
    ViTForImageClassification,
)

from benchmarks.namespaces import enter
from trunkline.device import StreamClient
from trunkline.errors import StreamError
from trunkline.store import Store


def work(pipe: Connection, folder: Path, place: Path, namespace: str) -> None:
    """Do what comes through the pipe until it is closed.

    Args:
        pipe: takes the arguments of `StreamClient.infer`, with `url`, `model`, and `tell` where it
            is to say `open` once the server has granted the transfer; gives a report, with `same`
            (whether the output is that of the model loaded whole, bit by bit), or what `refused`.
        folder: FOLDER/NAME.safetensors holds a network's batch and output.
        place: of its store.
        namespace: the network namespace to be in, empty for the usual one.
    """
    if namespace:
        enter(namespace)
    torch.set_num_threads(1)
    store = Store.open(place, create=True)
    batches = {path.stem: load_file(path) for path in folder.glob("*.safetensors")}
    outputs = {name: batch.pop("output") for name, batch in batches.items()}
    clients: dict[str, StreamClient] = {}
    pipe.send({"ready": True})
    while (asked := _next(pipe)) is not None:
        url, model, tell = asked.pop("url"), asked.pop("model"), asked.pop("tell", False)
        client = clients.setdefault(url, StreamClient(url, store))

        def batch(_: Any, model: str = model, tell: bool = tell) -> Any:
            if tell:
                pipe.send({"open": True})
            return batches[model]

        try:
            done = client.infer(model, batch, **asked)
        except StreamError as error:
            pipe.send({"refused": str(error), "status": error.status})
            continue
        same = torch.equal(done.output.logits, outputs[model])
        store.remove(model)
        store.gc()
        pipe.send({"same": same, **done.report.to_dict()})


def _next(pipe: Connection) -> dict[str, Any] | None:
    try:
        asked: dict[str, Any] = pipe.recv()
    except EOFError:
        return None
    return asked
