"""Branch and bound over states: exact for small problems with any optional field. [derived]

A state is what the future depends on: the tasks that may still be served, the blocks resident (of
those that such tasks need), and the clock. From it any batch may run next. A state goes if another
with the same tasks and blocks has served as many by then, or if even a relaxation (`relax`) leaves
no more than the best plan known. Without loss of a best plan:

- Of blocks only as many are evicted as room demands (more residents never hurt).
- Two tasks of one model are served in an order that some best plan has (`exchanges`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from trunkline.loading.clocks import START, Clocks
from trunkline.loading.exchanges import Exchanges
from trunkline.loading.late import LateJobs
from trunkline.loading.line import Line
from trunkline.loading.schedule import Group

MAX_STATES = 40_000
"""The search gives up after reaching so many states, or trying so many batches (about a second)."""

MAX_OPEN = 5_000
"""Given up with more open states than this, their bounds are not worked out."""


_State = tuple[int, int, int]
"""What two nodes have in common that can replace each other: tasks left, blocks resident, and
blocks computed with."""


@dataclass(slots=True)
class _Node:
    """A state reached, and the batch by which it was reached.

    Attributes:
        left: bits of the tasks that may still be served.
        resident: bits of the blocks that such tasks need.
        computing: where batches overlap under a memory budget, bits of the last batch's blocks.
        served: tasks served until now.
        clocks: when the stages are free.
    """

    left: int
    resident: int
    computing: int
    served: int
    clocks: Clocks
    before: _Node | None = None
    group: Group = (-1, ())
    kept: int = 0


@dataclass(frozen=True)
class Found:
    """What the search found.

    Attributes:
        groups, kept: the batches of a plan that serves more than was known, and what stays beside
            each; empty if none was found.
        bound: no plan serves more than this.
    """

    groups: list[Group]
    kept: list[int]
    bound: int


def branch_and_bound(
    line: Line, known: int, *, max_states: int = MAX_STATES, until: float = math.inf
) -> Found:
    """The best plan that serves more than `known` tasks, if there is one.

    Args:
        line: tasks, models and blocks.
        max_states: give up after reaching so many states,
        until: or when `time.perf_counter()` says so.
    """
    return _Search(line, known, max_states, until).run()


class _Search:
    """The states by how many tasks are left, and the best plan so far."""

    def __init__(self, line: Line, known: int, max_states: int, until: float) -> None:
        self._line = line
        self._known = known
        self._states_left = max_states
        self._until = until
        self._late = LateJobs(line)
        self._best: _Node | None = None
        tasks = [k for tasks in line.tasks for k in tasks]
        self._alone_s = {k: (line.upload_s[k], line.compute_s(line.model[k], 1)) for k in tasks}
        self._everything = _mask(tasks)
        self._of_model = [_mask(tasks) for tasks in line.tasks]
        self._last_arrival_s = max((line.arrival_s[k] for k in tasks), default=0.0)
        self._exchanges = Exchanges(line)
        self._locks = line.overlap and line.budget is not None
        self._layers: list[dict[_State, list[_Node]]] = [{} for _ in range(len(tasks) + 1)]

    def run(self) -> Found:
        self._note(_Node(self._everything, self._line.resident, 0, 0, START))
        for layer in reversed(self._layers):
            for nodes in layer.values():
                for node in nodes:
                    if node.served + self._most(node) > self._known:
                        self._expand(node)
                        if self._over():
                            return self._found(self._open())
            layer.clear()
        return self._found(self._known)

    def _over(self) -> bool:
        """Whether it is time to give up."""
        return self._states_left < 0 or time.perf_counter() > self._until

    def _most(self, node: _Node) -> int:
        """The most tasks that any plan can add."""
        count = node.left.bit_count()
        if node.served + count <= self._known:
            return count
        return self._late.most(node.left, node.resident, node.clocks)

    def _open(self) -> int:
        """The most that any plan through a state not yet (or not wholly) gone on from may serve."""
        nodes = [node for layer in self._layers for nodes in layer.values() for node in nodes]
        if len(nodes) > MAX_OPEN:
            return max(node.served + node.left.bit_count() for node in nodes)
        return max([self._known, *(node.served + self._most(node) for node in nodes)])

    def _found(self, bound: int) -> Found:
        groups, kept = [], []
        node = self._best
        while node is not None and node.before is not None:
            groups.append(node.group)
            kept.append(node.kept)
            node = node.before
        return Found(groups[::-1], kept[::-1], bound)

    def _note(self, node: _Node) -> None:
        """Note a state, unless another has served as many as early; it replaces those it beats."""
        self._states_left -= 1
        if node.served > self._known:
            self._known, self._best = node.served, node
        layer = self._layers[node.left.bit_count()]
        same = layer.setdefault((node.left, node.resident, node.computing), [])
        if not any(_as_good(one, node) for one in same):
            same[:] = [one for one in same if not _as_good(node, one)]
            same.append(node)

    def _expand(self, node: _Node) -> None:
        """Note the states after every batch that can run next."""
        line = self._line
        for model, own in enumerate(self._of_model):
            if not node.left & own:
                continue
            need = line.needs[model]
            load_s = line.load_s(need & ~node.resident)
            stays: dict[int, list[tuple[int, bool]]] = {}
            for batch in self._batches(node, model, load_s):
                served = node.served + len(batch.members)
                if served + (node.left & ~batch.gone).bit_count() <= self._known:
                    continue
                wanted = self._wanted(node.left & ~batch.gone)
                others = node.resident & wanted & ~need
                if others not in stays:
                    stays[others] = self._stays(others, need, node.computing)
                computing = need if self._locks else 0
                for waits in (False, True):
                    clocks = line.stages.step(node.clocks, *batch.work, waits)
                    choices = [kept for kept, late in stays[others] if late == waits]
                    if not choices or clocks[2] > batch.due_s:
                        continue
                    left = self._in_reach(node.left & ~batch.gone, clocks)
                    wanted = self._wanted(left)
                    group = (model, batch.members)
                    for kept in choices:
                        resident = (kept | need) & wanted
                        self._note(
                            _Node(left, resident, computing, served, clocks, node, group, kept)
                        )

    def _stays(self, others: int, need: int, computing: int) -> list[tuple[int, bool]]:
        """What can stay when a model loads, and whether its load then waits for the batch before
        it, because not all of its blocks stay.

        Args:
            others: what it would be of use to keep.
            need: the model's blocks.
            computing: the blocks of the batch before it, if that matters.
        """
        line = self._line
        if line.budget is None:
            return [(0, False)]
        room = line.budget - line.masks.bytes(need)
        if not computing:
            return [(kept, False) for kept in line.masks.most_within(others, room)]
        locked = computing & ~need
        room_ahead = room - line.masks.bytes(locked)
        ahead = [kept | locked for kept in line.masks.most_within(others & ~locked, room_ahead)]
        after = [
            kept
            for kept in line.masks.most_within(others, room)
            if not any(kept & ~more == 0 for more in ahead)
        ]
        return [(kept, False) for kept in ahead] + [(kept, True) for kept in after]

    def _wanted(self, left: int) -> int:
        """The blocks that the models of these tasks need."""
        wanted = 0
        for own, need in zip(self._of_model, self._line.needs, strict=True):
            if left & own:
                wanted |= need
        return wanted

    def _in_reach(self, left: int, clocks: Clocks) -> int:
        """Those tasks that can still be in time."""
        line = self._line
        for k, (upload_s, compute_s) in self._alone_s.items():
            if left >> k & 1:
                alone = line.stages.step(clocks, line.arrival_s[k], upload_s, 0.0, compute_s)
                if alone[2] > line.latest_s[k]:
                    left ^= 1 << k
        return left

    def _batches(self, node: _Node, model: int, load_s: float) -> Iterator[_Batch]:
        """Every batch of a model that can run next in time and that the exchanges leave."""
        waiting = [k for k in self._exchanges.order[model] if node.left >> k & 1]
        settled = node.clocks[0] >= self._last_arrival_s
        work = (0.0, 0.0, load_s, self._line.per_batch_s[model])
        nothing = _Batch((), 0, math.inf, work)
        if self._exchanges.waits(waiting, settled):
            return self._by_deadline(node, waiting, nothing)
        return self._any(node, waiting, nothing, settled)

    def _by_deadline(self, node: _Node, waiting: list[int], nothing: _Batch) -> Iterator[_Batch]:
        """The quickest tasks due between any two deadlines; the others due until then are out."""
        line = self._line
        due = sorted({line.latest_s[k] for k in waiting})
        seen = set()
        for n, first in enumerate(due):
            for last in due[n:]:
                batch = nothing
                for k in waiting:
                    if not first <= line.latest_s[k] <= last:
                        continue
                    batch = batch.joined(line, k)
                    if line.stages.step(node.clocks, *batch.work)[2] > batch.due_s:
                        break
                    if batch.gone not in seen:
                        seen.add(batch.gone)
                        until = max(line.latest_s[k] for k in batch.members)
                        out = _mask(k for k in waiting if line.latest_s[k] <= until)
                        yield replace(batch, gone=batch.gone | out)

    def _any(
        self, node: _Node, waiting: list[int], nothing: _Batch, settled: bool
    ) -> Iterator[_Batch]:
        """Any of the tasks, but for exchanges of two."""
        line = self._line
        stack = [(0, 0, nothing)]
        while stack:
            place, passed, begun = stack.pop()
            self._states_left -= 1
            if self._over():
                return
            for later in range(place, len(waiting)):
                k = waiting[later]
                batch = begun.joined(line, k)
                if line.stages.step(node.clocks, *batch.work)[2] <= batch.due_s:
                    out = self._exchanges.rejected(k, passed, settled)
                    if out is not None:
                        batch.gone |= out
                        yield batch
                        if len(batch.members) < line.max_batch[line.model[k]]:
                            stack.append((later + 1, passed, batch))
                passed |= 1 << k


@dataclass(slots=True)
class _Batch:
    """A batch that may run next.

    Attributes:
        members: its tasks.
        gone: bits of its tasks and of those that are out of the game with them.
        due_s: when the first of them is due.
        work: its last arrival, its upload, load and computation [s].
    """

    members: tuple[int, ...]
    gone: int
    due_s: float
    work: tuple[float, float, float, float]

    def joined(self, line: Line, k: int) -> _Batch:
        """The batch with one more task."""
        arrival_s, upload_s, load_s, compute_s = self.work
        return _Batch(
            (*self.members, k),
            self.gone | 1 << k,
            min(self.due_s, line.latest_s[k]),
            (
                max(arrival_s, line.arrival_s[k]),
                line.joint_upload_s(upload_s, k),
                load_s,
                compute_s + line.per_task_s[line.model[k]],
            ),
        )


def _as_good(one: _Node, other: _Node) -> bool:
    """Whether a state has served as many as another with the same tasks and blocks, as early."""
    if one.served < other.served:
        return False
    return all(a <= b for a, b in zip(one.clocks, other.clocks, strict=True))


def _mask(tasks: Iterable[int]) -> int:
    return sum(1 << k for k in tasks)
