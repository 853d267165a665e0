"""Documents are read strictly, with errors that name the path."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import trunkline
from trunkline import documents
from trunkline.errors import DocumentError
from trunkline.loading.document import problem_to_document

GOOD = {
    "format": "trunkline/loading-problem/1",
    "deadline_s": 0.7,
    "bandwidth_hz": 2e8,
    "loading": [{"overhead_s": 0.0, "bytes_per_s": 2.15e9}],
    "blocks": {"trunk/0": 148488, "m1/fc": 20520},
    "models": [
        {
            "id": "m1",
            "blocks": ["trunk/0", "m1/fc"],
            "seconds_per_batch": 0.00135,
            "seconds_per_task": 5e-05,
            "max_batch": 32,
        }
    ],
    "tasks": [{"id": "u1", "model": "m1", "upload_bits": 786432, "bits_per_s_per_hz": 8.3}],
}


def changed(path: str, value: object) -> dict:
    """GOOD with the value at a dotted path replaced (`...` deletes it)."""
    document = copy.deepcopy(GOOD)
    *steps, last = [int(s) if s.isdigit() else s for s in path.split(".")]
    place = document
    for step in steps:
        place = place[step]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return document


def test_the_example_of_the_specification_is_read():
    """The loading problem of the documents' specification loads, and writes back as it was."""
    problem = trunkline.load(GOOD)
    assert problem.deadline_s == 0.7
    assert problem.library.model_bytes == (148488 + 20520,)
    assert problem_to_document(problem) == GOOD


def test_optional_fields_round_trip():
    """Budget, residents, arrivals and own deadlines come back as they were given."""
    document = {**GOOD, "memory_bytes": 5e8, "resident": ["trunk/0"]}
    document["tasks"] = [{**GOOD["tasks"][0], "arrival_s": 0.1, "deadline_s": 0.5}]
    assert problem_to_document(trunkline.load(document)) == document


FAULTS = [
    ("format", "trunkline/loading-problem/2", "$.format"),
    ("format", ..., "$.format"),
    ("deadline_s", ..., "$"),
    ("deadline_s", -1, "$.deadline_s"),
    ("deadline_s", float("nan"), "$.deadline_s"),
    ("deadline_s", float("inf"), "$.deadline_s"),
    ("deadline_s", "soon", "$.deadline_s"),
    ("deadline_s", 10**400, "$.deadline_s"),
    ("deadline_s", True, "$.deadline_s"),
    ("deadline_s", 1.7e308, "$.deadline_s"),
    ("models.0.id", "\ud800", "$.models[0].id"),
    ("bandwidth_hz", -2e8, "$.bandwidth_hz"),
    ("surprise", 1, "$"),
    ("loading.0.bytes_per_s", 0, "$.loading[0].bytes_per_s"),
    ("loading.0.overhead_s", -1, "$.loading[0].overhead_s"),
    ("loading", {}, "$.loading"),
    ("blocks.trunk/0", -1, "$.blocks['trunk/0']"),
    ("blocks.trunk/0", "big", "$.blocks['trunk/0']"),
    ("blocks.trunk/0", float("nan"), "$.blocks['trunk/0']"),
    ("blocks.trunk/0", ..., "$.models[0].blocks[0]"),
    ("models.0.blocks", ["x"], "$.models[0].blocks[0]"),
    ("models.0.max_batch", 0, "$.models[0].max_batch"),
    ("models.0.max_batch", 1.5, "$.models[0].max_batch"),
    ("models.0.seconds_per_task", -1, "$.models[0].seconds_per_task"),
    ("models.0.id", "", "$.models[0].id"),
    ("models", [GOOD["models"][0]] * 2, "$.models[1].id"),
    ("tasks", [GOOD["tasks"][0]] * 2, "$.tasks[1].id"),
    ("tasks.0.model", "m2", "$.tasks[0].model"),
    ("tasks.0.upload_bits", -1, "$.tasks[0].upload_bits"),
    ("tasks.0.unknown", 1, "$.tasks[0]"),
    ("tasks.0", 7, "$.tasks[0]"),
    ("resident", ["x"], "$.resident[0]"),
    ("memory_bytes", -1, "$.memory_bytes"),
]


@pytest.mark.parametrize(("path", "value", "where"), FAULTS)
def test_every_fault_names_its_path(path, value, where):
    """Unknown, missing, mistyped, infinite, negative, repeated, dangling: each names its place."""
    with pytest.raises(DocumentError) as caught:
        trunkline.load(changed(path, value))
    assert caught.value.path == where


