"""What an `adapter_config.json` says, as far as an unmerged LoRA adapter is run: nothing else.

PEFT has dozens of settings. Those that change what the adapted model computes are either kept here
or refused; those that only say how the adapter was trained are left out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Final

from trunkline.errors import ArchitectureError
from trunkline.units import shorten

ADAPTER_CONFIG: Final = "adapter_config.json"
MAX_RANK: Final = 2**16
TASKS: Final = frozenset(
    {"SEQ_CLS", "TOKEN_CLS", "QUESTION_ANS", "CAUSAL_LM", "SEQ_2_SEQ_LM", "FEATURE_EXTRACTION"}
)

_RUN_BY: Final = frozenset(
    {"r", "lora_alpha", "target_modules", "exclude_modules", "layers_to_transform"}
    | {"layers_pattern", "rank_pattern", "alpha_pattern", "fan_in_fan_out", "use_rslora"}
    | {"lora_bias", "modules_to_save", "task_type"}
)
"""What decides which layers are adapted, and how."""

_TRAINED_BY: Final = frozenset(
    {"auto_mapping", "base_model_name_or_path", "revision", "peft_version", "inference_mode"}
    | {"lora_dropout", "megatron_core", "qalora_group_size", "eva_config", "loftq_config"}
)
"""What an unmerged adapter in eval mode does not depend on (where `init_lora_weights` is checked:
LoftQ's settings matter only with its initialisation)."""

_PLAIN_INIT: Final = (True, False, None, "gaussian", "eva", "orthogonal")
"""Initialisations that leave the base's weights as they are; the others (PiSSA, OLoRA, ...) change
them when the adapter is put on, so that the base could not be shared."""

_PATH: Final = re.compile(r"[\w-]+(\.[\w-]+)*")


def read_settings(document: Mapping[str, Any], where: str) -> dict[str, Any]:
    """PEFT's settings out of an `adapter_config.json`, those that change nothing left out.

    Raises:
        ArchitectureError: no LoRA adapter, a setting that is not supported, or one of another type.
    """
    kind = document.get("peft_type")
    if kind != "LORA":
        raise ArchitectureError(
            f"{where}: peft_type {shorten(repr(kind))} is not LORA, the one kind of adapter that "
            "runs unmerged here; merge it into its base (merge_and_unload) and import the whole"
        )
    given = dict(document)
    bias, init = given.pop("bias", "none"), given.pop("init_lora_weights", True)
    if bias != "none":
        raise _unsupported(where, "bias", bias)
    if isinstance(init, (list, dict)) or init not in _PLAIN_INIT:
        raise _unsupported(where, "init_lora_weights", init)
    for name, value in given.items():
        if value and name not in _RUN_BY and name not in _TRAINED_BY and name != "peft_type":
            raise _unsupported(where, name, value)
    settings = {
        name: value
        for name, value in given.items()
        if name in _RUN_BY and value is not None and value is not False and value not in ([], {})
    }
    return _checked({"r": 8, "lora_alpha": 8, **settings}, where)


def check_resolved(settings: Mapping[str, Any], where: str) -> None:
    """Refuse settings from a store that an import would not have written: every layer is named in
    full, and nothing is a pattern (ArchitectureError)."""
    _checked(dict(settings), where)
    names = settings.get("target_modules")
    patterns = (settings.get("rank_pattern") or {}, settings.get("alpha_pattern") or {})
    listed = (names or []) if isinstance(names, list) else [None]
    for name in (*listed, *patterns[0], *patterns[1], *settings.get("modules_to_save", ())):
        if not isinstance(name, str) or not _PATH.fullmatch(name):
            raise ArchitectureError(f"{where}: {shorten(repr(name))} is no path of a module")
    if odd := settings.keys() - (_RUN_BY - {"exclude_modules", "layers_to_transform"}):
        raise ArchitectureError(f"{where}: unknown setting {shorten(min(odd))!r} of an adapter")


def resolved(settings: Mapping[str, Any], ranks: Mapping[str, tuple[int, float]]) -> dict[str, Any]:
    """The same settings with every adapted layer named in full, so that no pattern is left.

    Args:
        ranks: what the settings lead to: layer -> (rank, alpha).
    """
    kept = {
        name: value
        for name, value in settings.items()
        if name in ("r", "lora_alpha", "fan_in_fan_out", "use_rslora", "lora_bias", "task_type")
    }
    if settings.get("modules_to_save"):
        kept["modules_to_save"] = sorted(set(settings["modules_to_save"]))
    kept["target_modules"] = sorted(ranks)
    other_ranks = {name: r for name, (r, _) in sorted(ranks.items()) if r != kept["r"]}
    other_alphas = {name: a for name, (_, a) in sorted(ranks.items()) if a != kept["lora_alpha"]}
    if other_ranks:
        kept["rank_pattern"] = other_ranks
    if other_alphas:
        kept["alpha_pattern"] = other_alphas
    return kept


def _checked(settings: dict[str, Any], where: str) -> dict[str, Any]:
    ranks = {"r": settings.get("r"), **_object(settings, "rank_pattern", where)}
    for name, rank in ranks.items():
        if type(rank) is not int or not 1 <= rank <= MAX_RANK:
            raise ArchitectureError(
                f"{where}: rank {shorten(repr(rank))} of {shorten(name)!r} is no whole number from "
                f"1 to {MAX_RANK}"
            )
    alphas = {"alpha": settings.get("lora_alpha"), **_object(settings, "alpha_pattern", where)}
    for name, alpha in alphas.items():
        if type(alpha) not in (int, float) or not math.isfinite(alpha):
            raise ArchitectureError(
                f"{where}: {shorten(repr(alpha))} of {shorten(name)!r} is no finite number"
            )
    task = settings.get("task_type")
    if task is not None and (not isinstance(task, str) or task not in TASKS):
        raise ArchitectureError(
            f"{where}: task_type {shorten(repr(task))} is none of {', '.join(sorted(TASKS))}"
        )
    saved = settings.get("modules_to_save", [])
    if not isinstance(saved, list) or not all(isinstance(one, str) for one in saved):
        raise ArchitectureError(f"{where}: modules_to_save is no list of names")
    return settings


def _object(settings: Mapping[str, Any], name: str, where: str) -> dict[str, Any]:
    value = settings.get(name) or {}
    if not isinstance(value, dict):
        raise ArchitectureError(f"{where}: {name} is no object")
    return value


def _unsupported(where: str, name: str, value: Any) -> ArchitectureError:
    return ArchitectureError(
        f"{where}: {shorten(name)} = {shorten(repr(value))} is not supported for an adapter that "
        "runs unmerged; merge it into its base (merge_and_unload) and import the whole"
    )
