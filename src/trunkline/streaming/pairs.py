"""All (user, model) pairs of a streaming problem as arrays, a row a pair and a column a layer.

Models with fewer layers than the longest end in layers of nothing (0 bits, 0 cycles, 0 seconds),
which change neither a time nor an energy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from trunkline.streaming.problem import PerLayer, StreamingModel, StreamingProblem, User, per_layer

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Bools = NDArray[np.bool_]

CHUNK = 2048
"""Rows worked on at a time, so that what they need stays in the processor's cache."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """n pairs of up to L layers; shapes (n,) and (n, L).

    Attributes:
        bits: S_l, 0 where the device holds the layer.
        work: w_l = b W_l kappa, cycles.
        fixed_s, copy_s: V1_l and H_l.
        rate: B R, bits per second with the whole band.
        hz, eta: f and the joules per cycle and square hertz.
        energy_j: what the speeds may take, Ebar less the fixed part; infinite without a limit.
        limit_s: Tbar - P; `first_byte_s`: t0; `ready_s`: F_0.
        layers: how many layers the model has.
    """

    bits: Floats
    work: Floats
    fixed_s: Floats
    copy_s: Floats
    rate: Floats
    hz: Floats
    eta: Floats
    energy_j: Floats
    limit_s: Floats
    first_byte_s: Floats
    ready_s: Floats
    layers: Ints

    @property
    def seconds(self) -> Floats:
        """T_l at the top frequency."""
        return self.fixed_s + self.work / self.hz[:, None]

    @property
    def copies(self) -> bool:
        """Whether copying takes any time."""
        return bool(self.copy_s.any())


class PairTable:
    """The pairs of every user with every model that it accepts, in the problem's order.

    Attributes:
        users, models: positions of each pair's user and model, shape (pairs,).
    """

    def __init__(self, problem: StreamingProblem) -> None:
        self.problem = problem
        index = problem.model_index
        accuracy = [model.accuracy for model in problem.models]
        pairs = [
            (k, index[name])
            for k, user in enumerate(problem.users)
            for name in user.models
            if accuracy[index[name]] >= user.min_accuracy
        ]
        both = np.array(pairs, dtype=np.intp).reshape(-1, 2)
        self.users: Ints = both[:, 0].copy()
        self.models: Ints = both[:, 1].copy()
        self._of_users = _user_columns(problem)
        longest = max((len(model.layers) for model in problem.models), default=0)
        self._bits = np.zeros((len(problem.models), longest))
        self._flop = np.zeros_like(self._bits)
        self._exists = np.zeros(self._bits.shape, dtype=bool)
        for i, model in enumerate(problem.models):
            count = len(model.layers)
            self._bits[i, :count] = [layer.bits for layer in model.layers]
            self._flop[i, :count] = [layer.flop for layer in model.layers]
            self._exists[i, :count] = True
        self._fixed_s = self._per_layer([user.fixed_s for user in problem.users])
        self._copy_s = self._per_layer([user.copy_s for user in problem.users])

    def __len__(self) -> int:
        return len(self.users)

    @cached_property
    def held(self) -> Bools | None:
        """Which layers the devices hold, (pairs, L); None where none holds any."""
        users = self.problem.users
        if not any(user.cached for user in users):
            return None
        held = np.zeros((len(self), self._bits.shape[1]), dtype=bool)
        for row, user, model in self._rows():
            if (layers := user.cached.get(model.id)) is not None:
                held[row, : len(layers)] = layers
        return held

    @cached_property
    def missing_bits(self) -> Floats:
        """Bits that each pair has to download in all, (pairs,)."""
        totals = self._bits.sum(axis=1)[self.models]
        if self.held is not None:
            totals = totals - np.where(self.held, self._bits[self.models], 0.0).sum(axis=1)
        return np.asarray(totals)

    def take(self, rows: Ints | slice) -> Pairs:
        """Some of the pairs with all that belongs to them."""
        users, models = self.users[rows], self.models[rows]
        column = self._of_users
        bits = self._bits[models]
        if self.held is not None:
            bits[self.held[rows]] = 0.0
        exists = self._exists[models]
        cycles_per_sample_flop = column["samples"][users] * column["cycles_per_flop"][users]
        return Pairs(
            bits=bits,
            work=self._flop[models] * cycles_per_sample_flop[:, None],
            fixed_s=self._spread(self._fixed_s, rows, exists),
            copy_s=self._spread(self._copy_s, rows, exists),
            rate=column["rate"][users],
            hz=column["hz"][users],
            eta=column["eta"][users],
            energy_j=column["energy_j"][users],
            limit_s=column["limit_s"][users],
            first_byte_s=column["first_byte_s"][users],
            ready_s=column["ready_s"][users],
            layers=exists.sum(axis=1),
        )

    def chunks(self) -> Iterator[tuple[slice, Pairs]]:
        """All pairs, some at a time."""
        for start in range(0, len(self), CHUNK):
            rows = slice(start, min(start + CHUNK, len(self)))
            yield rows, self.take(rows)

    def _rows(self) -> Iterator[tuple[int, User, StreamingModel]]:
        users, models = self.problem.users, self.problem.models
        both = zip(self.users.tolist(), self.models.tolist(), strict=True)
        for row, (k, i) in enumerate(both):
            yield row, users[k], models[i]

    def _per_layer(self, values: Sequence[PerLayer]) -> Floats:
        """Values of users for the layers of each pair: (pairs, 1) where one number stands for all
        layers of every user, else (pairs, L)."""
        if all(isinstance(value, (int, float)) for value in values):
            return np.array(values, dtype=float).reshape(-1, 1)[self.users]
        spread = np.zeros((len(self), self._bits.shape[1]))
        for (row, _, model), k in zip(self._rows(), self.users.tolist(), strict=True):
            spread[row, : len(model.layers)] = per_layer(values[k], model)
        return spread

    @staticmethod
    def _spread(values: Floats, rows: Ints | slice, exists: Bools) -> Floats:
        return np.where(exists, values[rows], 0.0)


def _user_columns(problem: StreamingProblem) -> dict[str, Floats]:
    """What pairs take from their user, a column each."""
    rows = [
        (
            float(user.samples),
            user.device.cycles_per_flop,
            problem.bandwidth_hz * user.bits_per_s_per_hz,
            user.device.hz,
            user.device.joule_per_cycle_hz2,
            np.inf if user.energy_j is None else user.energy_j - user.fixed_j,
            user.limit_s,
            user.first_byte_s,
            user.ready_s,
        )
        for user in problem.users
    ]
    names = ("samples", "cycles_per_flop", "rate", "hz", "eta", "energy_j", "limit_s")
    columns = np.array(rows, dtype=float).reshape(-1, 9).T
    return dict(zip((*names, "first_byte_s", "ready_s"), columns, strict=True))
