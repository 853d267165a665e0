"""The answer to a streaming problem: who is served, with which model, share and speeds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

FORMAT = "trunkline/streaming-plan/1"


@dataclass(frozen=True, slots=True)
class ServedUser:
    """A user that is served.

    Attributes:
        id: its id.
        model: id of the model that it gets.
        share: y, its share of the bandwidth; of a user that hears a multicast stream, the share of
            its own stream beside it.
        speeds: z, the share of the device's top frequency for each layer, over 0 and at most 1.
        layer_finish_s: F_l, when each layer ends.
        finish_s: when the answer is there: the last layer's end, and the tail.
        energy_j: what the task takes.
        transfers: how many layers arrive together in each transfer; None: each layer alone.
        multicast: id of the multicast group whose stream it hears, or None.
    """

    id: str
    model: str
    share: float
    speeds: tuple[float, ...]
    layer_finish_s: tuple[float, ...]
    finish_s: float
    energy_j: float
    transfers: tuple[int, ...] | None = None
    multicast: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The user as it stands in a plan document."""
        document: dict[str, Any] = {
            "id": self.id,
            "model": self.model,
            "share": self.share,
            "speeds": list(self.speeds),
            "layer_finish_s": list(self.layer_finish_s),
            "finish_s": self.finish_s,
            "energy_j": self.energy_j,
        }
        if self.transfers is not None:
            document["transfers"] = list(self.transfers)
        if self.multicast is not None:
            document["multicast"] = self.multicast
        return document


@dataclass(frozen=True, slots=True)
class MulticastStream:
    """The stream of a multicast group.

    Attributes:
        id: id of the group.
        share: its share of the bandwidth.
        bits_per_s_per_hz: the spectral efficiency it is sent with; who hears it has at least that.
    """

    id: str
    share: float
    bits_per_s_per_hz: float


@dataclass(frozen=True, slots=True)
class StreamingPlan:
    """A plan.

    Attributes:
        method: the name of the method that made it.
        served: how many users are served.
        proven: whether no plan with static shares serves more (or, with weights, is worth more).
        solve_s: seconds that planning took.
        users: those served, in the problem's order.
        multicast: the multicast streams that are sent.
    """

    method: str
    served: int
    proven: bool
    solve_s: float
    users: tuple[ServedUser, ...]
    multicast: tuple[MulticastStream, ...] = ()

    @property
    def share(self) -> float:
        """The share of the bandwidth that is used."""
        return sum(user.share for user in self.users) + sum(one.share for one in self.multicast)

    def to_dict(self) -> dict[str, Any]:
        """The plan as a `trunkline/streaming-plan/1` document."""
        document: dict[str, Any] = {
            "format": FORMAT,
            "method": self.method,
            "served": self.served,
            "proven": self.proven,
            "solve_s": self.solve_s,
            "users": [user.to_dict() for user in self.users],
        }
        if self.multicast:
            document["multicast"] = [
                {"id": s.id, "share": s.share, "bits_per_s_per_hz": s.bits_per_s_per_hz}
                for s in self.multicast
            ]
        return document
