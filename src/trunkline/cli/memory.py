"""The memory option, and what does not fit into it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.cli.output import note
from trunkline.errors import InputError, MemoryBudgetError
from trunkline.units import count, parse_bytes, size

if TYPE_CHECKING:
    from trunkline.loading import LoadingProblem

MOST_NAMED = 3
"""Of the models that don't fit, so many are named."""


def parse_memory(text: str | None) -> int | None:
    """The bytes of `--memory` (InputError: no size, or none at all)."""
    if text is None:
        return None
    try:
        found = parse_bytes(text)
    except InputError as error:
        raise InputError(f"--memory: {error}") from None
    if found == 0:
        raise InputError("--memory: 0 bytes hold no model")
    return found


def tell_what_does_not_fit(problem: LoadingProblem) -> None:
    """Notes on the models that are asked for and do not fit into the problem's memory.

    Raises:
        MemoryBudgetError: none of them does.
    """
    asked = {task.model for task in problem.tasks}
    wanted = [i for i, model in enumerate(problem.models) if model.id in asked]
    too_large = [i for i in wanted if not problem.fits(i)]
    if not too_large:
        return
    budget = size(problem.memory_bytes or 0.0)
    if len(too_large) == len(wanted):
        least = min(too_large, key=lambda i: problem.library.model_bytes[i])
        raise MemoryBudgetError(
            f"no model fits into the memory of {budget}; the smallest that is asked for, "
            f"{problem.models[least].id!r}, has {size(problem.library.model_bytes[least])}"
        )
    for i in too_large[:MOST_NAMED]:
        name = problem.models[i].id
        lost = sum(task.model == name for task in problem.tasks)
        note(
            f"model {name!r} ({size(problem.library.model_bytes[i])}) does not fit into the "
            f"memory of {budget}: {count(lost, 'task')} cannot be served"
        )
    if len(too_large) > MOST_NAMED:
        note(f"the same holds for {count(len(too_large) - MOST_NAMED, 'more model')}")
