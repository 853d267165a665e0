"""Who gets how much of a link, now: the streaming planner over what remains of each transfer.

Each transfer with a deadline is a user of a streaming problem (`trunkline.streaming`): its layers
are the blocks that it does not have in full, its first one what is left of the block under way; it
can compute when it has computed what it has. The planner's `optimal` gives each its least share,
with which it is in time. What the shares leave is divided equally among transfers without a
deadline (and those that can no longer meet theirs), and where there are none, among all, in
proportion to their shares: so the link never idles while somebody is sending.

The planner and its least share: `trunkline.streaming`. Replanning and the division of the rest:
derived.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from trunkline.streaming import Device, Layer, StreamingModel, StreamingProblem, User, solve

_DEVICE: Final = Device(hz=1.0, cycles_per_flop=0.0)
"""Times of layers are given as they are (`fixed_s`)."""

Rates = dict[str, float]


@dataclass(frozen=True, slots=True)
class Demand:
    """What a transfer needs, seen from one moment.

    Attributes:
        bytes: what is to be sent of each block that is not there in full, in order; 0 of one that
            the device holds.
        compute_s: what the device computes with each of these blocks, as many.
        left_s: until the deadline; None without one.
        ready_s: until the device has computed what it has.
        delay_s: from the sending of a byte to its arrival.
        sending: whether a client is reading at the moment.
    """

    bytes: tuple[int, ...]
    compute_s: tuple[float, ...]
    left_s: float | None = None
    ready_s: float = 0.0
    delay_s: float = 0.0
    sending: bool = True


def shares(link_bytes_per_s: float, demands: Mapping[str, Demand]) -> Rates:
    """The planner's share of the link for each transfer that it serves, 0 to 1.

    Transfers without a deadline, or with nothing left, are not among them.
    """
    asking = {
        name: one
        for name, one in demands.items()
        if one.left_s is not None and one.left_s > 0 and any(one.bytes)
    }
    if not asking:
        return {}
    plan = solve(_problem(link_bytes_per_s, asking), "optimal")
    return {user.id: user.share for user in plan.users}


def admits(link_bytes_per_s: float, demands: Mapping[str, Demand], new: Demand) -> bool:
    """Whether a new transfer can meet its deadline beside all those that meet theirs."""
    if new.left_s is None or not any(new.bytes):
        return True
    name = "new"
    while name in demands:
        name += "+"
    served = shares(link_bytes_per_s, demands)
    together = shares(link_bytes_per_s, {**{one: demands[one] for one in served}, name: new})
    return len(together) == len(served) + 1


def divide(link_bytes_per_s: float, demands: Mapping[str, Demand]) -> Rates:
    """Bytes a second for each transfer; they sum to the link's rate where anybody is sending.

    What a transfer that nobody reads would get is lent to the others.
    """
    sending = {name: one for name, one in demands.items() if one.sending and any(one.bytes)}
    planned = shares(link_bytes_per_s, sending)
    rest = max(0.0, 1.0 - sum(planned.values()))
    others = [name for name in sending if name not in planned]
    rates = dict.fromkeys(demands, 0.0)
    for name, share in planned.items():
        rates[name] = share * link_bytes_per_s
        if not others:
            rates[name] += rest * link_bytes_per_s * share / sum(planned.values())
    for name in others:
        rates[name] = rest * link_bytes_per_s / len(others)
    return rates


def _problem(link_bytes_per_s: float, demands: Mapping[str, Demand]) -> StreamingProblem:
    """The streaming problem of transfers with deadlines; a bit a second and hertz."""
    models = [
        StreamingModel(name, 1.0, tuple(Layer(8.0 * count, 0.0) for count in one.bytes))
        for name, one in demands.items()
    ]
    users = [
        User(
            name,
            (name,),
            1.0,
            one.left_s or 0.0,
            _DEVICE,
            fixed_s=one.compute_s,
            first_byte_s=one.delay_s,
            ready_s=one.ready_s,
        )
        for name, one in demands.items()
    ]
    return StreamingProblem(8.0 * link_bytes_per_s, tuple(models), tuple(users))
