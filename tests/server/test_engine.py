"""The engine: right answers, honest refusals, faults that stay where they are."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, wait
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from trunkline.errors import (
    InputError,
    ModelFailedError,
    Reason,
    RefusedError,
    UnknownModelError,
)
from trunkline.runtime import Runtime
from trunkline.server import catalogue
from trunkline.server.batching import extent
from trunkline.server.engine import LocalEngine
from trunkline.server.opening import open_engine
from trunkline.server.work import Answer, BatchRecord, Limits, LoadRecord, State
from trunkline.store import InputSpec, Store

BOTTOM = ("0.", "1.", "3.", "4.")
FOUR = InputSpec((4,))


class Told:
    """Everything that an observer was told."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.batches: list[BatchRecord] = []
        self.loads: list[LoadRecord] = []
        self.look: Callable[[], None] = lambda: None

    def received(self, model: str) -> None:
        self.counts["received"] += 1

    def answered(self, model: str, wait_s: float, in_time: bool) -> None:
        self.counts["answered"] += 1

    def refused(self, model: str, reason: Reason) -> None:
        self.counts["refused"] += 1
        self.counts[reason] += 1

    def loaded(self, record: LoadRecord) -> None:
        self.loads.append(record)

    def batch(self, record: BatchRecord) -> None:
        self.batches.append(record)
        self.look()

    def decided(self, seconds: float, waiting: int) -> None:
        self.counts["decided"] += 1


@contextmanager
def opened(store: Store, **options: Any) -> Iterator[tuple[LocalEngine, Told]]:
    """An engine, and what it tells; at the end everybody must be accounted for."""
    told = Told()
    engine = open_engine(store, observer=told, **options)
    try:
        yield engine, told
    finally:
        engine.close()
    assert told.counts["received"] == told.counts["answered"] + told.counts["refused"]


def ask(engine: LocalEngine, model: str, x: torch.Tensor, seconds: float = 20) -> Future[Answer]:
    """Submit one tensor."""
    return engine.submit(model, {"x": x}, time.monotonic() + seconds)


def output(future: Future[Answer]) -> torch.Tensor:
    """The one output of an answer."""
    return future.result(20).outputs["output"]


def test_answers_are_the_models_own(store: Store, add: Any) -> None:
    """Random requests for variants that share blocks, under a budget for two: each answer is what
    the model says, the budget holds at every batch, and no block comes in twice for one load."""
    base = add("a", "conv", input=InputSpec((3, 9, 9)))
    for seed, name in enumerate("bcd", 1):
        add(
            name, "conv", seed, base, lambda key: key.startswith(BOTTOM), input=InputSpec((3, 9, 9))
        )
    budget = 2 * store.model("a").bytes
    rng = random.Random(0)
    wanted = [(rng.choice("abcd"), torch.randn(rng.randint(1, 3), 3, 9, 9)) for _ in range(60)]
    with opened(store, memory_bytes=budget) as (engine, told):
        told.look = lambda: resident.append(engine.snapshot().resident_bytes)
        resident: list[int] = []
        answers = [ask(engine, name, x) for name, x in wanted]
        wait(answers, 20)
        with Runtime(store) as runtime:
            for (name, x), answer in zip(wanted, answers, strict=True):
                runtime.switch(name)
                torch.testing.assert_close(output(answer), runtime.infer(name, x))
        assert max(resident) <= budget
        assert sum(one.requests for one in told.batches) == 60 == told.counts["answered"]
        assert len(told.batches) < 60
        assert all(one.samples <= 32 for one in told.batches)
        assert engine.model("a").outputs[0].shape == (-1, 5)


def test_whole_models_share_nothing(store: Store, add: Any) -> None:
    """With `whole_models`, each model moves all of its bytes."""
    base = add("a", "conv", input=InputSpec((3, 9, 9)))
    add("b", "conv", 1, base, lambda key: key.startswith(BOTTOM), input=InputSpec((3, 9, 9)))
    size, x = store.model("a").bytes, torch.randn(1, 3, 9, 9)
    with opened(store, memory_bytes=size, whole_models=True) as (engine, told):
        first = engine.snapshot().resident
        for name in "abab":
            output(ask(engine, name, x))
        moved = [one.bytes_moved for one in told.batches]
        assert moved[1:] == [size] * 3
        assert moved[0] in (0, size)
        assert [one.bytes for one in told.loads] == [one for one in moved if one]
        assert len(first) == len(store.model("a").blocks)


