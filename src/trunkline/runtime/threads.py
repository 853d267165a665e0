"""How long PyTorch's compute threads wait for work by spinning, and why that matters for loading.

After a parallel operation, the threads of GNU OpenMP spin for about 15 ms (300,000 rounds) in case
there is more to do. A switch begins just then, and its reading threads share the processors with
threads that do nothing: on two processors a warm read of 44 MB took 4.4 ms instead of 2.5. At
20,000 rounds (about 1 ms) a forward pass of a ResNet still never waits for a thread to wake (it
took 2 to 3 % longer), and the reads are undisturbed. At 1,000 rounds forwards take twice as long.
"""

from __future__ import annotations

import os
import sys
from typing import Final

SPIN_ROUNDS: Final = 20_000
"""Rounds that waiting compute threads spin before they sleep."""

_SETTINGS: Final = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")


def spin_briefly() -> bool:
    """Let this process's compute threads spin for 20,000 rounds, unless the user set otherwise.

    OpenMP reads its settings once, when PyTorch is imported, so call this before that; it returns
    whether it was in time (and does nothing otherwise).
    """
    if "torch" in sys.modules:
        return False
    if not any(name in os.environ for name in _SETTINGS):
        os.environ["GOMP_SPINCOUNT"] = str(SPIN_ROUNDS)
    return True
