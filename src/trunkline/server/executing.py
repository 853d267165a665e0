"""Running a batch, so that no request fails for another's sake."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from trunkline.errors import InputError, ModelFailedError, TrunklineError
from trunkline.runtime import Runtime
from trunkline.runtime.inputs import reason
from trunkline.server.batching import Tensors, has_nan, joined, parted, refuse_nan
from trunkline.server.catalogue import Served
from trunkline.server.signature import described, named_outputs

Outputs = dict[str, torch.Tensor]


class GivenUp(BaseException):
    """Raised in a forward that does not end; no Exception, which a model may catch."""


def carry_out(
    runtime: Runtime,
    served: Served,
    batch: Sequence[tuple[Tensors, int]],
    wanted: Callable[[], bool] = lambda: True,
) -> tuple[list[Outputs | TrunklineError], TrunklineError | None]:
    """Run requests of one shape as one batch; each alone, if that fails or it cannot be told whose
    rows are whose.

    Args:
        served: a model whose blocks are resident.
        batch: inputs of each request, and how many samples it has.
        wanted: asked before each forward but the first: False once nobody wants the answers.

    Returns:
        What each request gets, and the last failure if there was one.
    """
    failure: TrunklineError = ModelFailedError(f"model {served.name!r} was given up on")
    try:
        runtime.switch(served.name)
        answers = _forward(runtime, served, batch)
    except GivenUp:
        raise
    except BaseException as error:  # a forward may raise anything, SystemExit too
        failure = _as_failure(served.name, error)
        answers = [failure] if len(batch) == 1 else []
    if not answers:
        for request in batch:
            answers += carry_out(runtime, served, [request], wanted)[0] if wanted() else [failure]
    failures = [one for one in answers if isinstance(one, TrunklineError)]
    return answers, failures[-1] if failures else None


def _forward(
    runtime: Runtime, served: Served, batch: Sequence[tuple[Tensors, int]]
) -> list[Outputs | TrunklineError]:
    """What each request gets; nothing where the outputs may not be by row."""
    if served.signature is None:
        raise InputError(f"model {served.name!r} cannot be run")
    counts = [samples for _, samples in batch]
    inputs = joined([one for one, _ in batch])
    result = runtime.infer(served.name, served.signature.arguments(inputs))
    outputs = named_outputs(result)
    by_row = all(one.ndim and one.shape[0] == sum(counts) for one in outputs.values())
    if not by_row:
        served.separate(inputs)
    if len(batch) > 1 and not (by_row and served.rows - {sum(counts)}):  # whose rows are these?
        return []
    if by_row:
        served.rows.add(sum(counts))
    served.outputs = described(outputs)
    parts = parted(outputs, counts)
    if not any(map(has_nan, outputs.values())):
        return [*parts]
    return [checked(served.name, one, part) for (one, _), part in zip(batch, parts, strict=True)]


def checked(name: str, inputs: Tensors, outputs: Outputs) -> Outputs | TrunklineError:
    """A request's outputs, or the failure that they are not a number where its inputs were."""
    try:
        refuse_nan(name, inputs, outputs)
    except ModelFailedError as failure:
        return failure
    return outputs


def _as_failure(name: str, error: BaseException) -> TrunklineError:
    if isinstance(error, TrunklineError):
        return error
    return ModelFailedError(f"the forward of model {name!r} failed: {reason(error)}")
