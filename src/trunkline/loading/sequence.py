"""A sequence of batches under change: where one more task fits, judged in constant time a place."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import NamedTuple

from trunkline.loading.clocks import ANY_TIME, START, Clocks
from trunkline.loading.evictions import keep_best, keep_soonest, loads
from trunkline.loading.line import Line
from trunkline.loading.schedule import Group

TRIES = 3
"""Under a memory budget, in how many places a new batch is tried: it changes what stays."""


class _Work(NamedTuple):
    """What a batch demands: its last arrival, its three steps, whether its load waits for the batch
    before it to end, and its tasks' first deadline."""

    arrival_s: float
    upload_s: float
    load_s: float
    compute_s: float
    waits: bool
    due_s: float


class BatchSequence:
    """Batches in order, all in time.

    Args:
        line: tasks, models, blocks, and how batches follow each other.
        groups: the batches to begin with; those that would be late are left out.

    Attributes:
        models, members: of each batch, its model and its tasks.
        kept: the blocks that stay beside each batch's own when it loads.
        ahead: under a memory budget, whether what a batch computes with stays wherever it can, so
            that the next one is loaded meanwhile.
    """

    def __init__(self, line: Line, groups: Sequence[Group] = ()) -> None:
        self._line = line
        self.ahead = line.overlap
        self.models = [model for model, _ in groups]
        self.members = [list(members) for _, members in groups]
        self.kept: list[int] = []
        self._works: list[_Work] = []
        self._before: list[Clocks] = [START]  # clocks before each batch, and after the last
        self._latest: list[Clocks] = [ANY_TIME]  # the latest they may be
        self._mend()

    @property
    def groups(self) -> list[Group]:
        """The batches, as they are now."""
        return [(i, tuple(members)) for i, members in zip(self.models, self.members, strict=True)]

    @property
    def served(self) -> int:
        """How many tasks the batches have."""
        return sum(map(len, self.members))

    @property
    def merit(self) -> tuple[int, float]:
        """More tasks first, then an earlier end."""
        return self.served, -self._before[-1][2]

    def copy(self) -> BatchSequence:
        """The same batches, to be changed apart."""
        twin = BatchSequence.__new__(BatchSequence)
        twin._line, twin.ahead = self._line, self.ahead
        twin.models, twin.members = self.models[:], [members[:] for members in self.members]
        twin.kept, twin._works = self.kept[:], self._works[:]
        twin._before, twin._latest = self._before[:], self._latest[:]
        return twin

    def drop(self, gone: Collection[int]) -> None:
        """Take tasks out, and batches that are then empty."""
        left = [[k for k in members if k not in gone] for members in self.members]
        self.models = [i for i, members in zip(self.models, left, strict=True) if members]
        self.members = [members for members in left if members]
        self._mend()

    def _mend(self) -> None:
        """Replan, and leave out batches that are then late (what stays is no optimum, so fewer
        batches may load more)."""
        while not self._replan():
            ends = [clocks[2] for clocks in self._before[1:]]
            late = next(n for n, work in enumerate(self._works) if ends[n] > work.due_s)
            del self.models[late], self.members[late]

    def insert(self, k: int) -> bool:
        """Put a task where it delays what follows least: into a batch of its model, else as a
        batch of its own. Whether it found a place."""
        return self._join(k) or self._begin(k)

    def keep_best(self) -> None:
        """Under a memory budget, decide what stays by the integer programme, if that leaves all
        batches in time, and put tasks into them that then have a place."""
        line = self._line
        if line.budget is None or line.overlap:
            return
        needs = [line.needs[i] for i in self.models]
        link = line.problem.loading
        kept = keep_best(needs, line.masks, line.budget, line.resident, link)
        if kept is not None and self._keep(kept):
            served = {k for members in self.members for k in members}
            for tasks in line.tasks:
                for k in tasks:
                    if k not in served:
                        self._join(k)
        elif kept is not None:
            self._replan()

    def _join(self, k: int) -> bool:
        """Put a task into a batch of its model."""
        line, model = self._line, self._line.model[k]
        best_s, best = math.inf, -1
        for place, one in enumerate(self.models):
            if one != model or len(self.members[place]) == line.max_batch[model]:
                continue
            work = self._with(self._works[place], k)
            after = line.stages.step(self._before[place], *work[:5])
            if after[2] <= work.due_s and _within(after, self._latest[place + 1]):
                delay_s = sum(after) - sum(self._before[place + 1])
                if delay_s < best_s:
                    best_s, best = delay_s, place
        if best < 0:
            return False
        self.members[best].append(k)
        self._works[best] = self._with(self._works[best], k)
        self._set_clocks()
        return True

    def _with(self, work: _Work, k: int) -> _Work:
        """What a batch demands with one more task."""
        line = self._line
        return _Work(
            max(work.arrival_s, line.arrival_s[k]),
            line.joint_upload_s(work.upload_s, k),
            work.load_s,
            work.compute_s + line.per_task_s[line.model[k]],
            work.waits,
            min(work.due_s, line.latest_s[k]),
        )

    def _begin(self, k: int) -> bool:
        """Put a task in as a batch of its own."""
        places = sorted(self._places(k))
        for _, place in places[: 1 if self._line.budget is None else TRIES]:
            self.models.insert(place, self._line.model[k])
            self.members.insert(place, [k])
            if self._replan():
                return True
            del self.models[place], self.members[place]
        if places:
            self._replan()
        return False

    def _places(self, k: int) -> list[tuple[float, int]]:
        """Where a batch of this task could go, with the delay that it means for the next one; under
        a memory budget without what it would force to be evicted."""
        line, model = self._line, self._line.model[k]
        need, step = line.needs[model], line.stages.step
        arrival_s, upload_s, latest_s = line.arrival_s[k], line.upload_s[k], line.latest_s[k]
        compute_s = line.compute_s(model, 1)
        found = []
        for place, before in enumerate(self._before):
            # The two loads, of this batch and the next, are never less than the next one's is now.
            after = step(before, arrival_s, upload_s, 0.0, compute_s)
            if after[2] > latest_s or not _within(after, self._latest[place]):
                continue
            resident, waits = line.resident, False
            if place:
                previous = line.needs[self.models[place - 1]]
                resident = previous | self.kept[place - 1]
                waits = self._waits(previous, need)
            load_s = line.load_s(need & ~resident)
            after = step(before, arrival_s, upload_s, load_s, compute_s, waits)
            if after[2] > latest_s:
                continue
            if place == len(self.models):
                found.append((sum(after) - sum(self._before[place]), place))
                break
            stays = need if line.budget is None else need | resident
            work, following = self._works[place], line.needs[self.models[place]]
            load_s = line.load_s(following & ~stays)
            waits = self._waits(need, following)
            then = step(after, work.arrival_s, work.upload_s, load_s, work.compute_s, waits)
            if then[2] <= work.due_s and _within(then, self._latest[place + 1]):
                found.append((sum(then) - sum(self._before[place + 1]), place))
        return found

    def _replan(self) -> bool:
        """Decide anew what stays, and set all times; whether all batches are in time."""
        line = self._line
        needs = [line.needs[i] for i in self.models]
        if line.budget is None:
            return self._keep([0] * len(needs))
        return self._keep(
            keep_soonest(needs, line.masks, line.budget, line.resident, ahead=self.ahead)
        )

    def _keep(self, kept: list[int]) -> bool:
        """Let so much stay, and set all times; whether all batches are in time."""
        line = self._line
        needs = [line.needs[i] for i in self.models]
        self.kept = kept
        self._works = [
            self._work(place, line.load_s(missing), line.waits(needs, kept, place))
            for place, missing in enumerate(loads(needs, self.kept, line.resident))
        ]
        return self._set_clocks()

    def _waits(self, previous: int, need: int) -> bool:
        """Whether a model cannot be loaded beside another one that computes."""
        line = self._line
        return line.budget is not None and line.masks.bytes(previous | need) > line.budget

    def _work(self, place: int, load_s: float, waits: bool) -> _Work:
        """What a batch demands."""
        line, members = self._line, self.members[place]
        uploads = [line.upload_s[k] for k in members]
        return _Work(
            max([line.arrival_s[k] for k in members]),
            sum(uploads) if line.is_sum else max(uploads),
            load_s,
            line.compute_s(self.models[place], len(members)),
            waits,
            min([line.latest_s[k] for k in members]),
        )

    def _set_clocks(self) -> bool:
        """Set the clocks before and the latest clocks of each batch; whether all are in time."""
        stages = self._line.stages
        clocks = START
        self._before = [START]
        in_time = True
        for work in self._works:
            clocks = stages.step(clocks, *work[:5])
            in_time = in_time and clocks[2] <= work.due_s
            self._before.append(clocks)
        latest = ANY_TIME
        self._latest = [ANY_TIME] * len(self._before)
        for place in range(len(self._works) - 1, -1, -1):
            latest = stages.latest(latest, self._works[place].due_s, *self._works[place][:5])
            self._latest[place] = latest
        return in_time


def _within(clocks: Clocks, latest: Clocks) -> bool:
    return clocks[0] <= latest[0] and clocks[1] <= latest[1] and clocks[2] <= latest[2]
