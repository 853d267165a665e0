"""Carrying plans out: every task answered or accounted for, and answered rightly."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest
import torch

import trunkline
from tests.runtime.test_runtime import bottom, normal_output
from trunkline.errors import InputError
from trunkline.library import Model, ModelLibrary
from trunkline.links import Link, Stage
from trunkline.loading import LoadingModel, LoadingProblem, Task
from trunkline.runtime.execute import execute
from trunkline.runtime.inputs import generated
from trunkline.runtime.report import RunReport
from trunkline.runtime.runtime import Runtime
from trunkline.store import InputSpec, Store

SPEC = InputSpec((3, 6, 6))


@pytest.fixture
def states(store: Store, add: Any) -> dict[str, dict[str, torch.Tensor]]:
    """Three variants of a small network, two of which share all but the last layer."""
    a = add("a", "conv", 0, input=SPEC)
    b = add("b", "conv", 1, a, bottom, input=SPEC)
    return {"a": a, "b": b, "c": add("c", "conv", 2, input=SPEC)}


def problem_of(store: Store, deadline_s: float = 60.0, **changes: Any) -> LoadingProblem:
    """Six tasks for three models, batches of at most two."""
    models = [store.model(name) for name in "abc"]
    library = ModelLibrary(
        {block.digest: float(block.bytes) for one in models for block in one.blocks},
        [Model(one.name, tuple(block.digest for block in one.blocks)) for one in models],
    )
    problem = LoadingProblem(
        deadline_s=deadline_s,
        bandwidth_hz=1e6,
        loading=Link((Stage(1e9, 1e-4),)),
        library=library,
        models=tuple(LoadingModel(name, 1e-3, 1e-4, 2) for name in "abc"),
        tasks=tuple(Task(f"t{i}", name, 100.0, 5.0) for i, name in enumerate("aaabbc")),
    )
    return replace(problem, **changes)


def run(
    problem: LoadingProblem, store: Store, method: str = "optimal", **options: Any
) -> RunReport:
    """Plan and carry out."""
    return execute(problem, trunkline.plan(problem, method), store, **options)


def test_loads_from_the_disk_take_the_same_blocks(
    store: Store, states: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Right before each load, a cold run has the system forget all files of the model, while the
    clock stands still; it moves the same bytes; where the system does not forget, it says so."""
    problem = problem_of(store)
    happened: list[Any] = []
    real, forgetting_s = time.perf_counter, [0.0]

    def forget(paths: Any) -> bool:
        happened.append({path.name for path in paths})
        forgetting_s[0] += 1000.0
        return True

    def switch(runtime: Runtime, name: str, **options: Any) -> Any:
        happened.append(name)
        return switching(runtime, name, **options)

    switching = Runtime.switch
    monkeypatch.setattr(Runtime, "switch", switch)
    monkeypatch.setattr(time, "perf_counter", lambda: real() + forgetting_s[0])
    monkeypatch.setattr("trunkline.runtime.execute.drop_cached", forget)
    cold = run(problem, store, cold=True)
    files = {
        name: {block.digest.partition(":")[2] for block in store.model(name).blocks if block.bytes}
        for name in "abc"
    }
    order = [one.model for one in cold.batches]
    assert len(order) == 4  # a's three tasks in two batches of at most two, b's, and c's
    assert happened[-2 * len(order) :] == [x for name in order for x in (files[name], name)]
    assert cold.finish_s < 1000.0
    assert cold.bytes_moved == run(problem, store).bytes_moved
    monkeypatch.setattr("trunkline.runtime.execute.drop_cached", lambda paths: False)
    with pytest.raises(InputError, match="no load can come from the disk"):
        run(problem, store, cold=True)


@pytest.mark.parametrize("method", ["optimal", "independent", "greedy"])
def test_every_answer_is_the_normal_models(
    store: Store, states: dict[str, Any], method: str
) -> None:
    """All that are planned are served, with answers bit-equal to the normally loaded models', and
    the bytes moved are the plan's."""
    problem = problem_of(store)
    plan = trunkline.plan(problem, method)
    outputs: dict[str, torch.Tensor] = {}
    report = execute(problem, plan, store, seed=3, outputs=outputs)
    assert (report.served, report.late, report.received) == (plan.served, 0, 6)
    assert [one.bytes_moved for one in report.batches] == [b.load_bytes for b in plan.batches]
    assert report.partial == (method != "independent")
    for batch in plan.batches:
        x = torch.stack([generated(SPEC, 3, task) for task in batch.tasks])
        wanted = normal_output("conv", states[batch.model], x)
        for row, task in enumerate(batch.tasks):
            assert torch.equal(outputs[task], wanted[row])


def test_given_inputs_are_used(store: Store, states: dict[str, Any]) -> None:
    """A tensor per task; one that is missing or of another shape is refused by task id."""
    problem = problem_of(store)
    inputs = {f"t{i}": torch.full(SPEC.shape, float(i)) for i in range(6)}
    outputs: dict[str, torch.Tensor] = {}
    run(problem, store, inputs=inputs, outputs=outputs)
    wanted = normal_output("conv", states["c"], inputs["t5"][None])
    assert torch.equal(outputs["t5"], wanted[0])
    with pytest.raises(InputError, match="'t4'"):
        run(problem, store, inputs={k: v for k, v in inputs.items() if k != "t4"})
    with pytest.raises(InputError, match=r"'t2'.*shape"):
        run(problem, store, inputs={**inputs, "t2": torch.zeros(3, 5, 5)})


