"""Requests for several adapters of one base in one batch."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.server.test_engine import Told, opened
from tests.store.lora_folders import libraries, save_adapter, save_bert
from trunkline.errors import ModelFailedError, RefusedError
from trunkline.runtime import Runtime
from trunkline.runtime.mixing import MixingRuntime
from trunkline.server.combining import alike
from trunkline.server.engine import LocalEngine
from trunkline.server.estimates import Estimates
from trunkline.server.mixing import Group
from trunkline.server.work import Answer, Limits
from trunkline.store import Store, open_adapter

libraries()
NAMES = ("one", "two", "three")


@pytest.fixture(autouse=True)
def _sure_of_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forwards are expected to take 1 s and 10 ms a sample, whatever they took."""

    def computed(self: Estimates, stored: Any, tasks: int, seconds: float) -> bool:
        if not self._line(stored).known:
            self.measured(stored, [(1, 1.01), (11, 1.11)])
            return True
        return False

    monkeypatch.setattr(Estimates, "computed", computed)
    monkeypatch.setattr(Estimates, "mixed", lambda *_: None)


@pytest.fixture
def base(store: Store, tmp_path: Path) -> Path:
    """A base, which with three adapters of it is in the store."""
    folder = save_bert(tmp_path / "base")
    store.add("base", folder)
    for i, name in enumerate(NAMES):
        add(store, folder, name, seed=i)
    return folder


def add(store: Store, base: Path, name: str, of: str = "base", **settings: Any) -> None:
    """Add an adapter."""
    folder = save_adapter(base.parent / name, base, task_type="SEQ_CLS", **settings)
    store.add(name, open_adapter(store, of, folder))


def tokens(samples: int = 1, length: int = 8) -> torch.Tensor:
    """An input."""
    return torch.randint(0, 60, (samples, length))


def ask(engine: LocalEngine, model: str, ids: torch.Tensor, seconds: float = 60) -> Future[Answer]:
    """Submit one request."""
    return engine.submit(model, {"input_ids": ids}, time.monotonic() + seconds)


def together(
    engine: LocalEngine, requests: Sequence[tuple[str, torch.Tensor]], seconds: float = 60
) -> list[Mapping[str, torch.Tensor]]:
    """Answers to requests that are all there before the next decision."""
    with engine._state.lock:
        futures = [ask(engine, name, ids, seconds) for name, ids in requests]
    return [one.result(60).outputs for one in futures]


@contextmanager
def warm(
    store: Store, names: Sequence[str] = NAMES, proven: bool = True, **options: Any
) -> Iterator[tuple[LocalEngine, Told]]:
    """An engine that answered once for each of these models, and mixed once."""
    with opened(store, **{"memory_bytes": 10**6, **options}) as (engine, told):
        for name in names:
            ask(engine, name, tokens()).result(60)
        if proven:
            together(engine, [(name, tokens()) for name in names])
            assert group(engine).proven
        with engine._state.changing():  # an answer is there before its batch is told of
            told.batches.clear()
        yield engine, told


def group(engine: LocalEngine, name: str = "one") -> Group:
    """The group of an adapter."""
    return engine._state.mixing._of[name]


@pytest.fixture
def alone(store: Store) -> Callable[[str, torch.Tensor], torch.Tensor]:
    """What a model answers alone."""

    def answer(name: str, ids: torch.Tensor) -> torch.Tensor:
        with Runtime(store) as runtime:
            runtime.switch(name)
            found: torch.Tensor = runtime.infer(name, {"input_ids": ids}).logits
            return found

    return answer


Alone = Callable[[str, torch.Tensor], torch.Tensor]


def test_three_adapters_are_one_batch(store: Store, base: Path, alone: Alone) -> None:
    """Requests for three adapters that wait together run as one batch, recorded as one, and each
    is answered as its own adapter does (up to sums in another order); so does the first such batch,
    which runs both ways."""
    requests = [("one", tokens(2)), ("two", tokens()), ("three", tokens(3)), ("one", tokens())]
    with warm(store, proven=False) as (engine, told):
        for _ in range(2):
            answers = together(engine, requests)
            for (name, ids), outputs in zip(requests, answers, strict=True):
                wanted = alone(name, ids)
                torch.testing.assert_close(outputs["logits"], wanted, rtol=1e-4, atol=1e-5)
                others = [alone(other, ids) for other in NAMES if other != name]
                assert not any(torch.allclose(wanted, one, atol=1e-2) for one in others)
        assert [(one.requests, one.samples) for one in told.batches] == [(4, 7), (4, 7)]
        for one in told.batches:
            assert sorted((one.model, *one.others)) == sorted(NAMES)
            assert one.bytes_moved == 0
            assert one.bytes_asked == sum(store.model(name).bytes for name in NAMES)
        assert all(model.waiting == 0 for model in engine.models())
        assert told.counts["answered"] == 3 + 8


