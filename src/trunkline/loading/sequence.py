"""A sequence of batches under change: where one more task fits, judged in constant time a place."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import NamedTuple

from trunkline.loading.clocks import ANY_TIME, START, Clocks
from trunkline.loading.evictions import keep_best, keep_soonest, loads
from trunkline.loading.line import Line
from trunkline.loading.schedule import Group

TRIES = 2
"""Under a memory budget, in how many places a new batch is tried: it changes what stays."""


class Demand(NamedTuple):
    """A batch and what it demands of time, whatever stands before it.

    Attributes:
        model: its model's position.
        members: its tasks' positions.
        arrival_s: when the last of them arrives.
        upload_s, compute_s: how long it uploads and computes.
        due_s: when the first of them is due.
    """

    model: int
    members: tuple[int, ...]
    arrival_s: float
    upload_s: float
    compute_s: float
    due_s: float


class BatchSequence:
    """Batches in order, all in time.

    Args:
        line: tasks, models, blocks, and how batches follow each other.
        groups: the batches to begin with; those that would be late are left out.

    Attributes:
        batches: in order.
        kept: the blocks that stay beside each batch's own when it loads.
        ahead: under a memory budget, whether what a batch computes with stays wherever it can, so
            that the next one is loaded meanwhile.
    """

    def __init__(self, line: Line, groups: Sequence[Group] = ()) -> None:
        self._line = line
        self.ahead = line.overlap
        self.batches = [self._batch(model, members) for model, members in groups]
        self.kept: list[int] = []
        self._load_s: list[float] = []
        self._waits: list[bool] = []
        self._before: list[Clocks] = [START]  # clocks before each batch, and after the last
        self._latest: list[Clocks] = [ANY_TIME]  # the latest they may be
        self._mend()

    @property
    def groups(self) -> list[Group]:
        """The batches, as they are now."""
        return [(batch.model, batch.members) for batch in self.batches]

    @property
    def served(self) -> int:
        """How many tasks the batches have."""
        return sum(len(batch.members) for batch in self.batches)

    @property
    def tasks(self) -> set[int]:
        """The tasks that the batches have."""
        return {k for batch in self.batches for k in batch.members}

    @property
    def merit(self) -> tuple[int, float]:
        """More tasks first, then an earlier end."""
        return self.served, -self._before[-1][2]

    def copy(self) -> BatchSequence:
        """The same batches, to be changed apart."""
        twin = BatchSequence.__new__(BatchSequence)
        twin._line, twin.ahead = self._line, self.ahead
        twin.batches, twin.kept = self.batches[:], self.kept[:]
        twin._load_s, twin._waits = self._load_s[:], self._waits[:]
        twin._before, twin._latest = self._before[:], self._latest[:]
        return twin

    def drop(self, gone: Collection[int]) -> None:
        """Take tasks out, and batches that are then empty."""
        left = []
        for batch in self.batches:
            members = [k for k in batch.members if k not in gone]
            if len(members) == len(batch.members):
                left.append(batch)
            elif members:
                left.append(self._batch(batch.model, members))
        self.batches = left
        self._mend()

    def insert(self, k: int) -> bool:
        """Put a task where it delays what follows least: into a batch of its model, else as a
        batch of its own. Whether it found a place."""
        return self._join(k) or self._begin(k)

    def keep_best(self, time_limit_s: float) -> None:
        """Under a memory budget, decide what stays by the integer programme, if that is solved in
        so many seconds and leaves all batches in time, and put tasks into them that then have a
        place."""
        line = self._line
        if line.budget is None or line.overlap:
            return
        needs = [line.needs[batch.model] for batch in self.batches]
        link = line.problem.loading
        kept = keep_best(
            needs, line.masks, line.budget, line.resident, link, time_limit_s=time_limit_s
        )
        if kept is None:
            return
        if not self._keep(kept):
            self._replan()
            return
        served = self.tasks
        for tasks in line.tasks:
            for k in tasks:
                if k not in served:
                    self._join(k)

    def _batch(self, model: int, members: Sequence[int]) -> Demand:
        """A batch of these tasks."""
        line = self._line
        uploads = [line.upload_s[k] for k in members]
        return Demand(
            model,
            tuple(members),
            max([line.arrival_s[k] for k in members]),
            sum(uploads) if line.is_sum else max(uploads),
            line.compute_s(model, len(members)),
            min([line.latest_s[k] for k in members]),
        )

    def _joined(self, batch: Demand, k: int) -> Demand:
        """A batch with one more task."""
        line = self._line
        return Demand(
            batch.model,
            (*batch.members, k),
            max(batch.arrival_s, line.arrival_s[k]),
            line.joint_upload_s(batch.upload_s, k),
            batch.compute_s + line.per_task_s[batch.model],
            min(batch.due_s, line.latest_s[k]),
        )

    def _join(self, k: int) -> bool:
        """Put a task into a batch of its model."""
        line, model = self._line, self._line.model[k]
        best_s, best, chosen = math.inf, None, -1
        for place, batch in enumerate(self.batches):
            if batch.model != model or len(batch.members) == line.max_batch[model]:
                continue
            longer = self._joined(batch, k)
            after = self._step(longer, self._before[place], self._load_s[place], self._waits[place])
            if after[2] <= longer.due_s and _within(after, self._latest[place + 1]):
                delay_s = sum(after) - sum(self._before[place + 1])
                if delay_s < best_s:
                    best_s, best, chosen = delay_s, longer, place
        if best is None:
            return False
        self.batches[chosen] = best
        self._set_clocks()
        return True

    def _begin(self, k: int) -> bool:
        """Put a task in as a batch of its own."""
        alone = self._batch(self._line.model[k], (k,))
        as_it_is = self.kept, self._load_s, self._waits, self._before, self._latest
        places = sorted(self._places(alone))
        for _, place in places[: 1 if self._line.budget is None else TRIES]:
            self.batches.insert(place, alone)
            if self._replan():
                return True
            del self.batches[place]
            self.kept, self._load_s, self._waits, self._before, self._latest = as_it_is
        return False

    def _places(self, alone: Demand) -> list[tuple[float, int]]:
        """Where a batch could go, with the delay that it means for the next one; under a memory
        budget without what it would force to be evicted."""
        line = self._line
        need = line.needs[alone.model]
        found = []
        for place, before in enumerate(self._before):
            # The two loads, of this batch and the next, are never less than the next one's is now.
            after = self._step(alone, before, 0.0, False)
            if after[2] > alone.due_s or not _within(after, self._latest[place]):
                continue
            resident, waits = line.resident, False
            if place:
                previous = line.needs[self.batches[place - 1].model]
                resident = previous | self.kept[place - 1]
                waits = self._in_turn(previous, need)
            after = self._step(alone, before, line.load_s(need & ~resident), waits)
            if after[2] > alone.due_s:
                continue
            if place == len(self.batches):
                found.append((sum(after) - sum(before), place))
                break
            following = self.batches[place]
            stays = need if line.budget is None else need | resident
            load_s = line.load_s(line.needs[following.model] & ~stays)
            waits = self._in_turn(need, line.needs[following.model])
            then = self._step(following, after, load_s, waits)
            if then[2] <= following.due_s and _within(then, self._latest[place + 1]):
                found.append((sum(then) - sum(self._before[place + 1]), place))
        return found

    def _in_turn(self, previous: int, need: int) -> bool:
        """Whether a model cannot be loaded beside another one that computes."""
        line = self._line
        if not line.overlap or line.budget is None:
            return False
        return line.masks.bytes(previous | need) > line.budget

    def _step(self, batch: Demand, before: Clocks, load_s: float, waits: bool) -> Clocks:
        """The clocks after a batch."""
        _, _, arrival_s, upload_s, compute_s, _ = batch
        return self._line.stages.step(before, arrival_s, upload_s, load_s, compute_s, waits)

    def _mend(self) -> None:
        """Replan, and leave out batches that are then late (what stays is no optimum, so fewer
        batches may load more)."""
        while not self._replan():
            ends = (clocks[2] for clocks in self._before[1:])
            late = [
                end_s > batch.due_s for end_s, batch in zip(ends, self.batches, strict=True)
            ].index(True)
            del self.batches[late]

    def _replan(self) -> bool:
        """Decide anew what stays, and set all times; whether all batches are in time."""
        line = self._line
        if line.budget is None:
            return self._keep([0] * len(self.batches))
        needs = [line.needs[batch.model] for batch in self.batches]
        return self._keep(
            keep_soonest(needs, line.masks, line.budget, line.resident, ahead=self.ahead)
        )

    def _keep(self, kept: list[int]) -> bool:
        """Let so much stay, and set all times; whether all batches are in time."""
        line = self._line
        needs = [line.needs[batch.model] for batch in self.batches]
        self.kept = kept
        self._load_s = [line.load_s(missing) for missing in loads(needs, kept, line.resident)]
        self._waits = [line.waits(needs, kept, place) for place in range(len(needs))]
        return self._set_clocks()

    def _set_clocks(self) -> bool:
        """Set the clocks before and the latest clocks of each batch; whether all are in time."""
        clocks = START
        self._before = [START]
        in_time = True
        for batch, load_s, waits in zip(self.batches, self._load_s, self._waits, strict=True):
            clocks = self._step(batch, clocks, load_s, waits)
            in_time = in_time and clocks[2] <= batch.due_s
            self._before.append(clocks)
        latest = ANY_TIME
        self._latest = [ANY_TIME]
        find = self._line.stages.latest
        for batch, load_s, waits in zip(
            reversed(self.batches), reversed(self._load_s), reversed(self._waits), strict=True
        ):
            _, _, arrival_s, upload_s, compute_s, due_s = batch
            latest = find(latest, due_s, arrival_s, upload_s, load_s, compute_s, waits)
            self._latest.append(latest)
        self._latest.reverse()
        return in_time


def _within(clocks: Clocks, latest: Clocks) -> bool:
    return clocks[0] <= latest[0] and clocks[1] <= latest[1] and clocks[2] <= latest[2]
