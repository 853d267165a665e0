"""What loads and forwards will take: as profiled, and corrected by what they took. [derived]

A forward of n samples is expected to take (mu n + beta) c, with mu and beta of its architecture and
input, and c of what the last ones really took: the ratio of measured to expected that 80 % of them
stayed below. So a promise made to a request holds mostly, and a machine that slows down is noticed
after a few batches. Loads are corrected the same way.

Where such a correction has a request refused, nothing runs, and nothing could be learned from it.
So an idle server doubts it now and then (`Estimates.doubt`), and lets the request try.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from trunkline.errors import MemoryBudgetError, ProfileError
from trunkline.links import Link, Stage
from trunkline.loading.problem import LoadingModel
from trunkline.runtime.fits import fit_loading
from trunkline.runtime.profile import Profile, computing_key
from trunkline.store import StoredModel

REMEMBERED: Final = 32
SURE: Final = 0.8
LEAST: Final = 5
"""So many ratios are needed before they correct anything."""

LOWEST: Final = 0.01
HIGHEST: Final = 100.0
"""A correction stays between these, whatever was measured."""

DOUBT_S: Final = 1.0
"""What is expected of a model is doubted at most so often."""

GUESSED_LINK: Final = Link((Stage(1e9, 1e-3),))
"""A load before any was measured: a millisecond and a gigabyte a second."""

CHANGE: Final = 0.05
"""A correction that changes by less is not passed on."""

SMOOTHING: Final = 0.2
"""The weight of the last mixed batch in what an adapter adds to one."""

FORGETTING: Final = 0.99
"""What is left of it after a batch that was not mixed for it: one slow batch does not end mixing
for good."""


@dataclass
class _Correction:
    """The ratio of measured to expected that most stay below."""

    ratios: deque[float] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    factor: float = 1.0

    def add(self, measured_s: float, expected_s: float) -> bool:
        """Take one in; whether the factor changed enough to matter."""
        if expected_s <= 0:
            return False
        self.ratios.append(min(max(measured_s / expected_s, LOWEST), HIGHEST))
        if len(self.ratios) < LEAST:
            return False
        factor = sorted(self.ratios)[int(SURE * (len(self.ratios) - 1))]
        if abs(factor - self.factor) < CHANGE * self.factor:
            return False
        self.factor = factor
        return True

    def forget(self) -> None:
        """Expect nothing slower than was profiled; two slow ones correct that again."""
        if self.factor > 1:
            self.factor = 1.0
            self.ratios.clear()
            self.ratios.extend([1.0] * (LEAST - 1))


@dataclass
class _Line:
    """beta and mu of one architecture and input; what each adapter adds to a mixed batch.

    Attributes:
        guessed: a single forward says so.
        warm: that one was not the first.
        doubted_s: when it was last doubted.
    """

    seconds_per_batch: float
    seconds_per_task: float
    known: bool
    correction: _Correction = field(default_factory=_Correction)
    per_adapter_s: float | None = None
    guessed: bool = False
    warm: bool = False
    doubted_s: float = -math.inf

    def seconds(self, tasks: int) -> float:
        return self.seconds_per_batch + self.seconds_per_task * tasks


class Estimates:
    """Prices for the scheduler.

    Args:
        profile: what was measured before, if anything was.
        largest_batch: no batch is larger.
    """

    def __init__(self, profile: Profile | None, largest_batch: int) -> None:
        self._profile = profile
        self._largest = largest_batch
        self._link = GUESSED_LINK if profile is None else profile.warm.link
        self._loads = _Correction()
        self._lines: dict[str, _Line] = {}
        self._found: dict[str, tuple[StoredModel, _Line]] = {}
        """By name: to look through all of a model's tensors at every batch would take long."""

    @property
    def profiled(self) -> bool:
        """Whether there is a profile."""
        return self._profile is not None

    @property
    def link(self) -> Link:
        """V as it is expected now."""
        factor = self._loads.factor
        return Link(
            tuple(
                Stage(one.bytes_per_s / factor, one.overhead_s * factor)
                for one in self._link.stages
            )
        )

    def model(self, stored: StoredModel) -> LoadingModel:
        """beta, mu and the largest batch of a model as they are expected now."""
        line = self._line(stored)
        factor = line.correction.factor
        return LoadingModel(
            stored.name,
            line.seconds_per_batch * factor,
            line.seconds_per_task * factor,
            self._max_batch(stored),
        )

    def is_known(self, stored: StoredModel) -> bool:
        """Whether a forward of such a model was measured."""
        return self._line(stored).known

    def measured(self, stored: StoredModel, times: Iterable[tuple[int, float]]) -> None:
        """Set beta and mu by (samples, seconds) of forwards that were run to measure them."""
        seconds: dict[int, list[float]] = {}
        for tasks, one in times:
            seconds.setdefault(tasks, []).append(one)
        medians = {tasks: median(all_) for tasks, all_ in seconds.items()}
        least, most = min(medians), max(medians)
        slope = (medians[most] - medians[least]) / (most - least) if most > least else 0.0
        slope = min(max(slope, 0.0), medians[most] / most)
        line = self._line(stored)
        line.seconds_per_task = slope or medians[least] / (2 * least)
        line.seconds_per_batch = max(0.0, medians[least] - line.seconds_per_task * least)
        line.known, line.guessed = True, False

    def loads(self, measured: Iterable[tuple[int, float]]) -> None:
        """Set the link by (bytes, seconds) of loads."""
        times = [one for one in measured if one[0] > 0]
        if len({size for size, _ in times}) > 1:
            self._link = fit_loading(times).link

    def computed(self, stored: StoredModel, tasks: int, seconds: float) -> bool:
        """Learn from a batch; whether prices changed."""
        line = self._line(stored)
        if not line.known or (line.guessed and not line.warm):
            line.warm = line.guessed  # the very first one may have compiled something
            self.measured(stored, [(tasks, seconds)])
            line.guessed = True
            return True
        return line.correction.add(seconds, line.seconds(tasks))

    def doubt(
        self, stored: StoredModel, load_bytes: float, tasks: int, left_s: float, now_s: float
    ) -> bool:
        """Expect nothing slower of a model than was profiled, if a request is in time then; what a
        single forward said is forgotten. At most once in `DOUBT_S`; whether prices changed.

        Args:
            load_bytes, tasks: what the request would load, and its samples.
            left_s: until its deadline.
        """
        line = self._line(stored)
        load_s = self._link.seconds(load_bytes) if load_bytes > 0 else 0.0
        compute_s = 0.0 if line.guessed else line.seconds(tasks)
        least_s = load_s * min(1.0, self._loads.factor)
        least_s += compute_s * min(1.0, line.correction.factor)
        if least_s > left_s or now_s - line.doubted_s < DOUBT_S:
            return False
        line.doubted_s = now_s
        if load_bytes > 0:
            self._loads.forget()
        line.correction.forget()
        if line.guessed:
            line.seconds_per_batch, line.seconds_per_task, line.known = 0.0, 0.0, False
        return True

    def load_seconds(self, size_bytes: float) -> float:
        """What a load takes by the profile, whatever the last ones took."""
        return self._link.seconds(size_bytes)

    def compute_seconds(self, stored: StoredModel, tasks: int) -> float | None:
        """What a forward takes by the profile, whatever the last ones took; None if unknown."""
        line = self._line(stored)
        return line.seconds(tasks) if line.known else None

    def mixed_s(self, stored: StoredModel, tasks: int, adapters: int) -> float:
        """What a batch for several adapters of a model's base takes: what it takes for one, and so
        much for each (nothing before any ran)."""
        line = self._line(stored)
        extra = adapters * (line.per_adapter_s or 0.0)
        return line.correction.factor * line.seconds(tasks) + extra

    def mixed(self, stored: StoredModel, tasks: int, adapters: int, seconds: float) -> None:
        """Learn from such a batch: a moving average."""
        line = self._line(stored)
        measured = (seconds - line.correction.factor * line.seconds(tasks)) / adapters
        before = measured if line.per_adapter_s is None else line.per_adapter_s
        line.per_adapter_s = max(0.0, before + SMOOTHING * (measured - before))

    def not_mixed(self, stored: StoredModel) -> None:
        """A batch was not mixed since that would have taken longer: trust that a little less."""
        line = self._line(stored)
        if line.per_adapter_s is not None:
            line.per_adapter_s *= FORGETTING

    def loaded(self, size_bytes: float, seconds: float) -> bool:
        """Learn from a load; whether prices changed."""
        return self._loads.add(seconds, self._link.seconds(size_bytes))

    def _line(self, stored: StoredModel) -> _Line:
        found = self._found.get(stored.name)
        if found is None or found[0] is not stored:
            key = _key(stored)
            if key not in self._lines:
                self._lines[key] = self._profiled(stored) or _Line(0.0, 0.0, False)
            found = self._found[stored.name] = stored, self._lines[key]
        return found[1]

    def _profiled(self, stored: StoredModel) -> _Line | None:
        if self._profile is None:
            return None
        try:
            fit = self._profile.computing_of(stored)
        except ProfileError:
            return None
        return _Line(fit.seconds_per_batch, fit.seconds_per_task, True)

    def _max_batch(self, stored: StoredModel) -> int:
        if self._profile is not None:
            try:
                return max(1, min(self._largest, self._profile.max_batch(stored)))
            except (ProfileError, MemoryBudgetError):
                return self._largest
        return self._largest


def _key(stored: StoredModel) -> str:
    try:
        return computing_key(stored)
    except ProfileError:  # imported without an input
        return stored.name if stored.architecture is None else stored.architecture.key
