"""Faults of models, clients and disks: they stay where they are, and the engine goes on."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Mapping
from typing import Any

import pytest
import torch

from tests.server.test_engine import FOUR, ask, opened, output, until
from trunkline.errors import ModelFailedError, Reason, RefusedError
from trunkline.runtime import state_dict_source
from trunkline.server.engine import LocalEngine
from trunkline.server.work import Limits, State
from trunkline.store import Store, StoredModel

X = torch.ones(1, 4)


def hold(engine: LocalEngine, *names: str) -> tuple[dict[str, threading.Event], threading.Event]:
    """Let the forwards of these models wait: an event each that lets them go on, and one that is
    set when the first of them has begun."""
    gates, begun = {name: threading.Event() for name in names}, threading.Event()
    infer = engine._state.runtime.infer

    def wait(name: str, batch: torch.Tensor | Mapping[str, Any]) -> Any:
        if name in gates:
            begun.set()
            gates[name].wait(30)
        return infer(name, batch)

    engine._state.runtime.infer = wait  # type: ignore[method-assign]
    return gates, begun


def test_a_model_replaced_by_one_that_cannot_be_served(store: Store, add: Any) -> None:
    """What waits for it is refused, and the other models answer with their own weights."""
    state = add("a", "fussy", input=FOUR)
    others = {name: add(name, "fussy", seed, input=FOUR) for seed, name in enumerate("bc", 1)}
    with opened(store) as (engine, told):
        gates, begun = hold(engine, "a")
        first = ask(engine, "a", X)
        assert begun.wait(10)
        second = ask(engine, "a", X)
        store.remove("a")
        store.add("a", state_dict_source(state))
        loading = threading.Thread(target=lambda: refused(engine, "a"))
        loading.start()
        until(lambda: engine._state.paused > 0)
        gates["a"].set()
        loading.join(10)
        assert output(first).shape == (1, 4)
        with pytest.raises(RefusedError, match=r"'a' cannot be served: .* without an architecture"):
            second.result(10)
        for name, its in others.items():
            right = X @ its["weight"].T + its["bias"]
            torch.testing.assert_close(output(ask(engine, name, X)), right)
        assert told.counts[Reason.UNAVAILABLE] == 1


def test_an_observer_that_fails_costs_no_answer(store: Store, add: Any) -> None:
    """An error in it after the answers were given leaves them, and the next batch computes."""
    add("a", "fussy", input=FOUR)
    with opened(store) as (engine, told):
        told.look = lambda: 1 / 0
        for _ in range(3):
            assert output(ask(engine, "a", X)).shape == (1, 4)
        until(lambda: engine._state.run is None)
        assert engine.live


def test_an_observer_that_fails_stops_no_loads(
    store: Store, add: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error in it when it is told of a load leaves the blocks, and the next load comes."""
    add("a", "fussy", input=FOUR)
    add("b", "fussy", 1, input=FOUR)
    with opened(store, memory_bytes=store.model("a").bytes) as (engine, told):
        monkeypatch.setattr(told, "loaded", lambda record: 1 / 0)
        for name in "abab":
            assert output(ask(engine, name, X, seconds=5)).shape == (1, 4)


def test_a_forward_that_ends_after_closing(store: Store, add: Any) -> None:
    """Its requests were refused when the engine was closed, and are not answered again."""
    add("a", "fussy", input=FOUR)
    with opened(store) as (engine, told):
        gates, begun = hold(engine, "a")
        waiting = ask(engine, "a", X)
        assert begun.wait(10)
        engine._state.limits = Limits(stuck_after_s=0.2)  # how long closing waits
        engine.close()
        with pytest.raises(RefusedError, match="stopping"):
            waiting.result(0)
        gates["a"].set()
        engine._computing.thread.join(10)
        assert told.counts["refused"] == 1
        assert not told.batches
        assert not engine._state.stuck


def test_a_forward_that_exits(store: Store, add: Any) -> None:
    """SystemExit in a forward is a failure of its request like any other error."""
    add("a", "fussy", input=FOUR)
    with opened(store) as (engine, told):
        infer = engine._state.runtime.infer
        engine._state.runtime.infer = lambda name, batch: sys.exit(3)  # type: ignore[method-assign]
        with pytest.raises(ModelFailedError, match="'a' failed: SystemExit: 3"):
            ask(engine, "a", X).result(5)
        engine._state.runtime.infer = infer  # type: ignore[method-assign]
        assert output(ask(engine, "a", X)).shape == (1, 4)
        assert told.counts[Reason.FAILED] == 1


@pytest.mark.parametrize("leaves", ["cancelled", "lapsed"])
def test_a_load_that_nobody_waits_for_holds_nobody_up(store: Store, add: Any, leaves: str) -> None:
    """A request for a model that is resident is answered beside a slow load, as soon as the more
    urgent request that the load is for has left the queue."""
    add("x", "fussy", 1, input=FOUR)
    add("y", "fussy", 2, input=FOUR)
    with opened(store, memory_bytes=2**20) as (engine, _):
        moves, moved = slow_load(engine, "x")
        with engine._state.lock:
            first = ask(engine, "x", X, seconds=1)
            second = ask(engine, "y", X, seconds=60 if leaves == "lapsed" else 3)
        assert moves.wait(10)
        if leaves == "cancelled":
            first.cancel()
        try:
            assert output(second).shape == (1, 4)
            assert engine.snapshot().loading == "x"
        finally:
            moved.set()