def test_what_cannot_be_answered_is_refused_at_once(store: Store, add: Any) -> None:
    """A deadline that is over, a full queue, a model that is not there, inputs that do not fit: an
    error before anything is queued, which says why."""
    add("a", "waiting", input=None)
    import tiny_models

    x = torch.ones(1, 4)
    with opened(store, limits=Limits(queue=2, batch=2)) as (engine, told):
        with pytest.raises(RefusedError, match=r"could answer in .* at the soonest") as caught:
            ask(engine, "a", x, seconds=-1)
        assert caught.value.reason is Reason.DEADLINE
        first = ask(engine, "a", x)
        assert tiny_models.BEGUN.wait(10)
        rest = [ask(engine, "a", x), ask(engine, "a", x)]
        with pytest.raises(RefusedError, match="2 requests wait already") as caught:
            ask(engine, "a", x)
        assert caught.value.reason is Reason.QUEUE_FULL
        with pytest.raises(UnknownModelError, match="'b'"):
            ask(engine, "b", x)
        with pytest.raises(InputError, match="3 samples, from 1 to 2"):
            ask(engine, "a", torch.ones(3, 4))
        with pytest.raises(InputError, match="0 samples"):
            ask(engine, "a", torch.ones(0, 4))
        with pytest.raises(InputError, match="no input 'y'; it takes 'x'"):
            engine.submit("a", {"x": x, "y": x}, time.monotonic() + 9)
        tiny_models.GO_ON.set()
        wait([first, *rest], 20)
        assert told.counts["received"] == 5
        assert [one.samples for one in told.batches] == [1, 2]


def test_declared_inputs_are_checked(store: Store, add: Any) -> None:
    """Another type, another shape or a token beyond the vocabulary is refused by name."""
    add("a", "fussy", input=FOUR)
    add("words", "encoder", input=InputSpec((6,), "int64", 31))
    with opened(store) as (engine, _):
        with pytest.raises(InputError, match="'x': FP32 is expected, got FP64"):
            ask(engine, "a", torch.ones(1, 4, dtype=torch.float64))
        for _ in range(2):  # what fits is remembered, what does not is refused again
            ask(engine, "a", torch.ones(1, 4)).result(20)
            with pytest.raises(InputError, match=r"shape \[-1, 4\] is expected, got \[1, 5\]"):
                ask(engine, "a", torch.ones(1, 5))
        name = engine.model("words").inputs[0].name
        with pytest.raises(InputError, match="31 is not in 0 to 30"):
            engine.submit("words", {name: torch.full((1, 3), 31)}, time.monotonic() + 9)
        answer = engine.submit("words", {name: torch.full((1, 3), 30)}, time.monotonic() + 9)
        assert answer.result(20).outputs
        with pytest.raises(InputError, match="31 is not in 0 to 30"):  # as it fitted before
            engine.submit("words", {name: torch.full((1, 3), 31)}, time.monotonic() + 9)


