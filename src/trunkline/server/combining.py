"""Running a batch for several adapters of one base, so that no answer differs for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch

from trunkline.errors import InputError, TrunklineError
from trunkline.runtime.inputs import reason
from trunkline.runtime.mixing import MixingRuntime
from trunkline.server.batching import Tensors, joined, parted
from trunkline.server.catalogue import Served
from trunkline.server.executing import GivenUp, Outputs, carry_out, checked
from trunkline.server.mixing import Group
from trunkline.server.signature import described, named_outputs


@dataclass(frozen=True, slots=True)
class Part:
    """A request in a mixed batch."""

    model: Served
    inputs: Tensors
    samples: int


@dataclass(frozen=True, slots=True)
class Combined:
    """What came of a mixed batch.

    Attributes:
        answers: what each request gets.
        error: the last failure, if there was one.
        samples, adapters, seconds: of a mixed forward that did not fail; 0 for none.
    """

    answers: list[Outputs | TrunklineError]
    error: TrunklineError | None
    samples: int = 0
    adapters: int = 0
    seconds: float = 0.0


def combine(
    runtime: MixingRuntime,
    group: Group,
    parts: Sequence[Part],
    wanted: Callable[[], bool] = lambda: True,
) -> Combined:
    """Run requests for several models as one batch; if it fails, one model after the other.

    The group's first batch runs both ways, and is answered by the latter.

    Args:
        parts: model by model, all of one shape; the models' blocks are resident.
        wanted: as `carry_out`.
    """
    if not group.proven:
        answers, error = _one_by_one(runtime, parts, wanted)
        if error is not None or not wanted():
            return Combined(answers, error)
        return Combined(answers, None, *_try(runtime, group, parts, answers))
    began = time.monotonic()
    try:
        answers = list(_together(runtime, parts))
    except GivenUp:
        raise
    except BaseException as error:  # a forward may raise anything, SystemExit too
        answers, failure = _one_by_one(runtime, parts, wanted)
        if failure is None and not isinstance(error, TrunklineError):
            group.refuse(reason(error))
        return Combined(answers, failure)
    took = time.monotonic() - began
    failures = [one for one in answers if isinstance(one, TrunklineError)]
    last = failures[-1] if failures else None
    return Combined(answers, last, *_extent(parts), took)


def _one_by_one(
    runtime: MixingRuntime, parts: Sequence[Part], wanted: Callable[[], bool]
) -> tuple[list[Outputs | TrunklineError], TrunklineError | None]:
    answers: list[Outputs | TrunklineError] = []
    last = None
    for served, its in groupby(parts, key=lambda one: one.model):
        if not wanted():
            break
        batch = [(one.inputs, one.samples) for one in its]
        found, error = carry_out(runtime, served, batch, wanted)
        answers += found
        last = error or last
    return answers, last


def _together(runtime: MixingRuntime, parts: Sequence[Part]) -> Iterator[Outputs | TrunklineError]:
    """What each request gets from one forward.

    Raises:
        Exception: whatever the forward raises; ValueError: it did not return a row a sample.
    """
    counts = [one.samples for one in parts]
    outputs = _outputs(runtime, parts, joined([one.inputs for one in parts]), sum(counts))
    for part, its in zip(parts, parted(outputs, counts), strict=True):
        part.model.outputs = described(its)
        yield checked(part.model.name, part.inputs, its)


def _outputs(
    runtime: MixingRuntime, parts: Sequence[Part], inputs: Tensors, samples: int
) -> Outputs:
    signature = parts[0].model.signature
    if signature is None:
        raise InputError(f"model {parts[0].model.name!r} cannot be run")
    result = runtime.infer_mixed(_names(parts)[:samples], signature.arguments(inputs))
    outputs = named_outputs(result)
    if not all(one.ndim and one.shape[0] == samples for one in outputs.values()):
        raise ValueError("an output has no row for each sample")
    return outputs


def _try(
    runtime: MixingRuntime,
    group: Group,
    parts: Sequence[Part],
    answers: Sequence[Outputs | TrunklineError],
) -> tuple[int, int, float]:
    """Run a batch whole and without its last sample, and compare with what is known of it.

    Twice, since a layer may have as many rows as the batch by chance: not with both.

    Returns:
        Samples and adapters of the second forward, and what it took (the first one was not warm).
    """
    alone = [one for one in answers if not isinstance(one, TrunklineError)]
    inputs = joined([one.inputs for one in parts])
    most, seconds = sum(one.samples for one in parts), 0.0
    for samples in (most, most - 1):
        began = time.monotonic()
        try:
            here = {name: one[:samples] for name, one in inputs.items()}
            outputs = _outputs(runtime, parts, here, samples)
        except TrunklineError:
            return 0, 0, 0.0  # what is wrong is not the mixing
        except GivenUp:
            raise
        except BaseException as error:  # a forward may raise anything, SystemExit too
            group.refuse(reason(error))
            return 0, 0, 0.0
        seconds = time.monotonic() - began
        expected = {name: torch.cat([one[name] for one in alone])[:samples] for name in alone[0]}
        if not alike(outputs, expected):
            group.refuse("a mixed batch answers otherwise than each of them alone")
            return 0, 0, 0.0
    group.proven = True
    return *_extent(parts, most - 1), seconds


def _names(parts: Sequence[Part]) -> list[str]:
    """Whose each sample is."""
    return [part.model.name for part in parts for _ in range(part.samples)]


def _extent(parts: Sequence[Part], samples: int | None = None) -> tuple[int, int]:
    """How many of the samples there are (all of them, if None), for how many adapters."""
    names = _names(parts)[:samples]
    return len(names), len(set(names))


def alike(some: Outputs, others: Outputs) -> bool:
    """Whether outputs are equal up to rounding: within the square root of their type's precision,
    relative to the largest value; whole numbers are equal."""
    if some.keys() != others.keys():
        return False
    for name, one in some.items():
        other = others[name]
        if one.shape != other.shape or one.dtype != other.dtype:
            return False
        if not one.is_floating_point():
            if not torch.equal(one, other):
                return False
            continue
        within = torch.finfo(one.dtype).eps ** 0.5
        largest = float(other.nan_to_num().abs().max()) if other.numel() else 0.0
        if not torch.allclose(
            one.double(), other.double(), rtol=0.0, atol=within * largest, equal_nan=True
        ):
            return False
    return True
