"""Models of Transformers from their configs, and from nothing but their configs."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from trunkline.errors import ArchitectureError
from trunkline.store import Architecture
from trunkline.store.building import build_real, build_skeleton
from trunkline.store.pretrained import _own_kernels
from trunkline.store.skeleton import examine

pytest.importorskip("torch")
transformers = pytest.importorskip("transformers", reason="transformers (extra `hf`) is missing")

TINY = {
    "model_type": "gpt2", "vocab_size": 50, "n_embd": 8, "n_layer": 1, "n_head": 2,
    "n_positions": 8, "bos_token_id": 1, "eos_token_id": 1,
}  # fmt: skip


def pretrained(name: str | None = "GPT2LMHeadModel", **changes: Any) -> Architecture:
    """A tiny language model, with changes to its config."""
    return Architecture("huggingface", config={**TINY, **changes}, class_name=name)


def test_a_skeleton_holds_what_the_real_model_holds() -> None:
    """Names, shapes, types and ties agree; the skeleton has no data."""
    skeleton, real = build_skeleton(pretrained()), build_real(pretrained())
    assert all(one.is_meta for one in skeleton.parameters())
    assert examine(skeleton, "gpt") == examine(real, "gpt")
    groups = examine(skeleton, "gpt").groups
    assert ("transformer.wte.weight", "lm_head.weight") in groups


def test_the_type_alone_gives_the_plain_model() -> None:
    """Without a class, the config's type decides."""
    assert type(build_skeleton(pretrained(None))).__name__ == "GPT2Model"


@pytest.mark.parametrize(
    ("architecture", "says"),
    [
        (pretrained("NoSuchModel"), "no model class 'NoSuchModel'"),
        (pretrained("GPT2Config"), "no model class 'GPT2Config'"),
        (pretrained("pipeline"), "no model class 'pipeline'"),
        (pretrained("__doc__"), "no model class"),
        (pretrained(None, model_type="zzz"), "no model_type 'zzz'"),
        (pretrained(None, model_type=7), "names no model_type and no class"),
        (pretrained(n_head=3), "cannot be built: "),
        (pretrained(n_embd="wide"), "GPT2LMHeadModel cannot be built: "),
    ],
)
def test_configs_that_cannot_be_built(architecture: Architecture, says: str) -> None:
    """Whatever a config says, it is one error that says what is wrong."""
    with pytest.raises(ArchitectureError, match=says):
        build_skeleton(architecture)


def test_no_code_comes_with_a_config(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither `auto_map` nor a kernel named by its repository is followed, at any depth; plain
    words stay."""
    asked: list[str] = []
    hub = pytest.importorskip("huggingface_hub")
    for name in ("hf_hub_download", "snapshot_download"):
        monkeypatch.setattr(hub, name, lambda *args, **kwargs: asked.append("network"))
    evil = {
        "attn_implementation": "evil/kernel",
        "_attn_implementation": "evil/kernel:run",
        "_attn_implementation_internal": {"text_config": "evil/kernel"},
        "experts_implementation": "evil/experts",
        "auto_map": {"AutoModelForCausalLM": "evil/model--modeling.Evil"},
    }
    module = build_skeleton(pretrained(**evil))
    assert type(module).__module__.startswith("transformers.")
    assert "evil" not in str(module.config._attn_implementation)
    assert not asked
    assert not [name for name in sys.modules if name.startswith("transformers_modules")]
    kept = {"attn_implementation": "eager", "name": "a/b"}
    nested = {"text_config": {**evil, **kept}, "list": [{"attn_implementation": "x/y"}]}
    assert _own_kernels(nested) == {
        "text_config": {"auto_map": evil["auto_map"], **kept}, "list": [{}]
    }  # fmt: skip