def test_late_is_not_served(store: Store, states: dict[str, Any]) -> None:
    """Served, late and not planned add up to received; a batch that ends late serves nobody."""
    problem = problem_of(store)
    plan = trunkline.plan(problem)
    hurried = replace(
        problem,
        tasks=(*(replace(t, deadline_s=0.0) for t in problem.tasks[:3]), *problem.tasks[3:]),
    )
    report = execute(hurried, plan, store)
    assert (report.served, report.late, report.not_planned) == (3, 3, 0)
    fewer = replace(plan, batches=plan.batches[:1], served=len(plan.batches[0].tasks))
    report = execute(problem, fewer, store)
    assert report.served + report.late + report.not_planned == report.received == 6
    assert report.not_planned == 6 - len(plan.batches[0].tasks)


def test_uploads_and_arrivals_are_waited_for(store: Store, states: dict[str, Any]) -> None:
    """A batch begins no earlier than its tasks arrive, and loads no earlier than its upload ends;
    without uploads nothing is waited for."""
    slow = tuple(replace(t, upload_bits=2e5, arrival_s=0.02) for t in problem_of(store).tasks)
    problem = problem_of(store, tasks=slow[:2])  # 2 x 2e5 / (1e6 x 5) = 0.08 s
    report = run(problem, store)
    assert report.batches[0].start_s >= 0.02
    assert report.batches[0].upload_s >= 0.08 * 0.999
    assert report.finish_s >= 0.1 * 0.999
    assert run(problem, store, uploads=False).upload_s < 0.04


def test_the_start_is_what_the_problem_says(store: Store, states: dict[str, Any]) -> None:
    """Blocks that are resident at the start are not moved, others are, whatever the warm-up did;
    a memory budget holds and the plan's evictions are followed."""
    size = store.model("a").bytes
    first = store.model("a").blocks[0]
    problem = problem_of(store, resident=frozenset({first.digest}), memory_bytes=float(2 * size))
    plan = trunkline.plan(problem)
    assert not trunkline.check(problem, plan)
    report = execute(problem, plan, store)
    assert [one.bytes_moved for one in report.batches] == [b.load_bytes for b in plan.batches]
    moved = {one.model: one.bytes_moved for one in report.batches if one.bytes_moved}
    distinct = problem.library.distinct_bytes
    assert sum(moved.values()) == distinct - first.bytes


def test_a_problem_of_another_store_is_refused(store: Store, states: dict[str, Any]) -> None:
    """A model whose blocks are not the store's would be planned wrongly."""
    problem = problem_of(store)
    models = [Model(m.id, m.blocks[1:] if m.id == "a" else m.blocks) for m in problem.library]
    other = replace(problem, library=ModelLibrary(problem.library.blocks, models))
    with pytest.raises(InputError, match="'a' has other blocks"):
        run(other, store)


def test_a_forward_that_fails_is_an_input_error(store: Store, add: Any) -> None:
    """An input that the module cannot take is told before the clock starts."""
    for name in "abc":
        add(name, "conv", input=InputSpec((2, 6, 6)))
    with pytest.raises(InputError, match=r"does not run on a batch of shape \[2, 2, 6, 6\]"):
        run(problem_of(store), store)


def test_no_tasks_no_batches(store: Store, states: dict[str, Any]) -> None:
    """An empty problem gives an empty report and no error to speak of."""
    report = run(problem_of(store, tasks=()), store)
    assert (report.received, report.finish_s, report.median_relative_error) == (0, 0.0, None)


def test_planned_evictions_are_carried_out(store: Store, states: dict[str, Any]) -> None:
    """Under a memory budget the run drops and loads what the plan says, batch by batch."""
    room = 1.2 * max(problem_of(store).library.model_bytes)
    tasks = tuple(
        Task(f"t{i}", name, 0.0, 5.0, arrival_s=0.02 * i) for i, name in enumerate("abcacb")
    )
    for method in ("optimal", "insertion", "greedy"):
        problem = problem_of(store, memory_bytes=room, tasks=tasks)
        plan = trunkline.plan(problem, method)
        assert trunkline.check(problem, plan) == []
        assert any(batch.evicted for batch in plan.batches)
        report = execute(problem, plan, store)
        assert report.served == plan.served == 6
        moved = [batch.bytes_moved for batch in report.batches]
        assert moved == [batch.load_bytes for batch in plan.batches]


def test_overlapping_plans_are_refused(store: Store, states: dict[str, Any]) -> None:
    """The runtime runs one batch after the other, and says so before it starts."""
    problem = problem_of(store, overlap=True)
    plan = trunkline.plan(problem)
    assert plan.overlaps
    with pytest.raises(InputError, match=r"batches overlap.*without"):
        execute(problem, plan, store)
