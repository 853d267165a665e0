"""Our own server, in three ways: with the budget, so with whole models, with memory for all."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Sequence
from typing import ClassVar

from benchmarks.servers.server import HTTP, REPOSITORY, Server


class Own(Server):
    """`trunkline serve`, memory for two whole models."""

    name = "trunkline"
    ready_path = "/v2/health/ready"
    options: ClassVar[tuple[str, ...]] = ()

    @property
    def memory_bytes(self) -> int:
        return self.terms.library.memory_bytes

    def command(self) -> Sequence[str]:
        serve = [sys.executable, "-m", "trunkline", "serve", "--store"]
        serve += [str(self.terms.library.store), "--port", str(self.port)]
        return [*serve, "--memory", str(self.memory_bytes), *self.options]

    def environment(self) -> dict[str, str]:
        """The list of trusted factories is the benchmark's own."""
        trusted = self.terms.folder / "config"
        path = trusted / "trunkline" / "trusted.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        names = {f"{one.module}:{one.factory}" for one in self.terms.library.variants}
        factories = [{"factory": name} for name in sorted(names)]
        path.write_text(json.dumps({"format": "trunkline/trust/1", "factories": factories}))
        paths = f"{REPOSITORY / 'src'}{os.pathsep}{REPOSITORY}"
        return {"XDG_CONFIG_HOME": str(trusted), "PYTHONPATH": paths}

    def input_name(self) -> str:
        """As the models' metadata says, if it says."""
        model = self.terms.library.variants[0].name
        inputs = HTTP.request("GET", f"{self.url}/v2/models/{model}").json().get("inputs")
        return str(inputs[0]["name"]) if inputs else super().input_name()

    def bytes_moved(self) -> int | None:
        moved = self.total("moved_bytes")
        return None if moved is None else int(moved)

    def total(self, name: str) -> float | None:
        """A counter of `/metrics`, over all its labels; None before it counted anything."""
        found = self.values(f"{name}_total")
        return sum(found.values()) if found else None

    def values(self, name: str) -> dict[str, float]:
        """A metric by the value of its label (of one label at most)."""
        text = HTTP.request("GET", f"{self.url}/metrics").data.decode()
        found = re.findall(rf'^trunkline_{name}(?:{{\w+="([^"]*)"}})? (\S+)$', text, re.M)
        return {label: float(value) for label, value in found}


class OwnWhole(Own):
    """The same, whole models."""

    name = "whole models"
    options = ("--whole-models",)


class OwnUnlimited(Own):
    """The same, with memory for the bytes of all distinct tensors and 5 % more."""

    name = "all resident"

    @property
    def memory_bytes(self) -> int:
        return self.terms.library.distinct_bytes * 105 // 100


OWN = (Own, OwnWhole, OwnUnlimited)
