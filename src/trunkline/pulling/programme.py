"""The pulling problem as an integer linear programme with aggregated rows. [derived]

Columns x_o of options and y_u of units (see `reduced`), all between 0 and 1:

    minimise  sum over r of fallback_r  +  sum of (a_o - fallback_r) x_o  +  sum of p_u y_u
    request   sum of x_o over the options of r                             <= 1
    link      sum of x_o over the options of r whose bundle holds unit u   <= y_u
    order     y_u <= y_v                                   where u is over v
    storage   sum of s_u y_u over the units of site c                      <= S_c
    compute   sum of w_o x_o over the options at site c                    <= W_c

A request that chooses no option is served at the data centre. A link row is one per request and
unit, not one per option ("aggregated"), which is tighter. The row of (r, v) is left out if some u
over v has the same options of r: it follows from the row of (r, u) and the order. Rows of storage
and compute are divided by their limit, and left out where they cannot be passed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trunkline.pulling.lists import Floats, Ints, expand, totals
from trunkline.pulling.reduced import Reduced


@dataclass(frozen=True)
class Rows:
    """Rows `sum of value * column <= most`.

    Attributes:
        row, column, value: of each entry, in any order.
        most: of each row.
        of: what each row is of: r, r * units + u, the place in `over`, c, or c.
    """

    row: Ints
    column: Ints
    value: Floats
    most: Floats
    of: Ints


@dataclass(frozen=True)
class Programme:
    """The programme of a problem, or of the part of it that some options and units are.

    Attributes:
        reduced: the problem.
        options: the columns x, ascending; the other options are not chosen.
        units: the columns y, ascending; a unit that an option needs and that is not here is taken
            as pulled and paid.
        storage, compute: (c) the limits of this part.
    """

    reduced: Reduced
    options: Ints
    units: Ints
    storage: Floats
    compute: Floats

    @classmethod
    def whole(cls, reduced: Reduced, *, scale: float = 1.0) -> Programme:
        """All options and units, with limits S/scale and W/scale."""
        options = np.arange(reduced.option_cost.size)
        units = np.arange(reduced.unit_cost.size)
        return cls(reduced, options, units, reduced.storage / scale, reduced.compute / scale)

    @cached_property
    def costs(self) -> Floats:
        """The objective's coefficients; what they leave out is the sum of all fallbacks."""
        reduced = self.reduced
        saved = reduced.option_cost - reduced.fallback[reduced.option_request]
        return np.concatenate((saved[self.options], reduced.unit_cost[self.units]))

    @cached_property
    def _column_of_unit(self) -> Ints:
        """(u) its column; -1 where it is not in this part."""
        column = np.full(self.reduced.unit_cost.size, -1, dtype=np.int64)
        column[self.units] = self.options.size + np.arange(self.units.size)
        return column

    def solver(self, *, integer: bool = False) -> Any:
        """A HiGHS instance (one thread, seed 1) with the programme, not yet run."""
        import highspy

        solver: Any = highspy.Highs()  # type: ignore[no-untyped-call]
        for option, setting in (("output_flag", False), ("threads", 1), ("random_seed", 1)):
            solver.setOptionValue(option, setting)
        rows = self.rows
        order = np.argsort(rows.row, kind="stable")
        counts = np.bincount(rows.row, minlength=rows.most.size)
        program = highspy.HighsLp()
        program.num_col_, program.num_row_ = self.costs.size, rows.most.size
        program.col_cost_ = self.costs
        program.col_lower_, program.col_upper_ = np.zeros(self.costs.size), np.ones(self.costs.size)
        program.row_lower_, program.row_upper_ = np.full(rows.most.size, -np.inf), rows.most
        program.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        program.a_matrix_.start_ = np.concatenate(([0], np.cumsum(counts))).astype(np.int32)
        program.a_matrix_.index_ = rows.column[order].astype(np.int32)
        program.a_matrix_.value_ = rows.value[order]
        if integer:
            program.integrality_ = [highspy.HighsVarType.kInteger] * self.costs.size
        solver.passModel(program)
        return solver

    @cached_property
    def kinds(self) -> tuple[Rows, ...]:
        """The rows of requests, of links, of the order, of storage, and of compute."""
        return (
            self._request_rows(),
            self._link_rows(),
            self._order_rows(),
            self._storage_rows(),
            self._compute_rows(),
        )

    @cached_property
    def rows(self) -> Rows:
        """The rows of all kinds, one kind after the other."""
        parts = self.kinds
        firsts = np.cumsum([0, *(part.most.size for part in parts)])
        return Rows(
            np.concatenate([p.row + first for p, first in zip(parts, firsts, strict=False)]),
            np.concatenate([part.column for part in parts]),
            np.concatenate([part.value for part in parts]),
            np.concatenate([part.most for part in parts]),
            np.concatenate([part.of for part in parts]),
        )

    def _request_rows(self) -> Rows:
        requests, row = np.unique(self.reduced.option_request[self.options], return_inverse=True)
        ones = np.ones(row.size)
        return Rows(row, np.arange(row.size), ones, np.ones(requests.size), requests)

    def _link_rows(self) -> Rows:
        reduced = self.reduced
        column, unit = expand(reduced.bundle_units, reduced.option_bundle[self.options])
        unit_column = self._column_of_unit[unit]
        free = unit_column >= 0
        column, unit, unit_column = column[free], unit[free], unit_column[free]
        request = reduced.option_request[self.options][column]
        key = request * reduced.unit_cost.size + unit
        keys, row, count = np.unique(key, return_inverse=True, return_counts=True)
        kept = ~self._follows(keys, count)
        renumbered = np.cumsum(kept) - 1
        entry = kept[row]
        own = np.flatnonzero(kept)
        own_column = self._column_of_unit[keys[own] % reduced.unit_cost.size]
        return Rows(
            np.concatenate((renumbered[row[entry]], np.arange(own.size))),
            np.concatenate((column[entry], own_column)),
            np.concatenate((np.ones(int(entry.sum())), np.full(own.size, -1.0))),
            np.zeros(own.size),
            keys[own],
        )

    def _follows(self, keys: Ints, count: Ints) -> NDArray[np.bool_]:
        """Which link rows, given by request * units + unit and their numbers of options, follow
        from another: the options of (r, u) are among those of (r, v), so the same if as many."""
        follows = np.zeros(keys.size, dtype=bool)
        units = self.reduced.unit_cost.size
        over = self._free_over()
        starts = np.searchsorted(over[:, 0], np.arange(units + 1))
        unit = keys % units if units else keys
        lengths = starts[unit + 1] - starts[unit]
        group = np.repeat(np.arange(keys.size), lengths)
        within = np.arange(group.size) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        below = over[starts[unit][group] + within, 1]
        other = np.searchsorted(keys, keys[group] - unit[group] + below)
        same = count[other] == count[group]
        follows[other[same]] = True
        return follows

    def _free_over(self) -> Ints:
        """The pairs of `over` that have both units here, by their first unit."""
        over = self.reduced.over
        over = over[(self._column_of_unit[over] >= 0).all(axis=1)]
        return over[np.argsort(over[:, 0], kind="stable")]

    def _order_rows(self) -> Rows:
        columns = self._column_of_unit[self._free_over()]
        count = len(columns)
        row = np.repeat(np.arange(count), 2)
        signs = np.tile([1.0, -1.0], count)
        return Rows(row, columns.ravel(), signs, np.zeros(count), np.arange(count))

    def _storage_rows(self) -> Rows:
        site, size = self.reduced.unit_site[self.units], self.reduced.unit_size[self.units]
        column = self.options.size + np.arange(self.units.size)
        return _limits(column, site, size, self.storage, size)

    def _compute_rows(self) -> Rows:
        reduced = self.reduced
        site, work = reduced.option_site[self.options], reduced.option_compute[self.options]
        # a request takes one option: the most that a site can get is the sum of their largest
        request = reduced.option_request[self.options]
        key = site * reduced.fallback.size + request
        order = np.lexsort((-work, key))
        first = np.ones(order.size, dtype=bool)
        first[1:] = np.diff(key[order]) > 0
        largest = np.zeros(work.size)
        largest[order[first]] = work[order[first]]
        return _limits(np.arange(self.options.size), site, work, self.compute, largest)


def _limits(column: Ints, site: Ints, amount: Floats, limit: Floats, most: Floats) -> Rows:
    """A row for each site whose limit can be passed: `most`, summed, is the most it can get."""
    passed = totals(site, most, limit.size) > limit
    row = np.cumsum(passed) - 1
    entry = passed[site] & (amount > 0)
    scale = np.where(limit > 0, limit, 1.0)
    value = amount[entry] / scale[site[entry]]
    most_value = (limit / scale)[passed]
    return Rows(row[site[entry]], column[entry], value, most_value, np.flatnonzero(passed))
