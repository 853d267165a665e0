"""Methods by name: a planner's registry, and errors for names and options that it lacks."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from trunkline.errors import InputError, UnknownMethodError


def check_method(
    methods: Mapping[str, Callable[..., Any]],
    name: str,
    options: Iterable[str],
    kind: str,
    common: tuple[str, ...] = (),
) -> None:
    """Refuse a name that is no method's, and options that the method lacks.

    Args:
        methods: every method of the planner, by name.
        options: the names of the options given.
        kind: of problem, for the message: "loading", "pulling", ...
        common: the options that all methods of the planner have, beside `options`.

    Raises:
        UnknownMethodError: naming what there is instead.
    """
    if name not in methods:
        known = ", ".join(sorted(methods))
        raise UnknownMethodError(f"no method {name!r} for {kind} problems; there are {known}")
    has = (*common, *options_of(methods[name]))
    if unknown := sorted(set(options) - set(has)):
        told = f"it has {', '.join(has)}" if has else "it has none"
        raise UnknownMethodError(f"method {name!r} has no option {unknown[0]!r}; {told}")


def check_margin(margin: float) -> None:
    """Refuse a share of the deadline that is not at least 0 and below 1 (InputError)."""
    if not 0 <= margin < 1:
        raise InputError(f"margin: a share of the deadline, at least 0 and below 1, got {margin:g}")


def options_of(method: Callable[..., Any]) -> tuple[str, ...]:
    """The names of a method's own keywords."""
    parameters = inspect.signature(method).parameters.values()
    return tuple(p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY)
