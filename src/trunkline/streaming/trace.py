"""What happens to each layer of each served user of a plan, moment by moment."""

from __future__ import annotations

import math
from dataclasses import dataclass

from trunkline.streaming.plan import MulticastStream, ServedUser, StreamingPlan
from trunkline.streaming.problem import TOLERANCE, StreamingModel, StreamingProblem, User, per_layer


@dataclass(frozen=True, slots=True)
class LayerTrace:
    """One layer.

    Attributes:
        bits: what is downloaded of it.
        sent_s: when its first bit is sent and its last has arrived; None if nothing is.
        ready_s: when it can compute: arrived (with all of its transfer) and copied.
        start_s, end_s: when it computes.
        multicast: whether it comes from the group's stream.
    """

    bits: float
    sent_s: tuple[float, float] | None
    ready_s: float
    start_s: float
    end_s: float
    multicast: bool


@dataclass(frozen=True, slots=True)
class UserTrace:
    """A served user with its layers in order of execution.

    Attributes:
        user, served: the user in the problem and in the plan.
        layers: what happens to each layer.
    """

    user: User
    served: ServedUser
    layers: tuple[LayerTrace, ...]

    @property
    def bits(self) -> float:
        """What is downloaded."""
        return sum(layer.bits for layer in self.layers)

    @property
    def compute_s(self) -> float:
        """A_1, the seconds that the device computes."""
        return sum(layer.end_s - layer.start_s for layer in self.layers)

    @property
    def waits(self) -> tuple[tuple[float, float], ...]:
        """The gaps between layers in which the device waits for the next one."""
        ends = (self.user.ready_s, *(layer.end_s for layer in self.layers))
        gaps = zip(ends, (layer.start_s for layer in self.layers), strict=False)
        return tuple((end, start) for end, start in gaps if start > end * (1 + TOLERANCE))

    @property
    def download_first_s(self) -> float:
        """When the answer would be there if computing waited for the last layer, all else equal."""
        start = max(self.user.ready_s, *(layer.ready_s for layer in self.layers))
        return start + self.compute_s + self.user.tail_s


def trace(problem: StreamingProblem, plan: StreamingPlan) -> tuple[UserTrace, ...]:
    """The layers of every served user, in the plan's order; the plan has to hold."""
    streams = {stream.id: stream for stream in plan.multicast}
    return tuple(_user(problem, served, streams) for served in plan.users)


def _user(
    problem: StreamingProblem, served: ServedUser, streams: dict[str, MulticastStream]
) -> UserTrace:
    user = problem.users[problem.user_index[served.id]]
    model = problem.models[problem.model_index[served.model]]
    sent = _sent(problem, served, user, model, streams)
    arrived = [ends for _, ends, _ in sent]
    first = 0
    for size in served.transfers or ():
        arrived[first : first + size] = [arrived[first + size - 1]] * size
        first += size
    now, copied, layers = user.ready_s, 0.0, []
    fixed, copies = per_layer(user.fixed_s, model), per_layer(user.copy_s, model)
    for n, (begins, ends, is_multicast) in enumerate(sent):
        cycles = user.samples * model.layers[n].flop * user.device.cycles_per_flop
        copied = max(copied, arrived[n]) + copies[n]
        start = max(now, copied)
        now = start + fixed[n] + cycles / (served.speeds[n] * user.device.hz)
        downloads = not math.isnan(begins)
        layers.append(
            LayerTrace(
                bits=model.layers[n].bits if downloads else 0.0,
                sent_s=(begins, ends) if downloads else None,
                ready_s=copied,
                start_s=start,
                end_s=now,
                multicast=is_multicast,
            )
        )
    return UserTrace(user, served, tuple(layers))


def _sent(
    problem: StreamingProblem,
    served: ServedUser,
    user: User,
    model: StreamingModel,
    streams: dict[str, MulticastStream],
) -> list[tuple[float, float, bool]]:
    """From when to when each layer is sent (NaN: it isn't), and whether by the group's stream."""
    shared: dict[str | None, tuple[float, float]] = {}
    if served.multicast is not None:
        stream = streams[served.multicast]
        rate = stream.share * problem.bandwidth_hz * stream.bits_per_s_per_hz
        done = 0.0
        for block in next(g for g in problem.multicast if g.id == stream.id).blocks:
            bits = problem.block_bits[block]
            shared[block] = (done / rate, (done + bits) / rate)
            done += bits
    rate = served.share * problem.bandwidth_hz * user.bits_per_s_per_hz
    held = user.cached.get(model.id, (False,) * len(model.layers))
    received, now, sent = 0.0, 0.0, []
    for layer, has in zip(model.layers, held, strict=True):
        if has or layer.bits == 0:
            sent.append((math.nan, now, False))
        elif layer.block in shared:
            begins, ends = shared[layer.block]
            sent.append((user.first_byte_s + begins, user.first_byte_s + ends, True))
        else:
            begins = user.first_byte_s + received / rate
            received += layer.bits
            now = user.first_byte_s + received / rate
            sent.append((begins, now, False))
    return sent
