"""Architectures and inputs: their keys, their JSON, and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest

from trunkline.errors import InputError, StoreError
from trunkline.store import Architecture, InputSpec


def test_the_key_is_equal_for_models_that_are_built_the_same_way() -> None:
    """The order of arguments and where a config came from don't matter; values do."""
    one = Architecture("factory", factory="m:f", kwargs={"a": 1, "b": 2})
    assert one.key == Architecture("factory", factory="m:f", kwargs={"b": 2, "a": 1}).key
    assert one.key != Architecture("factory", factory="m:f", kwargs={"a": 1, "b": 3}).key
    config = {"hidden": 4, "_name_or_path": "x", "transformers_version": "1"}
    other = {"hidden": 4, "_name_or_path": "y", "transformers_version": "2"}
    left = Architecture("huggingface", config=config, class_name="Bert")
    assert left.key == Architecture("huggingface", config=other, class_name="Bert").key
    assert left.key != Architecture("huggingface", config={"hidden": 5}, class_name="Bert").key
    assert left.key != Architecture("huggingface", config=config, class_name="Gpt").key


@pytest.mark.parametrize(
    "architecture",
    [
        Architecture("factory", factory="a.b:c.d", kwargs={"n": [1, {"x": None}]}),
        Architecture("huggingface", config={"model_type": "bert"}, class_name=None),
    ],
)
def test_json_round_trip(architecture: Architecture) -> None:
    """What is written is what is read."""
    assert Architecture.from_dict(architecture.to_dict(), "here") == architecture


@pytest.mark.parametrize(
    "document",
    [None, {}, {"kind": "factory"}, {"kind": "pickle"}, {"kind": "huggingface", "config": None}],
)
def test_wrong_json_is_refused(document: Any) -> None:
    """Any other document is an error that names the place."""
    with pytest.raises(StoreError, match="here"):
        Architecture.from_dict(document, "here")


def test_a_factory_is_a_dotted_path_and_a_callable() -> None:
    """A factory's name that is no `package.module:callable` is refused."""
    for name in ("os", "os:", ":x", "a/b:c", "a b:c", "a:b()", "..a:b"):
        with pytest.raises(StoreError, match=r"here: .*package\.module:callable"):
            Architecture.from_dict({"kind": "factory", "factory": name, "kwargs": {}}, "here")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3,32,32:float32", InputSpec((3, 32, 32), "float32")),
        ("3, 32", InputSpec((3, 32))),
        ("128:int64:30522", InputSpec((128,), "int64", 30522)),
        (":float32", InputSpec(())),
    ],
)
def test_inputs_are_read_from_text(text: str, expected: InputSpec) -> None:
    """Sizes, a type, and for whole numbers a bound; JSON brings them back."""
    assert InputSpec.parse(text) == expected
    assert InputSpec.parse(str(expected)) == expected
    assert InputSpec.from_dict(expected.to_dict(), "here") == expected


@pytest.mark.parametrize("text", ["a,b", "3,-1", "3:float33", "3:int64:0", "3:int64:x", "3.5"])
def test_inputs_that_are_none(text: str) -> None:
    """Other texts are refused."""
    with pytest.raises(InputError):
        InputSpec.parse(text)
    with pytest.raises(StoreError):
        InputSpec.from_dict({"shape": text}, "here")


def test_bytes_of_an_input() -> None:
    """Shape times item size: 2 x 3 bf16 are 12 bytes, a scalar int64 8."""
    assert InputSpec((2, 3), "bfloat16").bytes == 12
    assert InputSpec((), "int64").bytes == 8


def test_what_is_nested_beyond_use_is_refused() -> None:
    """Arguments so deep that Python could read but not write them are refused, shallow ones not."""
    for depth in (50, 900):
        kwargs: Any = 1
        for _ in range(depth):
            kwargs = {"a": kwargs}
        document = {"kind": "factory", "factory": "m:f", "kwargs": kwargs}
        if depth == 50:
            assert Architecture.from_dict(document, "here").key
        else:
            with pytest.raises(StoreError, match=r"here: .*deep"):
                Architecture.from_dict(document, "here")


def test_a_label_is_short_and_printable() -> None:
    """Whatever a store says, a label fits in a message and steers no terminal."""
    for one in (
        Architecture("factory", factory="m:f", kwargs={"a\x1b": "b" * 10_000}),
        Architecture("huggingface", config={}, class_name="\x1b[2J" + "x" * 10_000),
        Architecture("huggingface", config={"model_type": {"\n": 1}}),
    ):
        assert one.label.isprintable()
        assert len(one.label) < 250
