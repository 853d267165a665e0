"""`optimal`: the most tasks in time, in continuous time, proved wherever the time limit allows.

Each connected component of the sharing is solved alone for its table "least seconds to serve k
tasks", and the tables are combined (`parts`). A component is solved

- by its trie, at any size, where the sharing is prefix-like (`trie`);
- by dynamic programming along one order of its models, where every block's models stand together in
  it (`ordered`);
- by dynamic programming over subsets where it is scattered and small (`subsets`).

The models of all other components are planned together: `search` finds a plan and a bound, and a
branch and cut (`proof`) proves the plan or finds a better one, until the time limit.

Problems with arrivals, deadlines per task, a memory budget or resident blocks get the best of
several plans (`forward`), under a bound from a relaxation: valid, and honest about the gap.
"""

from __future__ import annotations

from dataclasses import replace

from trunkline.loading.forward import Forward
from trunkline.loading.parts import Parts
from trunkline.loading.plan import Batch, LoadingPlan
from trunkline.loading.problem import LoadingProblem
from trunkline.loading.relax import relaxed_bound
from trunkline.loading.schedule import batches_of, plan_of
from trunkline.loading.search import explore
from trunkline.loading.service import Reading, Service, Upload, service_of
from trunkline.loading.timing import TimeLimit
from trunkline.loading.trie import Visit

TIME_LIMIT_S = 10.0
"""How long a proof may take by default. Where tables are exact, nothing takes that long."""

MAX_DEADLINES = 8
"""How many of the tasks' own deadlines are tried as the common one."""

QUICK_EFFORT = 60
"""The effort of the local search where a plan is only the start of another one."""


def optimal(
    problem: LoadingProblem, *, upload: Upload = "sum", time_limit_s: float | None = TIME_LIMIT_S
) -> LoadingPlan:
    """The plan that serves the most tasks and, among those found, ends first.

    `bound` is always valid; `proven` says whether it is met.

    Args:
        time_limit_s: after so many seconds the best plan so far is returned; None is no limit. It
            matters only to large components with scattered sharing.
    """
    limit = TimeLimit(time_limit_s)
    reading = Reading(upload)
    plain = problem.plain
    if plain is None:
        batches = _extended(problem, reading)
        return plan_of(problem, "optimal", batches, bound=relaxed_bound(problem, reading))
    service = service_of(plain, reading)
    parts = Parts(plain, service)
    proof = explore(parts, limit)
    proof.branch(limit)
    batches = batches_of(plain, service, parts.visits(*proof.best))
    return plan_of(problem, "optimal", batches, bound=proof.bound)


def _visits(problem: LoadingProblem, service: Service) -> list[Visit]:
    """The visits of a plain problem, proved or not, in milliseconds."""
    parts = Parts(problem, service)
    return parts.visits(*explore(parts, TimeLimit(None), effort=QUICK_EFFORT, relaxed=False).best)


def _extended(problem: LoadingProblem, reading: Reading) -> tuple[Batch, ...]:
    """The best of several plans for a problem with optional fields.

    One is greedy throughout. The others take a deadline that some task has, plan the tasks due
    then or later as if it were the only one and nothing else were stated, run these batches under
    what is stated, and go on greedily.
    """
    deadlines = sorted({problem.deadline_of(task) for task in problem.tasks})
    tried = [Forward(problem, reading).run_greedy()]
    for deadline_s in deadlines[:: -(-len(deadlines) // MAX_DEADLINES) or 1]:
        kept = [
            k
            for k, task in enumerate(problem.tasks)
            if problem.deadline_of(task) >= deadline_s
            and problem.fits(problem.model_index[task.model])
        ]
        tasks = tuple(replace(problem.tasks[k], arrival_s=0.0, deadline_s=None) for k in kept)
        plain = replace(
            problem, deadline_s=deadline_s, tasks=tasks, memory_bytes=None, resident=frozenset()
        )
        service = service_of(plain, reading)
        position = {problem.tasks[k].id: k for k in kept}
        groups = [
            (plain.model_index[batch.model], [position[name] for name in batch.tasks])
            for batch in batches_of(plain, service, _visits(plain, service))
        ]
        tried.append(Forward(problem, reading).replay(groups).run_greedy())
    best = max(tried, key=_merit)
    return tuple(best.batches)


def _merit(plan: Forward) -> tuple[int, float]:
    """More tasks first, then an earlier end."""
    served = sum(len(batch.tasks) for batch in plan.batches)
    return served, -plan.batches[-1].finish_s if plan.batches else 0.0
