"""HiGHS as the planners use it: one thread, one seed, and models given row by row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Row = tuple[NDArray[np.int64], NDArray[np.float64], float, float]
"""Columns, their coefficients, and the least and greatest value of the sum."""


def row(
    columns: ArrayLike, coefficients: ArrayLike, *, least: float = -np.inf, most: float = np.inf
) -> Row:
    """`least <= sum of coefficients * columns <= most`; one coefficient may stand for all."""
    positions = np.asarray(columns, dtype=np.int64)
    values = np.broadcast_to(np.asarray(coefficients, dtype=float), positions.shape)
    return positions, values, least, most


def maximise(
    objective: ArrayLike,
    upper: ArrayLike,
    rows: Sequence[Row],
    *,
    integer: NDArray[np.bool_] | None = None,
) -> Any:
    """A HiGHS instance with the model `max objective x, rows, 0 <= x <= upper`, not yet run.

    Args:
        integer: which columns must be whole; None for a linear programme.
    """
    import highspy

    solver: Any = highspy.Highs()  # type: ignore[no-untyped-call]
    for option, value in (("output_flag", False), ("threads", 1), ("random_seed", 1)):
        solver.setOptionValue(option, value)
    program = highspy.HighsLp()
    costs = np.asarray(objective, dtype=float)
    program.num_col_, program.num_row_ = costs.size, len(rows)
    program.sense_ = highspy.ObjSense.kMaximize
    program.col_cost_ = costs
    program.col_lower_ = np.zeros(costs.size)
    program.col_upper_ = np.asarray(upper, dtype=float)
    starts, columns, coefficients, least, most = _packed(rows)
    program.row_lower_, program.row_upper_ = least, most
    program.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    program.a_matrix_.start_ = starts
    program.a_matrix_.index_ = columns
    program.a_matrix_.value_ = coefficients
    if integer is not None:
        kinds = (highspy.HighsVarType.kContinuous, highspy.HighsVarType.kInteger)
        program.integrality_ = [kinds[int(whole)] for whole in integer]
    solver.passModel(program)
    return solver


def add_rows(solver: Any, rows: Sequence[Row]) -> None:
    """Add rows to a model."""
    if not rows:
        return
    starts, columns, coefficients, least, most = _packed(rows)
    solver.addRows(
        len(rows), least, most, columns.size, starts[:-1].astype(np.int32), columns, coefficients
    )


def _packed(
    rows: Sequence[Row],
) -> tuple[
    NDArray[np.int32],
    NDArray[np.int32],
    NDArray[np.float64],
    NDArray[np.float64],
    NDArray[np.float64],
]:
    """Rows as HiGHS takes them: starts, columns, coefficients, least and greatest values."""
    starts = np.cumsum([0, *(columns.size for columns, *_ in rows)]).astype(np.int32)
    columns = np.concatenate([one[0] for one in rows]).astype(np.int32)
    coefficients = np.concatenate([one[1] for one in rows])
    return (
        starts,
        columns,
        coefficients,
        np.array([one[2] for one in rows]),
        np.array([one[3] for one in rows]),
    )
