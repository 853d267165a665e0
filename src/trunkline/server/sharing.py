"""What the served models share, as the status page shows it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from trunkline.library import Component, ModelLibrary
from trunkline.store import StoredModel, library_of

MOST_SHOWN: Final = 150
"""The matrix has no more models than this."""


@dataclass(frozen=True)
class Sharing:
    """Who shares what.

    Attributes:
        key: changes when a model comes, goes or changes.
        library: the models' blocks, by digest.
    """

    key: str
    library: ModelLibrary

    @classmethod
    def of(cls, models: Sequence[StoredModel]) -> Sharing:
        """That of these models."""
        return cls(key_of(models), library_of(models))

    @cached_property
    def own_bytes(self) -> Mapping[str, float]:
        """By model: the bytes of the blocks that no other model holds."""
        own = {model.id: 0.0 for model in self.library}
        for group in self.library.merged:
            if len(group.models) == 1:
                own[self.library.models[group.models[0]].id] = group.bytes
        return own

    @cached_property
    def shared_blocks(self) -> frozenset[str]:
        """The digests of the blocks that several models hold."""
        return frozenset(
            block
            for group in self.library.merged
            if len(group.models) > 1
            for block in group.blocks
        )

    def resident(self, digests: Iterable[str]) -> tuple[float, float]:
        """The bytes of these blocks: of those that several models hold, and that one holds."""
        known = [digest for digest in digests if digest in self.library.blocks]
        shared = self.library.bytes_of(digest for digest in known if digest in self.shared_blocks)
        return shared, self.library.bytes_of(known) - shared

    @cached_property
    def document(self) -> dict[str, Any]:
        """What the page draws: families of models, and who holds how much of whom.

        `percent[i][j]` is the share of the bytes of model i that model j holds too; families, and
        in them the models, stand together.
        """
        families = sorted(self.library.components, key=lambda one: -len(one.models))
        order = [i for family in families for i in family.models]
        shown = order[:MOST_SHOWN]
        matrix = self.library.sharing_matrix
        return {
            "key": self.key,
            "models": [self.library.models[i].id for i in shown],
            "left_out": len(order) - len(shown),
            "percent": [
                [round(100 * matrix[i, j] / matrix[i, i]) if matrix[i, i] else 0 for j in shown]
                for i in shown
            ],
            "distinct_bytes": self.library.distinct_bytes,
            "whole_bytes": sum(self.library.model_bytes),
            "families": [self._family(family) for family in families[:MOST_SHOWN]],
        }

    def _family(self, family: Component) -> dict[str, Any]:
        everyone = [group for group in family.groups if len(group.models) == len(family.models)]
        return {
            "models": len(family.models),
            "first": self.library.models[family.models[0]].id,
            "distinct_bytes": sum(group.bytes for group in family.groups),
            "whole_bytes": sum(self.library.model_bytes[i] for i in family.models),
            "common_bytes": sum(group.bytes for group in everyone),
        }


def key_of(models: Sequence[StoredModel]) -> str:
    """A name for a state of the store: equal for equal models, whatever their order."""
    digest = hashlib.sha256()
    for name, content in sorted((model.name, model.digest) for model in models):
        digest.update(f"{name}\n{content}\n".encode("utf-8", "replace"))
    return digest.hexdigest()[:16]
