"""Which of two tasks of one model some best plan prefers. [derived]

- *Serve the better task.* If of two tasks of one model k uploads as quickly as k' or more, arrives
  no later and is due no earlier, then k' is never served in place of k: put k into its batch.
- *Serve the more urgent task first.* If all tasks are there (or k and k' upload equally long), k
  uploads no longer than k' and is due no later, then k' is never served before k: exchange the two.
  The earlier batch becomes shorter by as much as the later one becomes longer, and nothing in
  between ends later. So once k' is served before k, k is out of the game. (Where a batch is charged
  its longest upload, only tasks of equal upload can be exchanged. While tasks are still to arrive,
  the exchange may fill a wait with the quick task and leave the slow one for later.)
- *Wait for the later batch.* If all tasks are there, batches are charged the sum of their uploads
  and do not overlap, and all tasks left of the model fit into one batch, then a task that could
  wait for a later batch of its model does: what it takes moves there, and nothing ends later. (If
  its batch is then empty, its visit goes. That never costs, but with a budget and an overhead.) So
  the deadlines in a batch are before those in all later batches of the model. Of the tasks due
  between its first and its last deadline it has the quickest, and all others due until its last
  deadline are out of the game.
"""

from __future__ import annotations

from trunkline.loading.line import Line


class Exchanges:
    """Which of two tasks of one model some best plan prefers (see the module's text).

    Attributes:
        order: the tasks of each model such that whatever is preferred to a task stands before it.
    """

    def __init__(self, line: Line) -> None:
        key = list(zip(line.upload_s, line.latest_s, line.arrival_s, strict=True))
        self.order = [sorted(tasks, key=lambda k: (key[k], k)) for tasks in line.tasks]
        self._line = line
        everyone = [k for tasks in self.order for k in tasks]
        # for k, the tasks preferred to it; first while tasks are still to arrive, then after that
        self._sooner = (dict.fromkeys(everyone, 0), dict.fromkeys(everyone, 0))
        self._better = (dict.fromkeys(everyone, 0), dict.fromkeys(everyone, 0))
        for settled in (False, True):
            for tasks in self.order:
                for place, k in enumerate(tasks):
                    for o in tasks[:place]:
                        if not settled and line.arrival_s[o] > line.arrival_s[k]:
                            continue
                        any_upload = settled and line.is_sum
                        alike = any_upload or line.upload_s[o] == line.upload_s[k]
                        if alike and line.latest_s[o] <= line.latest_s[k]:
                            self._sooner[settled][k] |= 1 << o
                        if line.latest_s[o] >= line.latest_s[k]:
                            self._better[settled][k] |= 1 << o

    def waits(self, waiting: list[int], settled: bool) -> bool:
        """Whether the tasks left of a model wait for later batches where they can.

        Args:
            waiting: those tasks.
            settled: whether all tasks are there.
        """
        line = self._line
        if not settled or not line.is_sum or line.overlap or not waiting:
            return False
        if line.budget is not None and line.problem.loading.overhead_s > 0:
            return False
        return len(waiting) <= line.max_batch[line.model[waiting[0]]]

    def rejected(self, k: int, passed: int, settled: bool) -> int | None:
        """The tasks that are out of the game once k is served before them; None if k then never
        is, since one of them would be served in its place.

        Args:
            passed: the tasks that may be served and are not in k's batch, of those before k in
                `order`.
            settled: whether all tasks are there.
        """
        out = self._sooner[settled][k] & passed
        return None if out & self._better[settled][k] else out
