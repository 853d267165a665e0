"""Who plans in the figures: a method, with or without sharing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Way:
    """A method with its options, on the scenario as it is or without sharing.

    Attributes:
        method: its name in `trunkline.pulling.METHODS`.
        sharing: whether models share blocks; if not, the same method plans for the same scenario
            with whole models.
        options: of the method.
    """

    method: str
    sharing: bool = True
    options: tuple[tuple[str, Any], ...] = ()

    @property
    def name(self) -> str:
        """What it is called in tables and legends."""
        if self.method == "fallback":
            return "all at the data centre"
        return f"{self.method}, {'sharing' if self.sharing else 'whole models'}"


LIMIT: Final = (("time_limit_s", 3.0),)
"""For methods that could take minutes where there are hundreds of requests."""

METHODS: Final = (
    ("rounding", LIMIT, "#1f77b4"),
    ("optimal", LIMIT, "#222222"),
    ("greedy", (), "#e07b39"),
    ("accuracy-first", (), "#3a9d5d"),
    ("nearest", (), "#9467bd"),
)
"""The methods of the figures with their options and colours; the first is ours."""

PAIRED: Final = tuple(
    (Way(method, True, options), Way(method, False, options)) for method, options, _ in METHODS
)
"""Each method with sharing on and off."""

OURS: Final = PAIRED[0][0]

FALLBACK: Final = Way("fallback")
"""All at the data centre, where sharing makes no difference."""

WAYS: Final = (*(way for pair in PAIRED for way in pair), FALLBACK)

COLOURS: Final = {method: colour for method, _, colour in METHODS} | {"fallback": "#7f7f7f"}
