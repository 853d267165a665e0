"""Local search over paths: which models are visited, and in which order. [derived]

A path is improved by the best of all ways to take one more model in, to drop one, or to put another
in one's place, and then by a better order (`reorder`). What a change of models is worth is first
estimated for all of them at once: at the price of the marginal task, a model is worth the tasks it
serves below that price, less what it costs, which is never too low. Those that look best are then
counted exactly (`filling`).

Partial loading has economies of scale: a model costs much alone and little beside its kin, so
single changes get stuck early. Two remedies: descents start from a greedy chain out of every model,
and a stuck path is kicked: a model that it leaves out is forced in, perhaps in a neighbour's place.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from trunkline.loading.chains import greedy_chains
from trunkline.loading.filling import Filling, Tally
from trunkline.loading.reorder import reorder
from trunkline.loading.scattered import Scattered, Split
from trunkline.timing import TimeLimit

EFFORT = 200
"""Neighbourhoods weighed before the search ends, at least."""

EFFORT_PER_MODEL = 4
"""Neighbourhoods weighed for each model, at least."""

LARGE = 20_000
"""A neighbourhood of so many changes counts twice, and so on."""

SEEDING = 0.2
"""The share of the effort that goes into descents from greedy chains."""

PATIENCE = 9
"""Kicks without a better path before the search goes on from another good one."""

POOL = 4
"""How many good paths are kept."""

WORSE = 1.0
"""A path replaces the current one if it is worse by no more than so many tasks."""

CANDIDATES = 5
"""How many changes of each kind are counted exactly."""

MAX_OPTIMA = 5_000
"""So many local optima are remembered by their models; a path that comes to one is done."""

KNOWN = 0.2
"""What coming to one of them counts, in neighbourhoods, so that every search ends."""

LEAST_GAIN = 1e-6
"""In tasks; less is rounding."""


@dataclass(slots=True)
class _State:
    """A path with what it costs and serves."""

    path: list[int]
    tally: Tally
    spent_s: float
    value: float
    level: int
    outside: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class _Change:
    """One model that leaves, path[at], if `out` is 1, and one that comes in its place, or -1."""

    estimate_s: float
    saved_s: float
    at: int
    out: int
    new: int


@dataclass
class LocalSearch:
    """A search and the best paths that it has found.

    Attributes:
        good: (value, path) of the best paths, best first; the value counts tasks, and the share of
            the next one's price that is left.
        best: the best path by its exact split, if only the empty one, and that split.
    """

    scattered: Scattered
    seed: int = 0
    good: list[tuple[float, list[int]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._weighed = 0.0
        self._limit = TimeLimit(None)
        self._optima: dict[frozenset[int], tuple[list[int], float]] = {}
        self.best: tuple[list[int], Split] = ([], self.scattered.without_path)
        self._best_value = -np.inf
        self._starts = self._make_starts()

    @cached_property
    def _filling(self) -> Filling:
        return Filling(self.scattered)

    @cached_property
    def _saved_s(self) -> NDArray[np.float64]:
        """Seconds that i saves by following j; the last row and column, for no model, are 0."""
        return np.pad(self.scattered.saved_s, (0, 1))

    @cached_property
    def _rng(self) -> np.random.Generator:
        return np.random.default_rng(self.seed)

    def run(
        self,
        *,
        enough: float = np.inf,
        effort: float | None = None,
        limit: TimeLimit | None = None,
    ) -> None:
        """Search until `enough` tasks are served, or until so much effort is spent in all (None: as
        usual), or until the limit is up. A second call goes on where the first one ended."""
        self._limit = limit or self._limit
        if effort is None:
            effort = max(EFFORT, EFFORT_PER_MODEL * len(self.scattered))
        for start in self._starts:
            self.improve(start)
            if self._is_over(enough, SEEDING * effort):
                break
        if not self.good or not self.good[0][1]:
            return  # not one model can be visited
        value, path = self.good[0]
        stuck = 0
        while not self._is_over(enough, effort):
            before = self.good[0][0]
            found, found_value = self.improve(*self._kick(path))
            if found_value >= value - WORSE:
                value, path = found_value, found
            stuck = 0 if self.good[0][0] > before + LEAST_GAIN else stuck + 1
            if stuck >= PATIENCE:
                stuck = 0
                value, path = self.good[int(self._rng.integers(len(self.good)))]

    def _is_over(self, enough: float, effort: float) -> bool:
        """Whether the search has found enough or spent its effort or time."""
        return self.best[1].served >= enough or self._weighed >= effort or self._limit.is_up

    def improve(self, path: list[int], banned: Iterable[int] = ()) -> tuple[list[int], float]:
        """The local optimum below a path, first without the banned models, then with them."""
        banned = list(banned)
        state = self._descend(self._state(path), banned)
        if banned:
            state.outside[banned] = True
            state.outside[state.path] = False
            state = self._descend(state, ())
        self._keep(state)
        return state.path, state.value

    def offer(self, path: list[int]) -> None:
        """Make a path the best one if its exact split is better."""
        split = self.scattered.split(path)
        if split is None:
            return
        best = self.best[1]
        if (split.served, -split.seconds) > (best.served, -best.seconds):
            self.best = list(path), split

    def _keep(self, state: _State) -> None:
        """Remember a path if it is among the best of those with different models."""
        if state.value > self._best_value if self._filling.exact else state.value >= 0:
            self.offer(state.path)
            self._best_value = max(self._best_value, state.value)
        members = set(state.path)
        for n, (value, path) in enumerate(self.good):
            if members == set(path):
                if state.value > value:
                    self.good[n] = (state.value, list(state.path))
                break
        else:
            self.good.append((state.value, list(state.path)))
        self.good.sort(key=lambda one: -one[0])
        del self.good[POOL:]

    def _make_starts(self) -> Iterator[list[int]]:
        """The best part of a greedy chain from each model, the best first, and the empty path."""
        chains = greedy_chains(self.scattered, self._filling, self._limit)
        yield from (*chains[:1], [], *chains[1:])

    def _kick(self, path: list[int]) -> tuple[list[int], list[int]]:
        """The path with a model forced in, and the neighbours that must stay out at first."""
        n = len(self.scattered)
        left = sorted(set(range(n)).difference(path))
        if not left:
            dropped = path[int(self._rng.integers(n))]
            return [i for i in path if i != dropped], [dropped]
        new = left[int(self._rng.integers(len(left)))]
        padded = np.array([n, *path, n])
        gain = self._saved_s[padded[:-1], new] + self._saved_s[new, padded[1:]]
        gap = int((gain - self._saved_s[padded[:-1], padded[1:]]).argmax())
        if not path or self._rng.random() < 0.5:
            return [*path[:gap], new, *path[gap:]], []
        beside = [at for at in (gap - 1, gap) if 0 <= at < len(path)]
        at = beside[int(self._rng.integers(len(beside)))]
        return [*path[:at], new, *path[at + 1 :]], [path[at]]

    def _state(self, path: list[int]) -> _State:
        """A path with its figures."""
        tally = self._filling.tally(path)
        spent_s = float(self._filling.start_s[path].sum())
        spent_s -= float(self._saved_s[path[:-1], path[1:]].sum())
        value, level = self._filling.value(tally, len(path), spent_s)
        outside = np.ones(len(self.scattered), dtype=bool)
        outside[path] = False
        return _State(list(path), tally, spent_s, value, level, outside)

    def _descend(self, state: _State, banned: Iterable[int]) -> _State:
        """Take the best change until none is better. Banned models stay out."""
        state.outside[list(banned)] = False
        while True:
            known = None if banned else self._optima.get(frozenset(state.path))
            if known is not None:
                self._weighed += KNOWN
                state.path, state.value = list(known[0]), known[1]
                return state
            change = None if self._limit.is_up else self._best_change(state)
            if change is not None:
                self._make(state, change)
                state.outside[list(banned)] = False
                continue
            state.path, gained = reorder(state.path, self._saved_s)
            if gained == 0:
                break
            state.spent_s -= gained
            self._count(state)
        if not banned and not self._limit.is_up:
            if len(self._optima) >= MAX_OPTIMA:
                self._optima.clear()
            self._optima[frozenset(state.path)] = (list(state.path), state.value)
        return state

    def _make(self, state: _State, change: _Change) -> None:
        """Change a state."""
        old = state.path[change.at : change.at + change.out]
        new = [change.new] if change.new >= 0 else []
        state.path[change.at : change.at + change.out] = new
        state.outside[old] = True
        state.outside[new] = False
        state.tally, state.spent_s = self._after(state, change, old)
        self._count(state)

    def _count(self, state: _State) -> None:
        """Set a state's value and level from its tally and what it spends."""
        visits = len(state.path)
        state.value, state.level = self._filling.value(state.tally, visits, state.spent_s)

    def _after(self, state: _State, change: _Change, old: list[int]) -> tuple[Tally, float]:
        """The tally and the seconds spent after a change."""
        filling = self._filling
        steps, seconds = state.tally
        spent_s = state.spent_s - change.saved_s
        for i in old:
            steps, seconds = steps - filling.steps[i], seconds - filling.seconds[i]
            spent_s -= float(filling.start_s[i])
        if change.new >= 0:
            i = change.new
            steps, seconds = steps + filling.steps[i], seconds + filling.seconds[i]
            spent_s += float(filling.start_s[i])
        return (steps, seconds), spent_s

    def _best_change(self, state: _State) -> _Change | None:
        """The change that serves most, counted exactly for those that look best."""
        self._weighed += 1.0 + len(state.path) * len(self.scattered) / LARGE
        best, found = state.value + LEAST_GAIN, None
        price = float(self._filling.price[state.level])
        for change in sorted(self._changes(state, price), key=lambda one: -one.estimate_s):
            # The estimate is never too low, so what follows cannot be better either (a path that
            # is late is not measured in tasks, and there all are counted).
            if state.value >= 0 and state.value + change.estimate_s / price <= best:
                break
            old = state.path[change.at : change.at + change.out]
            tally, spent_s = self._after(state, change, old)
            visits = len(state.path) - change.out + (change.new >= 0)
            value, _ = self._filling.value(tally, visits, spent_s)
            if value > best:
                best, found = value, change
        return found

    def _changes(self, state: _State, price: float) -> Iterator[_Change]:
        """The changes of each kind that look best, at the price of the marginal task."""
        filling, saved_s, level = self._filling, self._saved_s, state.level
        worth = price * (1.0 + filling.steps[:, level])
        worth -= filling.seconds[:, level] + filling.start_s
        m, nothing = len(state.path), len(self.scattered)
        padded = np.array([nothing, *state.path, nothing])
        now = saved_s[padded[:-1], padded[1:]]
        others = np.flatnonzero(state.outside)
        own = worth[state.path]
        if others.size:
            into, out_of = saved_s[padded[:-1, None], others], saved_s[others, padded[1:, None]]
            put_in = into + out_of
            put_in -= now[:, None]
            gaps = put_in.argmax(axis=0)
            gain = put_in[gaps, np.arange(others.size)]
            looks = gain + worth[others]
            for k in _largest(looks, CANDIDATES):
                yield _Change(float(looks[k]), float(gain[k]), int(gaps[k]), 0, int(others[k]))
            if m:
                swap = into[:-1] + out_of[1:]
                swap -= (now[:-1] + now[1:])[:, None]
                look = swap + (worth[others] - own[:, None])
                for k in _largest(look.ravel(), CANDIDATES):
                    at, new = divmod(k, others.size)
                    yield _Change(look.item(k), swap.item(k), at, 1, int(others[new]))
        if m:
            closed = saved_s[padded[:-2], padded[2:]]
            closed -= now[:-1] + now[1:]
            looks = closed - own
            for k in _largest(looks, CANDIDATES):
                yield _Change(float(looks[k]), float(closed[k]), k, 1, -1)


def _largest(values: NDArray[np.float64], count: int) -> list[int]:
    """Positions of the largest values, at most `count`."""
    if values.size <= count:
        return list(range(values.size))
    positions: list[int] = np.argpartition(values, -count)[-count:].tolist()
    return positions
