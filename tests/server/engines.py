"""An engine for tests: small functions instead of models, and answers that can be held back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future

import torch

from trunkline.errors import InputError, Reason, RefusedError, UnknownModelError
from trunkline.server.work import Answer, ServedModel, Snapshot, State, TensorInfo
from trunkline.store import StoredModel

Function = Callable[[Mapping[str, torch.Tensor]], Mapping[str, torch.Tensor]]


class FakeEngine:
    """Answers at once, in a thread; or, with `hold`, when the test says so.

    Attributes:
        asked: what was submitted: model, inputs, deadline.
        pending: futures of requests that are held.
    """

    def __init__(self, functions: Mapping[str, Function], hold: bool = False) -> None:
        self.functions = dict(functions)
        self.unloaded: set[str] = set()
        self.hold = hold
        self.asked: list[tuple[str, Mapping[str, torch.Tensor], float]] = []
        self.pending: list[Future[Answer]] = []
        self.submitted = threading.Event()
        self.refuse: Exception | None = None
        self.ready = True
        self.live = True
        self.closed = False
        self.drained: threading.Event = threading.Event()
        self.drained.set()

    def submit(
        self,
        model: str,
        inputs: Mapping[str, torch.Tensor],
        deadline_s: float,
        more: bool = False,
    ) -> Future[Answer]:
        self.model(model)
        if not self.ready:
            raise RefusedError(Reason.DRAINING, "the server is stopping", 2.5)
        if model in self.unloaded:
            raise RefusedError(Reason.UNAVAILABLE, f"model {model!r} was unloaded")
        if self.refuse is not None:
            raise self.refuse
        if deadline_s <= time.monotonic():
            raise RefusedError(Reason.DEADLINE, "too late", 0.2)
        self.asked.append((model, inputs, deadline_s))
        future: Future[Answer] = Future()
        if self.hold:
            self.pending.append(future)
        else:
            threading.Thread(target=self.answer, args=(future, model, inputs)).start()
        self.submitted.set()
        return future

    def begin(self) -> None:
        """Every request is begun at once."""

    def answer(
        self, future: Future[Answer], model: str, inputs: Mapping[str, torch.Tensor]
    ) -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            outputs = self.functions[model](inputs)
        except Exception as error:
            future.set_exception(error)
        else:
            future.set_result(Answer(outputs, 0.0, 0.0, 0.0, 1))

    def models(self) -> list[ServedModel]:
        return [self.model(name) for name in sorted(self.functions)]

    def stored(self, name: str) -> StoredModel:
        return self.model(name).stored

    def model(self, name: str) -> ServedModel:
        if name not in self.functions:
            raise UnknownModelError(f"no model {name[:100]!r} is served")
        away = name in self.unloaded
        return ServedModel(
            StoredModel(name, (), None, None, 0, files={"vocab.txt": "sha256:0"}),
            State.UNAVAILABLE if away else State.READY,
            "was unloaded" if away else "",
            (TensorInfo("x", "FP32", (-1, 2)),),
        )

    def load(self, name: str) -> None:
        self.model(name)
        self.unloaded.discard(name)

    def unload(self, name: str) -> None:
        self.model(name)
        self.unloaded.add(name)

    def snapshot(self) -> Snapshot:
        return Snapshot(time.monotonic(), self.models(), frozenset(), 0, None, "cpu")

    def drain(self, seconds: float) -> bool:
        self.ready = False
        return self.drained.wait(seconds)

    def close(self) -> None:
        self.closed, self.ready = True, False


def double(inputs: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
    """Twice the input `x`."""
    if set(inputs) != {"x"}:
        raise InputError(f"inputs {sorted(inputs)}: there is only 'x'")
    return {"y": inputs["x"] * 2 if inputs["x"].dtype != torch.bool else inputs["x"]}


def echo(inputs: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
    """What came."""
    return inputs
