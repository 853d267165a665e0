"""Upper bounds on what any plan can serve, for problems too large to solve exactly. [derived]"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from trunkline.library import Component, Trie
from trunkline.links import Link, Stage
from trunkline.loading.clocks import START
from trunkline.loading.late import LateJobs
from trunkline.loading.line import Line
from trunkline.loading.ordered import laminar_part
from trunkline.loading.problem import LoadingProblem, in_time
from trunkline.loading.service import Reading, Service, Table, cut, service_of
from trunkline.loading.tables import Fold
from trunkline.loading.trie import TrieTable

MAX_MOMENTS = 12
"""At how many deadlines, and at how many arrivals, tasks are counted."""


def servable_bound(problem: LoadingProblem) -> int:
    """The tasks that could be served if each were alone and its model resident."""
    return len(_servable(problem))


def _servable(problem: LoadingProblem) -> list[int]:
    """The positions of the tasks that could be served alone."""
    costs = [m.seconds_per_batch + m.seconds_per_task for m in problem.models]
    found = []
    for k, (task, upload_s) in enumerate(zip(problem.tasks, problem.upload_s, strict=True)):
        model = problem.model_index[task.model]
        alone_s = task.arrival_s + upload_s + costs[model]
        if in_time(alone_s, problem.deadline_of(task)) and problem.fits(model):
            found.append(k)
    return found


def relaxed_bound(problem: LoadingProblem, reading: Reading) -> int:
    """A bound for problems with any optional field: the least of three.

    - Late jobs (`late`), from the start.
    - Deadlines: of the tasks due by D, at most as many as `_most_within` D; from one deadline to
      the next the count grows by no more than the tasks due then.
    - Arrivals: the same from the last arrival back. The tasks that arrive at A or later have the
      time until the last deadline, and may find loaded what fits into memory.

    Where batches overlap, the last two count each stage alone.
    """
    line = Line(problem, reading)
    every = sum(1 << k for tasks in line.tasks for k in tasks)
    bound = LateJobs(line).most(every, line.resident, START)
    servable = _servable(problem)
    if not servable:
        return 0
    deadlines = {k: problem.deadline_of(problem.tasks[k]) for k in servable}
    arrivals = {k: problem.tasks[k].arrival_s for k in servable}
    end_s = max(deadlines.values())

    stages = _stages(problem) if problem.overlap else [problem]

    def due_by(tasks: Sequence[int], deadline_s: float) -> int:
        return min(_most_within(stage, reading, tasks, deadline_s) for stage in stages)

    def arriving_from(tasks: Sequence[int], minus_arrival_s: float) -> int:
        time_left_s = end_s + minus_arrival_s + _loaded_before_s(problem)
        return min(_most_within(stage, reading, tasks, time_left_s) for stage in stages)

    bound = min(bound, _chain(deadlines, due_by))
    if any(arrivals.values()):
        bound = min(bound, _chain({k: -a for k, a in arrivals.items()}, arriving_from))
    return bound


def _stages(problem: LoadingProblem) -> list[LoadingProblem]:
    """Where batches overlap, the problem of each stage alone: all else takes no time."""
    idle = tuple(
        replace(model, seconds_per_batch=0.0, seconds_per_task=0.0) for model in problem.models
    )
    there = tuple(replace(task, upload_bits=0.0) for task in problem.tasks)
    apart = replace(problem, overlap=False)
    return [
        replace(apart, models=idle, loading=Link()),
        replace(apart, models=idle, tasks=there),
        replace(apart, tasks=there, loading=Link()),
    ]


def _chain(moments: dict[int, float], most: Callable[[list[int], float], int]) -> int:
    """The most tasks when of those with a moment up to any one at most `most` can be served."""
    tasks = sorted(moments, key=lambda k: moments[k])
    ends = [n for n in range(1, len(tasks)) if moments[tasks[n]] > moments[tasks[n - 1]]]
    ends = [*ends[:: -(-len(ends) // MAX_MOMENTS) or 1], len(tasks)]
    count = before = 0
    for end in ends:
        found = most(tasks[:end], moments[tasks[end - 1]])
        count, before = min(count + end - before, found), end
    return count


def _loaded_before_s(problem: LoadingProblem) -> float:
    """The seconds that loading all that may be resident at any moment can have taken."""
    room = max(problem.library.model_bytes, default=0.0)
    if problem.memory_bytes is not None:
        room = min(problem.memory_limit, problem.library.distinct_bytes)
    return problem.loading.seconds(room)


def _most_within(
    problem: LoadingProblem, reading: Reading, tasks: Sequence[int], limit_s: float
) -> int:
    """At most as many of these tasks can be served in so many seconds.

    Relaxed: all are there at the start and due at the end; a block is loaded at most once, and what
    is resident at the start is free; loads have no overhead. Of the sharing either a laminar part
    is kept (`TrieTable` is exact for it), or each model is charged its part of the blocks that it
    shares, in equal parts among the models asked for. Without a memory budget also: each model is
    charged the least that it loads after any other one. All are least times from below.
    """
    chosen = tuple(replace(problem.tasks[k], arrival_s=0.0, deadline_s=None) for k in tasks)
    service = service_of(replace(problem, deadline_s=limit_s, tasks=chosen), reading)
    asked = [i for i, table in enumerate(service.tables) if table.size > 1]
    parts = [part for c in problem.library.components for part in c.restricted(asked)]
    least = _least_loads(problem) if problem.memory_bytes is None else None
    tables = []
    for part in parts:
        below = [_trie_table(problem, part, service), _charge_table(problem, part, service)]
        if least is not None:
            below.append(_charged({i: least[i] for i in part.models}, service))
        size = min(table.size for table in below)
        tables.append(np.max([table[:size] for table in below], axis=0))
    return Fold(tables, service.limit_s).table.size - 1


def _trie_table(problem: LoadingProblem, part: Component, service: Service) -> Table:
    """The least-time table of a laminar part of the sharing, residents left out."""
    rate = problem.loading.seconds_per_byte
    link = Link((Stage(1.0 / rate),)) if rate > 0 else Link()
    trie = laminar_part(part)
    if problem.resident:
        nodes = (replace(node, bytes=_missing(problem, node.blocks)) for node in trie.nodes)
        trie = Trie(tuple(nodes))
    return TrieTable(trie, service.tables, link, service.limit_s).table


def _charge_table(problem: LoadingProblem, part: Component, service: Service) -> Table:
    """The least-time table when each model pays for its part of what it shares."""
    charges = dict.fromkeys(part.models, 0.0)
    for group in part.groups:
        seconds = problem.loading.seconds_per_byte * _missing(problem, group.blocks)
        for model in group.models:
            charges[model] += seconds / len(group.models)
    return _charged(charges, service)


def _least_loads(problem: LoadingProblem) -> dict[int, float]:
    """What each model asked for loads at least, after any other one or at the start."""
    asked = {problem.model_index[problem.tasks[k].model] for k in _servable(problem)}
    library, loading = problem.library, problem.loading
    return {
        i: loading.seconds(
            min(
                [_missing(problem, tuple(library.block_sets[i]))]
                + [library.missing_bytes(i, j) for j in asked if j != i]
            )
        )
        for i in asked
    }


def _charged(charges: dict[int, float], service: Service) -> Table:
    """The least-time table when any visit to a model pays its charge."""
    tables = []
    for model, seconds in charges.items():
        table = service.tables[model] + seconds
        table[0] = 0.0
        tables.append(cut(table, service.limit_s))
    return Fold(tables, service.limit_s).table


def _missing(problem: LoadingProblem, blocks: Sequence[str]) -> float:
    """The bytes of those blocks that are not resident at the start."""
    sizes = problem.library.blocks
    return sum(sizes[block] for block in blocks if block not in problem.resident)
