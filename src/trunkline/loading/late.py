"""How many tasks can still be in time at most, from any state: a bound by late jobs. [derived]

Relax a plan from a moment on to jobs on one machine, one job a task: whatever a task's batch takes
is split among tasks so that the jobs of any set of tasks served take no longer than the plan does.

- upload: u_k (a batch charged its longest: u_k / b, with b the most tasks that a batch can have);
- compute: mu + beta / b;
- load: each block that is not resident, at the rate of V, in equal parts to all tasks left whose
  models hold it; if only one model left does, with V's overhead.

All that is charged to tasks due by D has happened by D if they are in time, so the jobs due by D
take no longer than until D, and Moore and Hodgson's rule (1968) gives the most jobs in time: take
them as they are due, and when one would be late leave out the longest so far. Read backwards, with
arrivals in the place of deadlines, the same bounds what can be done after the arrivals; but blocks
may be loaded before them, so loads do not count there.

Where batches overlap, each stage has jobs of its own, due a computation earlier for uploads and
loads, and the least of the three counts.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator

from trunkline.loading.clocks import Clocks
from trunkline.loading.line import Line

_Job = tuple[int, float, float, float]
"""A task, and what it adds to uploads, loads and computations [s]."""


class LateJobs:
    """The bound for a line of tasks."""

    def __init__(self, line: Line) -> None:
        self._line = line
        tasks = [k for tasks in line.tasks for k in tasks]
        self._by_deadline = sorted(tasks, key=lambda k: (line.latest_s[k], k))
        self._end_s = max((line.latest_s[k] for k in tasks), default=0.0)
        self._of_model = [sum(1 << k for k in tasks) for tasks in line.tasks]
        self._classes = [
            (one, [i for i, need in enumerate(line.needs) if need & one])
            for one in line.masks.classes
        ]

    def most(self, left: int, resident: int, clocks: Clocks) -> int:
        """The most of the tasks in `left` (a mask) that can be in time from these clocks on, with
        these blocks resident."""
        line = self._line
        counts = [(left & own).bit_count() for own in self._of_model]
        tasks = [k for k in self._by_deadline if left >> k & 1]
        computes = self._compute_s(counts)
        loads = self._load_s(counts, resident)
        jobs = [
            (k, self._upload_s(k, counts), loads[line.model[k]], computes[line.model[k]])
            for k in tasks
        ]
        if line.overlap:
            return min(self._stages(jobs, clocks))
        clock = clocks[2]
        most = in_time((line.latest_s[k] - clock, u + v + c) for k, u, v, c in jobs)
        if any(line.arrival_s[k] > clock for k in tasks):
            backwards = sorted((-max(clock, line.arrival_s[k]), k, u + c) for k, u, _, c in jobs)
            most = min(most, in_time((self._end_s + moment, s) for moment, _, s in backwards))
        return most

    def _stages(self, jobs: list[_Job], clocks: Clocks) -> Iterator[int]:
        """The most tasks that each stage alone can have in time."""
        line = self._line
        after = [(line.latest_s[k] - line.compute_s(line.model[k], 1), u, v) for k, u, v, _ in jobs]
        yield in_time(sorted((due - clocks[0], u) for due, u, _ in after))
        yield in_time(sorted((due - clocks[1], v) for due, _, v in after))
        yield in_time((line.latest_s[k] - clocks[2], c) for k, _, _, c in jobs)
        if any(line.arrival_s[k] > clocks[0] for k, *_ in jobs):
            backwards = sorted((-max(clocks[0], line.arrival_s[k]), k, u, c) for k, u, _, c in jobs)
            yield in_time((self._end_s + moment, u) for moment, _, u, _ in backwards)
            yield in_time((self._end_s + moment, c) for moment, _, _, c in backwards)

    def _compute_s(self, counts: list[int]) -> list[float]:
        """What a task of each model adds to the computations at least."""
        line = self._line
        return [
            line.per_task_s[i] + line.per_batch_s[i] / min(count, line.max_batch[i])
            if count
            else 0.0
            for i, count in enumerate(counts)
        ]

    def _upload_s(self, k: int, counts: list[int]) -> float:
        """What a task adds to the uploads at least."""
        if self._line.is_sum:
            return self._line.upload_s[k]
        model = self._line.model[k]
        return self._line.upload_s[k] / min(counts[model], self._line.max_batch[model])

    def _load_s(self, counts: list[int], resident: int) -> list[float]:
        """What is charged to a task of each model for loads."""
        line = self._line
        loads = [0.0] * len(counts)
        rate, overhead_s = line.problem.loading.seconds_per_byte, line.problem.loading.overhead_s
        alone = [False] * len(counts)
        for one, holders in self._classes:
            missing = one & ~resident
            if missing:
                asked = [i for i in holders if counts[i]]
                sharing = sum(counts[i] for i in asked)
                for i in asked:
                    loads[i] += rate * line.masks.bytes(missing) / sharing
                if len(asked) == 1:
                    alone[asked[0]] = True
        for i, count in enumerate(counts):
            if alone[i]:
                loads[i] += overhead_s / count
        return loads


def in_time(jobs: Iterable[tuple[float, float]]) -> int:
    """Moore and Hodgson: the most jobs in time; (deadline, seconds) in order of deadlines."""
    taken: list[float] = []
    clock = 0.0
    for deadline_s, seconds in jobs:
        heapq.heappush(taken, -seconds)
        clock += seconds
        if clock > deadline_s:
            clock += heapq.heappop(taken)
    return len(taken)
