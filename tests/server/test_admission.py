"""Which requests the engine takes, and what it plans for them."""

from __future__ import annotations

import time
from typing import Any

import pytest
import torch

from tests.server.test_engine import FOUR, ask, opened, output, until
from trunkline.errors import InputError, ModelFailedError, Reason, RefusedError
from trunkline.runtime import Runtime
from trunkline.server.estimates import REMEMBERED, Estimates
from trunkline.server.work import Limits, State
from trunkline.store import InputSpec, Store


def test_a_slow_spell_passes(store: Store, add: Any) -> None:
    """After forwards that were far too slow for a request's deadline, an idle engine lets it try
    and answers it; what was too slow at best is refused still."""
    add("a", "fussy", input=FOUR)
    x = torch.ones(1, 4)
    with opened(store) as (engine, told):
        state, stored = engine._state, engine.stored("a")
        with state.lock:
            state.estimates.measured(stored, [(1, 2.0)])
            for _ in range(REMEMBERED):
                state.estimates.computed(stored, 1, 100.0)
            state.reprice()
        with pytest.raises(RefusedError, match="could answer in") as caught:
            ask(engine, "a", x, 1)
        assert caught.value.reason is Reason.DEADLINE
        assert output(ask(engine, "a", x)).shape == (1, 4)
        assert output(ask(engine, "a", x)).shape == (1, 4)
        assert told.counts["refused"] == 1


def test_a_request_larger_than_any_batch_is_refused(
    store: Store, add: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a profile says that memory is for two samples, a request of three is an error at once,
    and one of two is answered."""
    add("a", "fussy", input=FOUR)
    monkeypatch.setattr(Estimates, "_max_batch", lambda self, stored: 2)
    with opened(store) as (engine, _):
        with pytest.raises(InputError, match="3 samples, from 1 to 2 are allowed"):
            ask(engine, "a", torch.ones(3, 4))
        assert output(ask(engine, "a", torch.ones(2, 4))).shape == (2, 4)


def test_a_batch_is_planned_for_those_that_run(store: Store, add: Any) -> None:
    """Of requests of three lengths each runs alone, and is planned to take what one sample takes,
    not what all of them would."""
    add("words", "encoder", input=InputSpec((6,), "int64", 31))
    with opened(store) as (engine, told):
        state, name = engine._state, engine.model("words").inputs[0].name
        with state.lock:
            state.estimates.measured(engine.stored("words"), [(1, 0.1), (11, 1.1)])
            state.reprice()
            answers = [
                engine.submit("words", {name: torch.ones(1, length, dtype=torch.int64)},
                              time.monotonic() + 20)
                for length in (3, 4, 5)
            ]  # fmt: skip
        assert all(one.result(20).batch == 1 for one in answers)
        until(lambda: len(told.batches) == 3)
        assert [one.planned_compute_s for one in told.batches] == pytest.approx([0.1] * 3)


def test_a_bad_request_leaves_the_others_their_time(
    store: Store, add: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When a batch fails, its requests run alone, each with the time of a whole forward: together
    they may take longer. What all of that took is not taken for the time of one forward."""
    add("a", "fussy", input=FOUR)
    with opened(store, limits=Limits(stuck_after_s=1.0)) as (engine, told):
        state, infer, x = engine._state, Runtime.infer, torch.ones(1, 4)

        def slow(self: Runtime, name: str, inputs: Any) -> Any:
            time.sleep(0.15)
            return infer(self, name, inputs)

        monkeypatch.setattr(Runtime, "infer", slow)
        learned: list[int] = []
        monkeypatch.setattr(Estimates, "computed", lambda *_: learned.append(1))
        with state.lock:
            answers = [ask(engine, "a", x) for _ in range(8)] + [ask(engine, "a", -x)]
        assert all(output(one).shape == (1, 4) for one in answers[:8])
        with pytest.raises(ModelFailedError, match="an input is below 0"):
            answers[8].result(20)
        until(lambda: len(told.batches) == 1)
        with state.lock:  # whose rows these are is not known yet: one by one again
            state.models["a"].rows.clear()
            answers = [ask(engine, "a", x) for _ in range(8)]
        assert all(output(one).shape == (1, 4) for one in answers)
        until(lambda: len(told.batches) == 2 and state.run is None)
        assert engine.model("a").state is State.READY
        assert not learned
        assert output(ask(engine, "a", x)).shape == (1, 4)
        until(lambda: bool(learned))


def test_one_kind_of_request_runs_alone(store: Store, add: Any) -> None:
    """Requests with labels, whose output has a loss for all, run alone; those without run together
    before and after."""
    add("a", "judging")
    x = torch.ones(1, 4)
    with opened(store) as (engine, _):
        assert ask(engine, "a", torch.ones(2, 4)).result(20).batch == 2
        for labels in (False, True, False):
            inputs = {"x": x, "labels": 0 * x} if labels else {"x": x}
            engine.submit("a", inputs, time.monotonic() + 20).result(20)
            with engine._state.lock:
                answers = [engine.submit("a", inputs, time.monotonic() + 20) for _ in range(4)]
            assert [one.result(20).batch for one in answers] == [1 if labels else 4] * 4


def test_an_unknown_forward_has_more_time(store: Store, add: Any) -> None:
    """A forward of which nothing was measured may take longer than `stuck_after_s`, and is known
    then; the next one has the time that is usual for it."""
    import tiny_models

    add("a", "waiting")
    with opened(store, limits=Limits(stuck_after_s=10.0)) as (engine, _):
        state, x = engine._state, torch.ones(1, 4)
        first = ask(engine, "a", x)
        assert tiny_models.BEGUN.wait(10)
        with state.lock:
            assert state.run is not None
            assert state.run.limit_s - state.run.began_s == pytest.approx(60.0)
        tiny_models.GO_ON.set()
        assert output(first).shape == (1, 4)
        until(lambda: state.estimates.is_known(engine.stored("a")) and state.run is None)
        with state.lock:
            state.estimates.measured(engine.stored("a"), [(1, 0.1)])
            state.reprice()
        tiny_models.BEGUN.clear()
        tiny_models.GO_ON.clear()
        second = ask(engine, "a", x)
        assert tiny_models.BEGUN.wait(10)
        with state.lock:
            assert state.run is not None
            assert state.run.limit_s - state.run.began_s == pytest.approx(10.0)
        tiny_models.GO_ON.set()
        assert output(second).shape == (1, 4)