def test_what_is_not_in_memory_is_not_waited_for(store: Store, base: Path) -> None:
    """An adapter that is not resident runs in a batch of its own; the budget holds at each."""
    whole = store.model("base").bytes
    own = max(store.model(name).bytes for name in NAMES) - whole
    budget = whole + 2 * own
    with warm(store, NAMES[:2], memory_bytes=budget) as (engine, told):
        resident: list[int] = []
        told.look = lambda: resident.append(engine.snapshot().resident_bytes)
        together(engine, [(name, tokens()) for name in NAMES])
        found = [{one.model, *one.others} for one in told.batches]
        assert {"one", "two"} in found or {"two", "one"} in found
        assert {"three"} in found
        for _ in range(3):
            together(engine, [(name, tokens()) for name in NAMES])
        assert max(resident) <= budget
        assert max(len(one.others) for one in told.batches) == 1


def test_only_adapters_of_one_base_are_mixed(store: Store, base: Path, alone: Alone) -> None:
    """Another rank, the base itself and another base of equal settings run apart, and so do other
    lengths; with one length, both adapters of the other base are a batch of their own."""
    add(store, base, "rank", r=2)
    store.add("base2", save_bert(base.parent / "base2", seed=9))
    for i, name in enumerate(("twin", "sister")):
        add(store, base, name, of="base2", seed=i)
    names = (*NAMES[:2], "rank", "base", "twin", "sister")
    with warm(store, names, proven=False) as (engine, told):
        for _ in range(3):
            requests = [(name, tokens()) for name in names]
            for (name, ids), outputs in zip(requests, together(engine, requests), strict=True):
                wanted = alone(name, ids)
                torch.testing.assert_close(outputs["logits"], wanted, rtol=1e-4, atol=1e-5)
        found = {tuple(sorted((one.model, *one.others))) for one in told.batches}
        assert found == {("one", "two"), ("rank",), ("base",), ("sister", "twin")}
        told.batches.clear()
        together(engine, [("one", tokens(1, 8)), ("two", tokens(1, 5))])
        assert [one.others for one in told.batches] == [(), ()]


def test_the_limits_of_a_batch_hold(store: Store, base: Path) -> None:
    """No more samples than a batch may have, and nobody joins for whom it would be too late, or who
    would make it too late for another."""
    with warm(store, limits=Limits(batch=4), policy="fcfs") as (engine, told):
        together(engine, [("one", tokens(2)), ("two", tokens(2)), ("three", tokens(1))])
        assert max(one.samples for one in told.batches) == 4
        told.batches.clear()
        line = engine._state.estimates._line(store.model("one"))
        line.seconds_per_batch, line.seconds_per_task = 100.0, 10.0
        engine._state.reprice()
        for seconds in (130.0, 150.0):  # each alone needs 120 s, both together 140 s
            with engine._state.lock:
                urgent = ask(engine, "one", tokens(2), seconds)
                patient = ask(engine, "two", tokens(2), 1000.0)
            assert len(urgent.result(60).outputs) == len(patient.result(60).outputs) == 1
        assert [len(one.others) for one in told.batches] == [0, 0, 1]
        with engine._state.lock:
            futures = [ask(engine, "one", tokens(2), 1000.0), ask(engine, "two", tokens(2), 130.0)]
        assert all(one.result(60).outputs for one in futures)
        assert [len(one.others) for one in told.batches] == [0, 0, 1, 0, 0]


def test_a_request_that_fails_fails_alone(store: Store, base: Path, alone: Alone) -> None:
    """Where a mixed forward raises, each model's requests run alone: the bad one gets an error that
    names its model, the others their answers, and adapters are mixed on."""
    requests = [("one", tokens()), ("two", torch.full((1, 8), 60)), ("three", tokens())]
    with warm(store) as (engine, told):
        with engine._state.lock:
            futures = [ask(engine, name, ids) for name, ids in requests]
        with pytest.raises(ModelFailedError, match="'two' failed: IndexError"):
            futures[1].result(60)
        for at in (0, 2):
            name, ids = requests[at]
            assert torch.equal(futures[at].result(60).outputs["logits"], alone(name, ids))
        assert [(one.requests, bool(one.error)) for one in told.batches] == [(3, True)]
        told.batches.clear()
        together(engine, [(name, tokens()) for name in NAMES])
        assert [len(one.others) for one in told.batches] == [2]


