"""The skeletons of a runtime: one for each architecture, whichever models take turns in it."""

from __future__ import annotations

from collections.abc import Collection
from threading import Lock

import torch

from trunkline.runtime.skeleton import Skeleton
from trunkline.store import Architecture
from trunkline.store.trust import require_trust


class Skeletons:
    """Skeletons by architecture.

    `build` needs no lock of the runtime, since a large network takes its time; all else is called
    under the one that says what is where in memory.

    Args:
        device: where they run.
        trust: factories that may build them, besides those that were named on this machine.
    """

    def __init__(self, device: torch.device, trust: frozenset[str]) -> None:
        self._device = device
        self._trust = trust
        self._built: dict[str, Skeleton] = {}
        self._building = Lock()

    def build(self, architecture: Architecture, model: str) -> None:
        """Build the skeleton of an architecture, unless there is one, for a model of that name.

        Raises:
            UntrustedFactoryError: its factory was not named on this machine; no code of it ran.
            ArchitectureError: it cannot be built.
        """
        with self._building:
            if architecture.key not in self._built:
                self._built.setdefault(architecture.key, self._new(architecture, model))

    def get(self, architecture: Architecture, model: str) -> Skeleton:
        """The skeleton of an architecture, built now if it was not before (errors as `build`)."""
        found = self._built.get(architecture.key)
        if found is None:  # not under `_building`: its holder may be slow, this caller has a lock
            found = self._built.setdefault(architecture.key, self._new(architecture, model))
        return found

    def release(self, digests: Collection[str]) -> None:
        """Take blocks out of all skeletons, since they are leaving memory."""
        for skeleton in list(self._built.values()):
            skeleton.release(digests)

    def drop(self, skeleton: Skeleton) -> None:
        """Use a skeleton no more; its architecture gets another."""
        for key, one in list(self._built.items()):
            if one is skeleton:
                del self._built[key]

    def keep(self, used: Collection[Skeleton]) -> None:
        """Let go of all others."""
        for skeleton in list(self._built.values()):
            if not any(skeleton is one for one in used):
                self.drop(skeleton)

    def _new(self, architecture: Architecture, model: str) -> Skeleton:
        require_trust(architecture, model, self._trust)
        return Skeleton(architecture, self._device)
