"""The batches of the last minutes, and as Chrome trace JSON. Opens in Perfetto."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final

from trunkline.errors import Reason
from trunkline.server.work import BatchRecord, LoadRecord

RESOURCES: Final = ("loading", "computing")
"""One thread of the trace each."""

PROCESS: Final = 1


class Timeline:
    """An observer that keeps the last batches; safe to call from any thread.

    Args:
        longest_s: batches that ended longer ago are forgotten.
        most: no more batches are kept, and no more decisions.
    """

    def __init__(
        self,
        longest_s: float = 300.0,
        most: int = 20_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._longest_s = longest_s
        self._clock = clock
        self._lock = threading.Lock()
        self._batches: deque[BatchRecord] = deque(maxlen=most)
        self._waiting: deque[tuple[float, int]] = deque(maxlen=most)

    def received(self, model: str) -> None:
        """Single requests are not kept."""

    def answered(self, model: str, wait_s: float, in_time: bool) -> None:
        """Single requests are not kept."""

    def refused(self, model: str, reason: Reason) -> None:
        """Single requests are not kept."""

    def batch(self, record: BatchRecord) -> None:
        """A batch ended."""
        with self._lock:
            self._batches.append(record)
            self._forget()

    def loaded(self, record: LoadRecord) -> None:
        """The batch that it was for shows it."""

    def decided(self, seconds: float, waiting: int) -> None:
        """A decision was taken with so many requests waiting."""
        with self._lock:
            self._waiting.append((self._clock(), waiting))
            self._forget()

    def last(self, seconds: float, most: int) -> list[BatchRecord]:
        """At most `most` batches that ended within the last `seconds`, the latest ones, in the
        order in which they ended."""
        after = self._clock() - seconds
        found: list[BatchRecord] = []
        with self._lock:
            for record in reversed(self._batches):
                if len(found) >= most or _ended_s(record) < after:
                    break
                found.append(record)
        return found[::-1]

    def trace(self) -> dict[str, Any]:
        """The Chrome trace: one thread per resource, the queue as a counter; microseconds of the
        monotonic clock."""
        with self._lock:
            self._forget()
            batches, waiting = list(self._batches), list(self._waiting)
        events = [_named("process_name", 0, "trunkline serve")]
        events += [_named("thread_name", i, name) for i, name in enumerate(RESOURCES, start=1)]
        events += (event for record in batches for event in _events(record))
        events += (_counter(at, count) for at, count in waiting)
        return {
            "traceEvents": events,
            "displayTimeUnit": "ms",
            "otherData": {"now_us": self._clock() * 1e6, "longest_s": self._longest_s},
        }

    def _forget(self) -> None:
        after = self._clock() - self._longest_s
        while self._batches and _ended_s(self._batches[0]) < after:
            self._batches.popleft()
        while self._waiting and self._waiting[0][0] < after:
            self._waiting.popleft()


def _ended_s(record: BatchRecord) -> float:
    return max(record.load_end_s, record.compute_end_s)


def _events(record: BatchRecord) -> Iterable[dict[str, Any]]:
    spans = (
        (record.load_begin_s, record.load_end_s, record.planned_load_s),
        (record.compute_begin_s, record.compute_end_s, record.planned_compute_s),
    )
    for thread, (begin_s, end_s, planned_s) in enumerate(spans, start=1):
        if end_s <= begin_s:
            continue
        yield {
            "name": record.model,
            "cat": RESOURCES[thread - 1],
            "ph": "X",
            "pid": PROCESS,
            "tid": thread,
            "ts": begin_s * 1e6,
            "dur": (end_s - begin_s) * 1e6,
            "args": {
                "requests": record.requests,
                "samples": record.samples,
                "bytes_moved": record.bytes_moved,
                "bytes_asked": record.bytes_asked,
                "planned_s": planned_s,
                "decision_s": record.decision_s,
            }
            | ({"others": list(record.others)} if record.others else {})
            | ({"error": record.error} if record.error else {}),
        }


def _counter(at_s: float, count: int) -> dict[str, Any]:
    return {
        "name": "waiting requests",
        "ph": "C",
        "pid": PROCESS,
        "tid": 0,
        "ts": at_s * 1e6,
        "args": {"requests": count},
    }


def _named(kind: str, thread: int, name: str) -> dict[str, Any]:
    return {"name": kind, "ph": "M", "pid": PROCESS, "tid": thread, "args": {"name": name}}
