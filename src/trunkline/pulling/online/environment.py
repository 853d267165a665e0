"""What an environment is: it poses requests one by one, and knows what every arm would cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from trunkline.pulling.online.context import Floats, Ints
from trunkline.pulling.online.learner import Facts, Round


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a request.

    Attributes:
        loss: 0 to 1.
        demand: rho; None where it did not become known (rejected) or there is none.
        delay_s: from the request to its answer; NaN where it was rejected or there is none.
        accuracy: of the model that served it; NaN likewise.
        pulled_bytes: what had to be pulled for it.
        central: whether the data centre served it.
    """

    loss: float
    demand: float | None = None
    delay_s: float = float("nan")
    accuracy: float = float("nan")
    pulled_bytes: float = 0.0
    central: bool = False


class Environment(Protocol):
    """Requests, all drawn beforehand, so that every learner meets the same ones.

    Attributes:
        facts: what a learner may know before the first round.
        levels: the features of every round, shape (T, n); for judging, not for learners.
    """

    @property
    def facts(self) -> Facts: ...  # noqa: D102

    @property
    def levels(self) -> Ints: ...  # noqa: D102

    def round(self, number: int, reads: int) -> Round:
        """Pose request t (from 1, in order), of which `reads` features may be read."""

    def losses(self) -> Floats:
        """The loss that each arm would have in this round, shape (K,): full information."""

    def known_losses(self) -> Floats:
        """The same as far as it can be known before the round's noise is drawn, given everything
        else: what the full-information oracle goes by."""

    def serve(self, arm: int) -> Outcome:
        """Serve the request by an arm; what that changes is changed."""
