"""From a store to an engine that is ready to serve."""

from __future__ import annotations

import time
from collections.abc import Collection
from pathlib import Path
from typing import Final

import torch

from trunkline.errors import InputError, NotInStoreError
from trunkline.loading.policies import policy as check_policy
from trunkline.runtime.device import available_bytes
from trunkline.runtime.mixing import MixingRuntime
from trunkline.runtime.profile import load_profile
from trunkline.server.catalogue import look_up
from trunkline.server.engine import LocalEngine
from trunkline.server.estimates import Estimates
from trunkline.server.ordering import learn_orders
from trunkline.server.warmup import warm_up
from trunkline.server.work import Limits, Observer
from trunkline.store import Store

WARM_UP_S: Final = 30.0
"""No measurement is begun after so long."""

MEMORY_SHARE: Final = 0.5
"""Of the memory that is free, what weights take where nobody says."""


def open_engine(
    store: Store,
    *,
    models: Collection[str] | None = None,
    memory_bytes: int | None = None,
    device: str = "cpu",
    profile: Path | None = None,
    policy: str | None = None,
    whole_models: bool = False,
    copy: bool = False,
    limits: Limits | None = None,
    observer: Observer | None = None,
) -> LocalEngine:
    """An engine for models of a store, warmed up.

    Args:
        models: serve only these; None for all, and those that come later.
        memory_bytes: for weights; None for half of what is free.
        profile: a file that `trunkline profile` saved; None to measure a little here.
        policy: chooses the next batch; None for `urgency`.
        whole_models: share nothing in memory: every model is loaded, and leaves, whole.
        copy: copy every block, also where it could be used in the pages of its file.

    Raises:
        NotInStoreError: the store has no such model.
        UnknownMethodError: no such policy.
        DocumentError, InputError: the profile, or the device, cannot be used.
    """
    check_policy(policy or "urgency")
    measured = None if profile is None else load_profile(profile)
    names = store.names()
    for name in models or ():
        if name not in names:
            raise NotInStoreError(f"no model {name!r} in the store at {store.path}")
    budget = free_bytes(device) if memory_bytes is None else memory_bytes
    runtime = MixingRuntime(store, device, budget, partial=not whole_models, copy=copy)
    try:
        found = {name: look_up(runtime, name) for name in (names if models is None else models)}
        limits = limits or Limits()
        estimates = Estimates(measured, limits.batch)
        able = [one.stored for one in found.values() if one.signature is not None]
        for name, problem in warm_up(runtime, able, estimates, WARM_UP_S).items():
            found[name].fail(problem, time.monotonic())
        learn_orders(runtime, [one for one in able if not found[one.name].reason], WARM_UP_S)
        return LocalEngine(
            runtime, found, estimates, policy or "urgency", limits, observer, only=models
        )
    except BaseException:
        runtime.close()
        raise


def free_bytes(device: str) -> int:
    """Half of the memory that is free on a device (InputError: there is no such device)."""
    try:
        kind = torch.device(device)
    except RuntimeError:
        raise InputError(f"device {device!r} is none that PyTorch knows") from None
    if kind.type == "cuda" and torch.cuda.is_available():
        return int(MEMORY_SHARE * torch.cuda.mem_get_info(kind)[0])
    return int(MEMORY_SHARE * available_bytes())