def test_it_lives_again_when_one_of_many_hanging_forwards_ends(store: Store, add: Any) -> None:
    """With four it is not alive; when the first of them comes back, it is, and it computes."""
    for name in "abcde":
        add(name, "fussy", ord(name), input=FOUR)
    with opened(store, limits=Limits(stuck_after_s=0.2)) as (engine, _):
        gates, _ = hold(engine, *"abcd")
        for name in "abcd":
            with pytest.raises(RefusedError, match="given up on"):
                ask(engine, name, X).result(20)
        assert not engine.live
        gates["a"].set()
        until(lambda: engine.live)
        assert output(ask(engine, "e", X)).shape == (1, 4)
        for gate in gates.values():
            gate.set()
        until(lambda: not engine._state.stuck)
        assert engine.live


def test_a_load_that_hangs(store: Store, add: Any) -> None:
    """The engine says that it is not live, changes nothing meanwhile and says why, and goes on with
    what is resident; when the load ends it is as before."""
    add("x", "fussy", 1, input=FOUR)
    add("y", "fussy", 2, input=FOUR)
    limits = Limits(stuck_after=1, stuck_after_s=0.2)
    with opened(store, memory_bytes=2**20, limits=limits) as (engine, _):
        moves, moved = slow_load(engine, "x")
        first = ask(engine, "x", X, seconds=1)
        assert moves.wait(10)
        until(lambda: not engine.live)
        with pytest.raises(RefusedError, match="while a load hangs"):
            engine.unload("y")
        assert output(ask(engine, "y", X)).shape == (1, 4)
        with pytest.raises(RefusedError, match="before the deadline"):
            first.result(10)
        moved.set()
        until(lambda: engine.live)
        assert output(ask(engine, "x", X)).shape == (1, 4)
        engine.unload("y")


def test_deadlines_pass_while_a_change_waits(store: Store, add: Any) -> None:
    """A request is refused at its deadline though a change of the models waits for a forward."""
    add("a", "fussy", input=FOUR)
    add("b", "fussy", 1, input=FOUR)
    with opened(store) as (engine, _):
        gates, begun = hold(engine, "a")
        ask(engine, "a", X)
        assert begun.wait(10)
        changing = threading.Thread(target=lambda: engine.load("b"))
        changing.start()
        until(lambda: engine._state.paused > 0)
        try:
            with pytest.raises(RefusedError) as caught:
                ask(engine, "b", X, seconds=0.5).result(5)
        finally:
            gates["a"].set()
            changing.join(10)
        assert caught.value.reason is Reason.DEADLINE


@pytest.mark.parametrize("first", [-1.0, 1.0])
def test_each_forward_of_a_batch_has_its_own_time(store: Store, add: Any, first: float) -> None:
    """Where a batch is run again request by request, since it failed or its rows are not known yet,
    each forward may take as long as one may, and what all of them took is not learned."""
    add("a", "fussy", input=FOUR)
    with opened(store) as (engine, told):
        state, limits, learned = engine._state, [], []
        infer, computed = state.runtime.infer, state.estimates.computed

        def run(name: str, batch: torch.Tensor | Mapping[str, Any]) -> Any:
            assert state.run is not None
            limits.append(state.run.limit_s)
            return infer(name, batch)

        def learn(stored: StoredModel, samples: int, seconds: float) -> bool:
            learned.append(samples)
            return computed(stored, samples, seconds)

        state.runtime.infer = run  # type: ignore[method-assign]
        state.estimates.computed = learn  # type: ignore[method-assign]
        with state.lock:
            answers = [ask(engine, "a", first * X), ask(engine, "a", X), ask(engine, "a", X)]
        for answer in answers[1:]:
            assert output(answer).shape == (1, 4)
        until(lambda: len(told.batches) == 1)
        assert len(limits) == 4
        assert limits == sorted(set(limits))
        assert not learned
        assert output(ask(engine, "a", X)).shape == (1, 4)
        until(lambda: len(told.batches) == 2)
        assert learned == [1]


def test_only_an_answer_shows_that_a_model_is_well_again(store: Store, add: Any) -> None:
    """A model that was given up on stays so when the request that tries it fails."""
    add("a", "fussy", input=FOUR)
    with opened(store) as (engine, told):
        with engine._state.lock:
            engine._state.models["a"].fail("it hung", time.monotonic() - 60)
        with pytest.raises(ModelFailedError):
            ask(engine, "a", -X).result(10)
        until(lambda: len(told.batches) == 1)
        assert engine.model("a").state is State.UNAVAILABLE
        assert output(ask(engine, "a", X)).shape == (1, 4)
        until(lambda: len(told.batches) == 2)
        assert engine.model("a").state is State.READY


def slow_load(engine: LocalEngine, name: str) -> tuple[threading.Event, threading.Event]:
    """Evict a model, and let loads wait from now on: whether one has begun, and it may go on."""
    moves, moved, runtime = threading.Event(), threading.Event(), engine._state.runtime
    prefetch = runtime.prefetch
    with engine._state.changing():
        runtime.evict(block.digest for block in runtime.stored(name).blocks)
        engine._state.adopt()

    def wait(*args: Any) -> Any:
        moves.set()
        moved.wait(30)
        return prefetch(*args)

    runtime.prefetch = wait  # type: ignore[method-assign]
    return moves, moved


def refused(engine: LocalEngine, name: str) -> None:
    """Load a model that cannot be served."""
    with pytest.raises(RefusedError):
        engine.load(name)