def test_a_dangling_block_reads_as_specified():
    """The message has the form that the specification shows."""
    with pytest.raises(DocumentError) as caught:
        trunkline.load(changed("models.0.blocks", ["x"]))
    assert str(caught.value) == "$.models[0].blocks[0]: no block 'x'"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "not JSON"),
        ("[]", "expected an object, got list"),
        ('{"a": 1, "a": 2}', "the key 'a' stands twice"),
        ('{"a": NaN}', "a number must be finite"),
        ('{"a": 1e999}', "a number must be finite"),
        ("[" * 100_000, "nested deeper"),
        ('{"a":' * 70 + "1" + "}" * 70, "nested deeper"),
        ("9" * 5000, "not JSON"),
        ("null", "expected an object, got null"),
    ],
)
def test_broken_json_is_refused(tmp_path, text, problem):
    """What is not JSON, repeats a key, or nests without end is refused with the file named."""
    path = tmp_path / "p.json"
    path.write_text(text)
    with pytest.raises(DocumentError, match=problem) as caught:
        documents.read(path)
    assert str(path) in str(caught.value)


def test_not_utf8_is_refused(tmp_path):
    """Bytes that are no UTF-8 are refused at their offset."""
    path = tmp_path / "p.json"
    path.write_bytes(b'{"a": "\xff"}')
    with pytest.raises(DocumentError, match="not UTF-8 at byte 7"):
        documents.read(path)


@pytest.mark.parametrize("name", ["missing.json", "."])
def test_unreadable_paths_are_refused(tmp_path, name):
    """No such file, or a folder: an error that names it."""
    with pytest.raises(DocumentError, match="cannot be read"):
        documents.read(tmp_path / name)


def test_yaml_is_read_with_numbers_as_people_write_them(tmp_path):
    """YAML 1.1 reads `7e-1` and `2e8` as text; they are numbers all the same."""
    path = tmp_path / "p.yaml"
    text = json.dumps(GOOD).replace("0.7", "7e-1").replace("200000000.0", "2e8")
    path.write_text(text.replace("148488", "1e5"))
    problem = trunkline.load(path)
    assert (problem.deadline_s, problem.bandwidth_hz) == (0.7, 2e8)
    assert problem.library.blocks["trunk/0"] == 1e5


def test_yaml_text_is_still_no_number_in_json():
    """In JSON a number in quotes stays an error."""
    with pytest.raises(DocumentError):
        trunkline.load(changed("deadline_s", "7e-1"))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: [", "not YAML"),
        ("a: 1\na: 2", "stands twice"),
        ("a: !!python/object:os.x {}", "not YAML"),
        ("a: &x [1]\nb: *x", "aliases are not read"),
        ("? [a, b]\n: 1", "not YAML"),
        ("a: 2024-13-45", "not YAML"),
        ('a: !!int "x"', "not YAML"),
        ("a: " + "9" * 5000, "not YAML"),
        ("{1: 2}", "a key must be text"),
        ("deadline_s: .inf", "a number must be finite"),
    ],
)
def test_broken_yaml_is_refused(tmp_path, text, problem):
    """YAML that is broken, repeats a key, or wants objects made is refused."""
    path = tmp_path / "p.yaml"
    path.write_text(text)
    with pytest.raises(DocumentError, match=problem):
        documents.read(path)


def test_infinity_as_text_is_refused_in_yaml(tmp_path):
    """`inf` is text in YAML 1.1; it is no number either."""
    path = tmp_path / "p.yaml"
    path.write_text(json.dumps(GOOD).replace("0.7", "inf"))
    with pytest.raises(DocumentError, match=r"\$\.deadline_s"):
        trunkline.load(path)


def test_numpy_numbers_are_numbers():
    """A dict made in Python may hold NumPy's scalars."""
    document = changed("deadline_s", np.float32(0.5))
    document["models"][0]["max_batch"] = np.int64(4)
    problem = trunkline.load(document)
    assert (problem.deadline_s, problem.models[0].max_batch) == (0.5, 4)


@pytest.mark.parametrize("source", [None, 123, "x\0y", ["a"]])
def test_what_is_no_document_is_refused(source):
    """Neither a path nor a dict: an error of ours, not a TypeError."""
    with pytest.raises(DocumentError, match="expected a path or a dict"):
        trunkline.load(source)


def test_a_byte_order_mark_is_no_fault(tmp_path):
    """Some editors begin a file with one."""
    path = tmp_path / "p.json"
    path.write_text("\ufeff" + json.dumps(GOOD), encoding="utf-8")
    assert trunkline.load(path).deadline_s == 0.7


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=12,
)


@settings(max_examples=300)
@given(st.data())
def test_no_document_does_worse_than_a_document_error(data):
    """A good document with any part replaced by anything loads, or fails with a DocumentError."""
    document = copy.deepcopy(GOOD)
    place: object = document
    while isinstance(place, (dict, list)) and place:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        inner = place[key]
        if not isinstance(inner, (dict, list)) or not inner or data.draw(st.booleans()):
            place[key] = data.draw(JSON_VALUES)
            break
        place = inner
    try:
        problem = trunkline.load(document)
    except DocumentError:
        return
    assert trunkline.check(problem, trunkline.plan(problem)) == []
