"""Inputs of tasks."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from trunkline.errors import InputError
from trunkline.runtime.inputs import check_input, gather, generated, read_inputs
from trunkline.store import InputSpec

WORDS = InputSpec((4,), "int64", 10)


def test_generated_inputs_follow_from_seed_and_name() -> None:
    """Same seed and name, same values; floats are normal, whole numbers below the bound."""
    spec = InputSpec((3, 5))
    assert torch.equal(generated(spec, 1, "a"), generated(spec, 1, "a"))
    assert not torch.equal(generated(spec, 1, "a"), generated(spec, 1, "b"))
    assert not torch.equal(generated(spec, 1, "a"), generated(spec, 2, "a"))
    words = generated(InputSpec((999,), "int64", 10), 0)
    assert words.dtype == torch.int64
    assert int(words.min()) >= 0
    assert int(words.max()) == 9


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (torch.zeros(5, dtype=torch.int64), r"of shape \[5\]"),
        (torch.zeros(4), "torch.float32"),
        (torch.tensor([0, 1, 2, 10]), "values from 0 to 10, model 'm' takes 0 to 9"),
        (torch.tensor([0, 1, 2, -1]), "values from -1"),
    ],
)
def test_inputs_that_do_not_fit(tensor: torch.Tensor, message: str) -> None:
    """Another shape, type or value is refused with the task's id."""
    with pytest.raises(InputError, match=f"'t'.*{message}"):
        check_input(tensor, WORDS, "t", "m")


def test_gathering() -> None:
    """Given inputs must be there; generated ones need to know what the model takes."""
    given = {"t": torch.tensor([1, 2, 3, 4])}
    assert gather(given, [("t", "m", WORDS)], 0) == given
    with pytest.raises(InputError, match="no tensor for task 'u'"):
        gather(given, [("u", "m", WORDS)], 0)
    with pytest.raises(InputError, match="'t': model 'm' was imported without"):
        gather(None, [("t", "m", None)], 0)


def test_reading_files(tmp_path: Path) -> None:
    """A safetensors file is read; what is none, or a pickle, or missing, is an InputError."""
    save_file({"t": torch.ones(2)}, tmp_path / "i.safetensors")
    assert read_inputs(tmp_path / "i.safetensors").keys() == {"t"}
    (tmp_path / "bad.safetensors").write_bytes(b"nothing")
    torch.save({"t": torch.ones(2)}, tmp_path / "i.pt")
    for name in ("bad.safetensors", "i.pt", "gone.safetensors"):
        with pytest.raises(InputError, match=name):
            read_inputs(tmp_path / name)
