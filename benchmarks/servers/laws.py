"""The laws by which requests come, as options name them."""

from __future__ import annotations

import argparse
from typing import NamedTuple, get_args

from trunkline.experiments.traces import Arrivals


class Law(NamedTuple):
    """When requests come, and by which exponent of Zipf's law models are popular (0: alike)."""

    arrivals: Arrivals
    zipf: float

    def __str__(self) -> str:
        return f"{self.arrivals}, " + (f"Zipf {self.zipf:g}" if self.zipf else "uniform")


def law(text: str) -> Law:
    """`poisson:0.9`: arrivals and the exponent (argparse's error for anything else)."""
    name, _, exponent = text.partition(":")
    try:
        zipf = float(exponent)
    except ValueError:
        zipf = -1.0
    for arrivals in get_args(Arrivals):
        if arrivals == name and 0 <= zipf <= 100:
            return Law(arrivals, zipf)
    known = " or ".join(get_args(Arrivals))
    raise argparse.ArgumentTypeError(f"{text!r}: {known}, and Zipf's exponent, as in poisson:0.9")
