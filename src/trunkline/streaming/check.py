"""Whether a streaming plan holds: every layer of every served user simulated anew.

The definitions are those of `problem` (recursion, shares: paper; energy: derived). This file shares
no code with any solver: it reads the problem's plain data and the plan, nothing else.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from trunkline.streaming.plan import MulticastStream, ServedUser, StreamingPlan
from trunkline.streaming.problem import StreamingModel, StreamingProblem, User

RELATIVE = 2e-9
"""Two figures agree, and a limit holds, up to this relative difference: twice what planners allow
themselves, so that rounding never refuses a plan that just meets a limit."""


def check(problem: StreamingProblem, plan: StreamingPlan) -> list[str]:
    """The violations of a plan, one sentence each; empty if the plan holds.

    What must hold: a user is served at most once, with a model that it accepts; shares are at
    least 0 and sum to at most 1 with those of the multicast streams, in whole resource blocks where
    the problem has them; speeds are over 0 and at most 1; each layer ends when the recursion says,
    with the layers that arrive in one transfer there at its end; the answer is in time and the
    energy within its budget; a multicast stream is heard only by users of its group whose link
    carries it; and the totals are right.
    """
    if faults := list(_not_finite(plan)):
        return faults
    return list(_violations(problem, plan))


def _not_finite(plan: StreamingPlan) -> Iterator[str]:
    """Figures that are no finite number; with one of them nothing else can be judged."""
    for n, user in enumerate(plan.users):
        numbers = [user.share, user.finish_s, user.energy_j, *user.speeds, *user.layer_finish_s]
        if not all(math.isfinite(number) for number in numbers):
            yield f"users[{n}]: a figure is not a finite number"
    for n, stream in enumerate(plan.multicast):
        if not (math.isfinite(stream.share) and math.isfinite(stream.bits_per_s_per_hz)):
            yield f"multicast[{n}]: a figure is not a finite number"


def _violations(problem: StreamingProblem, plan: StreamingPlan) -> Iterator[str]:
    users = {user.id: user for user in problem.users}
    models = {model.id: model for model in problem.models}
    streams = {stream.id: stream for stream in plan.multicast}
    for name, times in Counter(user.id for user in plan.users).items():
        if times > 1:
            yield f"user {name!r} is served {times} times"
    for n, served in enumerate(plan.users):
        here = f"users[{n}]"
        if served.id not in users:
            yield f"{here}: no user {served.id!r}"
        elif served.model not in models:
            yield f"{here}: no model {served.model!r}"
        else:
            user, model = users[served.id], models[served.model]
            yield from _choice(problem, served, user, model, here)
            if faults := list(_shape(problem, served, model, streams, here)):
                yield from faults
            else:
                yield from _run(problem, served, user, model, streams, here)
    yield from _band(problem, plan)
    if plan.served != len(plan.users):
        yield f"served is {plan.served}, the plan has {len(plan.users)} users"


def _choice(
    problem: StreamingProblem, served: ServedUser, user: User, model: StreamingModel, here: str
) -> Iterator[str]:
    if model.id not in user.models:
        yield f"{here}: user {user.id!r} does not take the model {model.id!r}"
    if model.accuracy < user.min_accuracy:
        low = f"accuracy {model.accuracy:g}, below {user.min_accuracy:g}"
        yield f"{here}: model {model.id!r} has {low}"
    yield from _share(problem, served.share, here)


def _shape(
    problem: StreamingProblem,
    served: ServedUser,
    model: StreamingModel,
    streams: Mapping[str, MulticastStream],
    here: str,
) -> Iterator[str]:
    """What must be right before anything can be simulated."""
    count = len(model.layers)
    if len(served.speeds) != count or len(served.layer_finish_s) != count:
        yield f"{here}: model {model.id!r} has {count} layers; give a speed and an end for each"
    for layer, speed in enumerate(served.speeds):
        if not 0 < speed <= 1 + RELATIVE:
            yield f"{here}: speeds[{layer}] is {speed:g}, not over 0 and at most 1"
    if served.transfers is not None:
        if any(size < 1 for size in served.transfers) or sum(served.transfers) != count:
            yield f"{here}: transfers have to sum to the {count} layers, each at least 1"
        if served.multicast is not None:
            yield f"{here}: transfers of several layers and multicast do not go together"
    if served.multicast is not None:
        group = next((g for g in problem.multicast if g.id == served.multicast), None)
        if group is None or served.multicast not in streams:
            yield f"{here}: no multicast stream {served.multicast!r}"
        elif served.id not in group.users:
            yield f"{here}: user {served.id!r} is not in the group {group.id!r}"


def _run(
    problem: StreamingProblem,
    served: ServedUser,
    user: User,
    model: StreamingModel,
    streams: Mapping[str, MulticastStream],
    here: str,
) -> Iterator[str]:
    """The layers one by one."""
    fixed = _of_model(user.fixed_s, model)
    copy = _of_model(user.copy_s, model)
    arrived = _arrivals(problem, served, user, model, streams)
    now, copied, joules = user.ready_s, 0.0, user.fixed_j
    for layer, speed in enumerate(served.speeds):
        cycles = user.samples * model.layers[layer].flop * user.device.cycles_per_flop
        hertz = speed * user.device.hz
        copied = max(copied, arrived[layer]) + copy[layer]
        now = max(now, copied) + fixed[layer] + cycles / hertz
        joules += user.device.joule_per_cycle_hz2 * cycles * hertz * hertz
        yield from _agree(here, f"layer_finish_s[{layer}]", served.layer_finish_s[layer], now)
    yield from _agree(here, "finish_s", served.finish_s, now + user.tail_s)
    yield from _agree(here, "energy_j", served.energy_j, joules)
    if now + user.tail_s > user.deadline_s * (1 + RELATIVE):
        ends = f"has its answer at {now + user.tail_s:g} s"
        yield f"{here}: user {user.id!r} {ends}, after {user.deadline_s:g} s"
    if user.energy_j is not None and joules > user.energy_j * (1 + RELATIVE):
        yield f"{here}: user {user.id!r} takes {joules:g} J, over {user.energy_j:g} J"


def _arrivals(
    problem: StreamingProblem,
    served: ServedUser,
    user: User,
    model: StreamingModel,
    streams: Mapping[str, MulticastStream],
) -> list[float]:
    """When each layer has arrived, on the user's own stream or the group's."""
    held = user.cached.get(model.id, (False,) * len(model.layers))
    sent = _stream_seconds(problem, served, streams)
    own_rate = served.share * problem.bandwidth_hz * user.bits_per_s_per_hz
    received, arrived = 0.0, []
    for layer, has in zip(model.layers, held, strict=True):
        lacks = not has and layer.bits > 0
        if lacks and layer.block in sent:
            arrived.append(user.first_byte_s + sent[layer.block])
            continue
        received += layer.bits if lacks else 0.0
        arrived.append(user.first_byte_s + _seconds(received, own_rate) if received > 0 else 0.0)
    ends, first = list(arrived), 0
    for size in served.transfers or ():
        ends[first : first + size] = [arrived[first + size - 1]] * size
        first += size
    return ends


def _stream_seconds(
    problem: StreamingProblem, served: ServedUser, streams: Mapping[str, MulticastStream]
) -> dict[str | None, float]:
    """When each block of the stream that a user hears has been sent."""
    if served.multicast is None:
        return {}
    group = next(g for g in problem.multicast if g.id == served.multicast)
    stream = streams[served.multicast]
    rate = stream.share * problem.bandwidth_hz * stream.bits_per_s_per_hz
    sizes = {layer.block: layer.bits for model in problem.models for layer in model.layers}
    sent, seconds = 0.0, {}
    for block in group.blocks:
        sent += sizes[block]
        seconds[block] = _seconds(sent, rate)
    return {block: seconds[block] for block in group.blocks}


def _seconds(bits: float, rate: float) -> float:
    return bits / rate if rate > 0 else math.inf


def _band(problem: StreamingProblem, plan: StreamingPlan) -> Iterator[str]:
    """Whether the shares fit into the band, and streams to those who hear them."""
    groups = {group.id for group in problem.multicast}
    efficiency = {user.id: user.bits_per_s_per_hz for user in problem.users}
    for name, times in Counter(stream.id for stream in plan.multicast).items():
        if times > 1:
            yield f"multicast group {name!r} has {times} streams"
    for n, stream in enumerate(plan.multicast):
        here = f"multicast[{n}]"
        if stream.id not in groups:
            yield f"{here}: no multicast group {stream.id!r}"
        yield from _share(problem, stream.share, here)
        for served in plan.users:
            link = efficiency.get(served.id, math.inf)
            if served.multicast == stream.id and link < stream.bits_per_s_per_hz * (1 - RELATIVE):
                fast = f"{stream.bits_per_s_per_hz:g} bit/s/Hz, user {served.id!r} has {link:g}"
                yield f"{here}: is sent with {fast}"
    total = math.fsum([u.share for u in plan.users] + [s.share for s in plan.multicast])
    if total > 1 + RELATIVE:
        yield f"the shares sum to {total:.12g}, over 1"


def _share(problem: StreamingProblem, share: float, here: str) -> Iterator[str]:
    if share < 0:
        yield f"{here}: the share {share:g} is below 0"
    if problem.resource_blocks is not None:
        blocks = share * problem.resource_blocks
        if abs(blocks - round(blocks)) > RELATIVE * max(1.0, blocks):
            yield f"{here}: the share {share:g} is {blocks:.9g} resource blocks, no whole number"


def _of_model(values: Any, model: StreamingModel) -> Sequence[float]:
    """The value of each layer: one number for all, a list, or a list for this model."""
    if isinstance(values, Mapping):
        return tuple(values[model.id]) if model.id in values else (0.0,) * len(model.layers)
    return (values,) * len(model.layers) if isinstance(values, (int, float)) else tuple(values)


def _agree(here: str, name: str, stated: float, true: float) -> Iterator[str]:
    if not math.isclose(stated, true, rel_tol=RELATIVE):
        yield f"{here}: {name} is {stated:.12g}, recomputed {true:.12g}"