def test_few_shapes_are_remembered(store: Store, add: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients may send as many as they like."""
    monkeypatch.setattr(catalogue, "MOST_SHAPES", 3)
    add("words", "encoder", input=InputSpec((6,), "int64"))
    served = catalogue.look_up(Runtime(store), "words")
    for length in range(1, 9):
        inputs = {"tokens": torch.zeros(2, length, dtype=torch.int64)}
        served.check(inputs, extent(inputs)[1])
    assert len(served.fitting) == 3


def test_a_request_that_fails_fails_alone(store: Store, add: Any) -> None:
    """Of requests that could run as one batch, the one whose forward raises and the one whose
    output is NaN get errors that name the model; the others get their answers."""
    add("a", "fussy", input=FOUR)
    bad, nan, good = torch.full((1, 4), -1.0), torch.full((1, 4), 200.0), torch.ones(1, 4)
    with opened(store) as (engine, told):
        with engine._state.lock:  # all three are there before the next decision
            answers = [ask(engine, "a", x) for x in (bad, nan, good)]
        with pytest.raises(ModelFailedError, match="'a' failed: ValueError: an input is below 0"):
            answers[0].result(20)
        with pytest.raises(ModelFailedError, match="'a' returned NaN in its output 'output'"):
            answers[1].result(20)
        assert torch.isfinite(output(answers[2])).all()
        assert told.counts[Reason.FAILED] == 2
        assert torch.isnan(output(ask(engine, "a", torch.full((1, 4), torch.nan)))).all()


def test_requests_of_different_shapes_run_apart(store: Store, add: Any) -> None:
    """Shapes that cannot be put together, and outputs without a row a sample, are no batches."""
    add("words", "encoder", input=InputSpec((6,), "int64", 31))
    state = add("sum", "summing", input=FOUR)
    with opened(store) as (engine, told):
        name = engine.model("words").inputs[0].name
        with engine._state.lock:
            words = [
                engine.submit("words", {name: torch.ones(1, n, dtype=torch.int64)},
                              time.monotonic() + 20)
                for n in (3, 5, 3)
            ]  # fmt: skip
            sums = [ask(engine, "sum", torch.full((2, 4), value)) for value in (1.0, 2.0)]
        assert [one.result(20).outputs for one in words]
        assert sorted(one.samples for one in told.batches if one.model == "words") == [1, 2]
        for answer, value in zip(sums, (1.0, 2.0), strict=True):
            row = torch.full((4,), value) @ state["weight"].T + state["bias"]
            torch.testing.assert_close(output(answer), 2 * row)


def test_a_forward_that_hangs_is_given_up_on(store: Store, add: Any) -> None:
    """Its model is refused and the others serve, its architecture's other variants included; when
    it ends after all, it serves again after a while."""
    import tiny_models

    add("a", "waiting")
    add("b", "waiting", 1)
    add("c", "fussy", input=FOUR)
    x = torch.ones(1, 4)
    with opened(store, limits=Limits(stuck_after_s=0.2)) as (engine, _):
        hanging = ask(engine, "a", x)
        with pytest.raises(RefusedError, match="given up on") as caught:
            hanging.result(20)
        assert caught.value.reason is Reason.UNAVAILABLE
        assert engine.snapshot().stuck == 1
        assert engine.live
        with pytest.raises(RefusedError, match="'a' cannot be served: its forward did not end"):
            ask(engine, "a", x)
        assert output(ask(engine, "c", x)).shape == (1, 4)
        tiny_models.GO_ON.set()
        assert output(ask(engine, "b", x)).shape == (1, 4)
        until(lambda: engine.snapshot().stuck == 0)
        until(lambda: serves(engine, "a"))
        assert engine.model("a").state is State.READY


def test_a_late_answer_is_an_error(store: Store, add: Any) -> None:
    """A batch that was begun in time and ends after the deadline answers with LATE."""
    import tiny_models

    add("a", "waiting")
    with opened(store) as (engine, told):
        answer = ask(engine, "a", torch.ones(1, 4), seconds=0.3)
        assert tiny_models.BEGUN.wait(10)
        time.sleep(0.4)
        tiny_models.GO_ON.set()
        with pytest.raises(RefusedError, match="after the deadline"):
            answer.result(20)
        assert told.counts[Reason.LATE] == 1


def test_a_damaged_blob_stops_its_models_only(
    store: Store, add: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The digest is named, the other model serves, and once the blob is whole again so does this
    one, without anybody's doing."""
    monkeypatch.setattr(catalogue, "FIRST_RETRY_S", 0.1)
    add("a", "fussy", input=FOUR)
    add("b", "conv", 1, input=InputSpec((3, 9, 9)))
    digest = store.model("a").blocks[0].digest
    path = store.blob_path(digest)
    with opened(store, memory_bytes=store.model("b").bytes + 8) as (engine, _):
        output(ask(engine, "b", torch.randn(1, 3, 9, 9)))
        whole = path.read_bytes()
        path.chmod(0o644)
        path.write_bytes(whole[:-1])
        with pytest.raises(RefusedError, match=digest):
            ask(engine, "a", torch.ones(1, 4)).result(20)
        assert engine.model("a").state is State.UNAVAILABLE
        assert output(ask(engine, "b", torch.randn(1, 3, 9, 9))).shape == (1, 5)
        path.write_bytes(whole)
        until(lambda: serves(engine, "a"))
        assert engine.model("a").state is State.READY


def test_models_come_and_go_while_it_serves(store: Store, add: Any) -> None:
    """An import is served after the next look at the store, a removal is not; unload and load work
    by name; requests for the others go on."""
    add("a", "fussy", input=FOUR)
    x = torch.ones(1, 4)
    with opened(store) as (engine, _):
        state = add("b", "fussy", 1, input=FOUR)
        engine.load("b")
        torch.testing.assert_close(
            output(ask(engine, "b", x)), x @ state["weight"].T + state["bias"]
        )
        engine.unload("b")
        with pytest.raises(RefusedError, match="'b' cannot be served: it was unloaded"):
            ask(engine, "b", x)
        engine.load("b")
        add("c", "fussy", 2, input=FOUR)
        until(lambda: [one.name for one in engine.models()] == ["a", "b", "c"])
        assert serves(engine, "c")
        store.remove("b")
        until(lambda: [one.name for one in engine.models()] == ["a", "c"])
        with pytest.raises(UnknownModelError):
            ask(engine, "b", x)
        with pytest.raises(UnknownModelError):
            engine.load("b")
        assert serves(engine, "a")


def test_draining_and_closing(store: Store, add: Any) -> None:
    """Draining finishes what waits and takes no more; closing refuses what is left."""
    import tiny_models

    add("a", "waiting")
    x = torch.ones(1, 4)
    with opened(store) as (engine, told):
        first = ask(engine, "a", x)
        assert tiny_models.BEGUN.wait(10)
        second = ask(engine, "a", x)
        assert not engine.drain(0.01)
        assert not engine.ready
        with pytest.raises(RefusedError, match="stopping"):
            ask(engine, "a", x)
        tiny_models.GO_ON.set()
        assert engine.drain(20)
        assert output(first).shape == output(second).shape == (1, 4)
        assert told.counts[Reason.DRAINING] == 1
    with opened(store) as (engine, told):
        tiny_models.GO_ON.clear()
        tiny_models.BEGUN.clear()
        ask(engine, "a", x)
        assert tiny_models.BEGUN.wait(10)
        waits = ask(engine, "a", x)
        tiny_models.GO_ON.set()
        engine.close()
        engine.close()
        with pytest.raises(RefusedError, match="stopping"):
            waits.result(20)


def test_a_client_that_goes_away(store: Store, add: Any) -> None:
    """A future that is cancelled while it waits leaves the queue and is counted."""
    import tiny_models

    add("a", "waiting")
    with opened(store) as (engine, told):
        first = ask(engine, "a", torch.ones(1, 4))
        assert tiny_models.BEGUN.wait(10)
        second = ask(engine, "a", torch.ones(1, 4))
        assert second.cancel()
        assert second.cancel()  # and once is enough
        assert engine.model("a").waiting == 0
        tiny_models.GO_ON.set()
        assert output(first).shape == (1, 4)
        with pytest.raises(CancelledError):
            second.result(0)
        assert told.counts[Reason.CANCELLED] == 1


def serves(engine: LocalEngine, model: str) -> bool:
    """Whether a model answers."""
    try:
        return output(ask(engine, model, torch.ones(1, 4))).shape == (1, 4)
    except RefusedError:
        return False


def until(holds: Callable[[], bool], seconds: float = 20) -> None:
    """Wait until something holds."""
    ends = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends, "it never held"
        time.sleep(0.02)
