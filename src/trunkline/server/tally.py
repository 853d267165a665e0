"""How many requests came and what became of them, since the start and in the last minute."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from trunkline.errors import Reason
from trunkline.server.work import BatchRecord, LoadRecord

SECONDS: Final = 60
"""How far back `Counts.recent` goes."""


@dataclass(frozen=True, slots=True)
class Second:
    """What happened within one second.

    Attributes:
        ago: whole seconds before now, 0 for the second that is running.
        in_time, late, refused: requests that ended then.
    """

    ago: int
    in_time: int
    late: int
    refused: int


@dataclass(frozen=True, slots=True)
class Counts:
    """A tally at one moment; received = in_time + late + refused + in flight.

    Attributes:
        received: requests that came in.
        in_time: those answered by their deadline (the goodput).
        late: those answered after it.
        refused: those not answered, by reason; every reason is a key.
        batches: batches that ended, `failed` ones included.
        bytes_moved, bytes_asked: what was loaded, and the bytes of the models of all batches.
        recent: the seconds of the last minute in which a request ended, oldest first.
    """

    received: int
    in_time: int
    late: int
    refused: Mapping[Reason, int]
    batches: int
    failed: int
    bytes_moved: int
    bytes_asked: int
    recent: tuple[Second, ...]

    @property
    def in_flight(self) -> int:
        """Requests that came in and have no answer and no refusal yet."""
        return self.received - self.in_time - self.late - sum(self.refused.values())


class Tally:
    """An observer that counts; safe to call from any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._received = self._in_time = self._late = 0
        self._refused: Counter[Reason] = Counter()
        self._batches = self._failed = self._moved = self._asked = 0
        self._recent: deque[list[int]] = deque(maxlen=SECONDS)
        """One list a second: which second, in time, late, refused."""

    def received(self, model: str) -> None:
        """A request came in."""
        with self._lock:
            self._received += 1

    def answered(self, model: str, wait_s: float, in_time: bool) -> None:
        """A request was answered."""
        with self._lock:
            if in_time:
                self._in_time += 1
            else:
                self._late += 1
            self._this_second()[1 if in_time else 2] += 1

    def refused(self, model: str, reason: Reason) -> None:
        """A request was not answered."""
        with self._lock:
            self._refused[reason] += 1
            self._this_second()[3] += 1

    def loaded(self, record: LoadRecord) -> None:
        """A load ended."""
        with self._lock:
            self._moved += record.bytes

    def batch(self, record: BatchRecord) -> None:
        """A batch ended."""
        with self._lock:
            self._batches += 1
            self._failed += bool(record.error)
            self._asked += record.bytes_asked

    def decided(self, seconds: float, waiting: int) -> None:
        """A decision changes no count."""

    def counts(self) -> Counts:
        """All counts of one moment."""
        with self._lock:
            now = int(self._clock())
            recent = tuple(
                Second(now - second, *ended)
                for second, *ended in self._recent
                if now - second < SECONDS
            )
            return Counts(
                self._received,
                self._in_time,
                self._late,
                {reason: self._refused[reason] for reason in Reason},
                self._batches,
                self._failed,
                self._moved,
                self._asked,
                recent,
            )

    def _this_second(self) -> list[int]:
        now = int(self._clock())
        if not self._recent or self._recent[-1][0] < now:
            self._recent.append([now, 0, 0, 0])
        return self._recent[-1]