@pytest.mark.parametrize("wrong", ["raises", "answers", "works by chance"])
def test_adapters_that_do_not_mix_run_one_by_one(
    store: Store,
    base: Path,
    alone: Alone,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    wrong: str,
) -> None:
    """Where PEFT refuses to mix, or mixes wrongly, each gets its right answer nevertheless; it is
    said once, and not tried again."""
    infer = MixingRuntime.infer_mixed
    tried = []

    def odd(self: MixingRuntime, names: Sequence[str], batch: Any) -> Any:
        tried.append(names)
        if wrong == "raises" or (wrong == "works by chance" and len(names) != 3):
            raise TypeError("Mixed batching is only supported for some modules")
        return infer(self, names[::-1] if wrong == "answers" else names, batch)

    monkeypatch.setattr(MixingRuntime, "infer_mixed", odd)
    caplog.set_level(logging.WARNING)
    with warm(store, proven=False) as (engine, told):
        for _ in range(2):
            requests = [(name, tokens()) for name in NAMES]
            for (name, ids), outputs in zip(requests, together(engine, requests), strict=True):
                assert torch.equal(outputs["logits"], alone(name, ids))
        assert [len(one.others) for one in told.batches] == [2, 0, 0, 0]
    assert list(map(len, tried)) == ([3, 2] if wrong == "works by chance" else [3])
    assert [one.message for one in caplog.records if "one by one" in one.message] == [
        f"adapters of {group(engine).label} run one by one: {group(engine).refused}"
    ]


def test_a_load_beside_a_mixed_batch_leaves_its_blocks(store: Store, base: Path) -> None:
    """While two adapters compute as one batch and a third is asked for, memory for two holds: the
    third is loaded afterwards, and no block in use leaves."""
    whole = store.model("base").bytes
    own = max(store.model(name).bytes for name in NAMES) - whole
    wanted = {one.digest for name in NAMES[:2] for one in store.model(name).blocks}
    with warm(store, NAMES[:2], memory_bytes=whole + 2 * own) as (engine, told):
        state, seen = engine._state, []
        seats = next(iter(state.runtime._seats.values()))

        def look(*_: Any) -> None:
            if seen:
                return
            late.append(ask(engine, "three", tokens()))
            with state.lock:
                assert state.scheduler.next_load(time.monotonic()) is None
            seen.append(state.runtime.resident)

        late: list[Future[Answer]] = []
        handle = seats.module.register_forward_pre_hook(look)
        together(engine, [("one", tokens()), ("two", tokens())])
        handle.remove()
        assert late[0].result(60).outputs["logits"].shape == (1, 3)
        assert seen == [wanted]
        assert [len(one.others) for one in told.batches] == [1, 0]


def test_a_mixed_forward_that_hangs_is_given_up_on(store: Store, base: Path, alone: Alone) -> None:
    """Its requests are refused, and the other adapters serve on, one by one."""
    go_on = threading.Event()
    with warm(store, limits=Limits(stuck_after_s=0.2)) as (engine, told):
        line = engine._state.estimates._line(store.model("one"))
        line.seconds_per_batch = line.seconds_per_task = 1e-3
        engine._state.reprice()
        seats = next(iter(engine._state.runtime._seats.values()))
        seats.module.register_forward_pre_hook(lambda *_: go_on.wait(20) and None)
        with engine._state.lock:
            futures = [ask(engine, name, tokens()) for name in NAMES[:2]]
        for one in futures:
            with pytest.raises(RefusedError, match="given up on"):
                one.result(60)
        ids = tokens()
        answers = together(engine, [("three", ids), ("two", tokens())])
        assert torch.equal(answers[0]["logits"], alone("three", ids))
        with engine._state.changing():  # an answer is there before its batch is told of
            assert [one.others for one in told.batches] == [(), ()]
        go_on.set()


def test_one_after_the_other_where_that_is_quicker(
    store: Store, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where adapters cost more in a batch than they save, they run one by one, until that is
    forgotten."""
    with warm(store) as (engine, told):
        estimates = engine._state.estimates
        line = estimates._line(store.model("one"))
        line.per_adapter_s = 1.0  # three of them cost 3 s, and save two batches of 1 s
        together(engine, [(name, tokens()) for name in NAMES])
        with engine._state.changing():
            assert {one.others for one in told.batches} == {()}
            assert line.per_adapter_s < 1.0
            told.batches.clear()
        line.per_adapter_s = 0.5
        together(engine, [(name, tokens()) for name in NAMES])
        assert [len(one.others) for one in told.batches] == [2]


def test_equal_up_to_rounding() -> None:
    """Outputs are alike within rounding of the largest value; other names, shapes, types, whole
    numbers and larger differences are not."""
    one = {"y": torch.tensor([100.0, 0.0])}
    assert alike(one, {"y": torch.tensor([100.0, 0.01])})
    assert not alike(one, {"y": torch.tensor([100.0, 0.1])})
    assert not alike(one, {"z": one["y"]})
    assert not alike(one, {"y": one["y"][:1]})
    assert not alike(one, {"y": one["y"].double()})
    assert not alike({"y": torch.tensor([1])}, {"y": torch.tensor([2])})
    nan = {"y": torch.tensor([float("nan")])}
    assert alike(nan, nan)
    assert not alike(nan, {"y": torch.tensor([1.0])})
