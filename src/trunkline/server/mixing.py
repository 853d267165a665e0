"""Which models' requests may run as one batch: adapters of one base with equal settings."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Mapping
from dataclasses import dataclass

from trunkline.errors import TrunklineError
from trunkline.runtime.mixing import MixingRuntime
from trunkline.server.catalogue import Served

log = logging.getLogger(__name__)


@dataclass(eq=False)
class Group:
    """Adapters of one base with equal settings.

    PEFT mixes them where each layer sees one row a sample, and raises an error elsewhere, or where
    numbers of rows agree by chance, answers wrongly. So the first mixed batch is on trial.

    Attributes:
        label: for messages.
        proven: whether a mixed batch answered as each adapter did alone.
        refused: why they are not mixed; empty if they are.
    """

    label: str
    proven: bool = False
    refused: str = ""

    def refuse(self, why: str) -> None:
        """Mix them no more; said once."""
        if not self.refused:
            self.refused = why
            log.warning("adapters of %s run one by one: %s", self.label, why)


class Mixing:
    """The groups among the models that are served."""

    def __init__(self, runtime: MixingRuntime) -> None:
        self._runtime = runtime
        self._groups: dict[Hashable, Group] = {}
        self._of: dict[str, Group] = {}

    def adopt(self, models: Mapping[str, Served]) -> None:
        """Find the groups among these models, and make ready what they need."""
        members: dict[Hashable, list[str]] = {}
        for name, served in models.items():
            architecture = served.stored.architecture
            if served.signature is None or architecture is None or architecture.kind != "peft":
                continue
            try:
                members.setdefault(self._runtime.mixing_key(name), []).append(name)
            except TrunklineError as error:  # it cannot be looked up any more: another's affair
                log.warning("model %r is not mixed with others: %s", name, error)
        several = {key: names for key, names in members.items() if len(names) > 1}
        self._groups = {
            key: self._groups.get(key) or self._new(names[0]) for key, names in several.items()
        }
        self._of = {name: self._groups[key] for key, names in several.items() for name in names}

    def group(self, name: str) -> Group | None:
        """A model's group, if it is mixed with others."""
        found = self._of.get(name)
        return None if found is None or found.refused else found

    def _new(self, name: str) -> Group:
        architecture = self._runtime.stored(name).architecture
        group = Group("" if architecture is None else architecture.label)
        try:
            self._runtime.prepare_mixed(name)
        except TrunklineError as error:
            group.refuse(str(error))
        return group
