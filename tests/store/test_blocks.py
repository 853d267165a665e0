"""Tensors are grouped into blocks by leaf module."""

from __future__ import annotations

import pytest

from trunkline.store import SourceTensor, blocks
from trunkline.store.blocks import group, module_of
from trunkline.store.reading import BufferReader


def tensor(name: str, size: int = 4, dtype: str = "U8") -> SourceTensor:
    """A tensor of some bytes."""
    return SourceTensor(name, dtype, (size,), size, BufferReader(memoryview(bytes(size))), 0)


def ids(*names: str, **options: int) -> dict[str, list[str]]:
    """Block id -> names of its tensors, in file order."""
    drafts = group([tensor(name) for name in names], **options)
    return {draft.id: [one.name for one in draft.tensors] for draft in drafts}


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("a.b.weight", "a.b"),
        ("weight", "."),
        ("", "."),
        (".w", "."),
        ("a..", "a."),
        ("a\n.b", "a\n"),
    ],
)
def test_a_tensor_belongs_to_the_path_before_its_last_dot(name: str, module: str) -> None:
    """The leaf module is the name up to the last dot, `.` where that is empty."""
    assert module_of(name) == module


def test_blocks_keep_the_order_of_their_first_tensors() -> None:
    """Blocks are ordered by first use, tensors within a block by width and name."""
    found = ids("conv.weight", "bn.weight", "conv.bias", "fc.w")
    assert found == {
        "conv": ["conv.bias", "conv.weight"],
        "bn": ["bn.weight"],
        "fc": ["fc.w"],
    }
    assert list(found) == ["conv", "bn", "fc"]


def test_wide_types_come_first_so_that_all_are_aligned() -> None:
    """Within a block, wider types stand first: every tensor is aligned to its type."""
    (draft,) = group([tensor("m.a", 1), tensor("m.b", 8, "I64"), tensor("m.c", 2, "F16")])
    assert [(one.name, one.begin) for one in draft.specs] == [("m.b", 0), ("m.c", 8), ("m.a", 10)]


def test_a_very_large_tensor_stands_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tensor at the limit leaves its module's block, even where its own name is a module's."""
    monkeypatch.setattr(blocks, "LARGE_TENSOR_BYTES", 100)
    drafts = group([tensor("m.w", 100), tensor("m.b", 99), tensor("m.w.x", 1), tensor("n.w", 200)])
    assert {d.id: [t.name for t in d.tensors] for d in drafts} == {
        "m.w'": ["m.w"],  # `m.w` is the module of `m.w.x`
        "m": ["m.b"],
        "m.w": ["m.w.x"],
        "n": ["n.w"],  # alone in its module anyway
    }


def test_too_many_modules_are_joined_by_their_common_paths() -> None:
    """Over the limit, modules under one path become one block, no deeper than necessary."""
    names = [f"layer{i}.part{j}.w" for i in range(3) for j in range(3)]
    assert len(ids(*names, max_blocks=9)) == 9
    joined = ids(*names, max_blocks=8)
    assert list(joined) == ["layer0", "layer1", "layer2"]
    assert joined["layer1"] == ["layer1.part0.w", "layer1.part1.w", "layer1.part2.w"]


def test_too_many_modules_without_common_paths_are_joined_in_runs() -> None:
    """Where paths don't help, neighbours are joined until there are few enough."""
    # 10 blocks, at most 4: runs of ceil(10 / 4) = 3, so 3 + 3 + 3 + 1.
    found = ids(*[f"m{i}.w" for i in range(10)], max_blocks=4)
    assert [len(names) for names in found.values()] == [3, 3, 3, 1]


def test_a_draft_reads_the_same_through_a_small_and_a_large_buffer() -> None:
    """Whether a block is held whole or goes by in pieces, its bytes are the same."""
    data = bytes(range(256)) * 10
    reader = BufferReader(memoryview(data))
    tensors = [SourceTensor("m.a", "U8", (2000,), 2000, reader, 7)]
    tensors.append(SourceTensor("m.b", "I64", (10,), 80, reader, 100))
    (draft,) = group(tensors)
    large = memoryview(bytearray(draft.size + 5))
    whole = b"".join(bytes(piece) for piece in draft.read(large, 64))
    pieces = b"".join(bytes(piece) for piece in draft.read(memoryview(bytearray(64)), 64))
    assert whole == pieces == bytes(large[: draft.size])
    assert whole[len(draft.header) :] == data[100:180] + data[7:2007]
