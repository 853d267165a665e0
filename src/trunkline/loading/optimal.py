"""`optimal`: the most tasks in time, in continuous time, proved wherever the time limit allows.

Each connected component of the sharing is solved alone for its table "least seconds to serve k
tasks", and the tables are combined (`parts`). A component is solved

- by its trie, at any size, where the sharing is prefix-like (`trie`);
- by dynamic programming along one order of its models, where every block's models stand together in
  it (`ordered`);
- by dynamic programming over subsets where it is scattered and small (`subsets`).

The models of all other components are planned together: `search` finds a plan and a bound, and a
branch and cut (`proof`) proves the plan or finds a better one, until the time limit.

Problems with arrivals, deadlines per task, a memory budget, resident blocks or overlap: see
`extended`.
"""

from __future__ import annotations

from trunkline.loading.extended import extended
from trunkline.loading.parts import Parts
from trunkline.loading.plan import LoadingPlan
from trunkline.loading.problem import LoadingProblem
from trunkline.loading.schedule import batches_of, plan_of
from trunkline.loading.search import explore
from trunkline.loading.service import Reading, Service, Upload, service_of
from trunkline.loading.trie import Visit
from trunkline.timing import TimeLimit

TIME_LIMIT_S = 10.0
"""How long a proof may take by default. Where tables are exact, nothing takes that long."""

QUICK_EFFORT = 60
"""The effort of the local search where a plan is only the start of another one."""


def optimal(
    problem: LoadingProblem, *, upload: Upload = "sum", time_limit_s: float | None = None
) -> LoadingPlan:
    """The plan that serves the most tasks and, among those found, ends first.

    `bound` is always valid; `proven` says whether it is met.

    Args:
        time_limit_s: after so many seconds the best plan so far is returned. It matters to large
            components with scattered sharing (None: `TIME_LIMIT_S`) and to problems with optional
            fields (None: a fixed effort, the same on every machine).
    """
    limit = TimeLimit(TIME_LIMIT_S if time_limit_s is None else time_limit_s)
    reading = Reading(upload)
    plain = problem.plain
    if plain is None:
        return extended(problem, reading, _visits, time_limit_s=time_limit_s)
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
