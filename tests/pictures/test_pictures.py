"""Pictures of sharing and timelines."""

from __future__ import annotations

from dataclasses import replace

import pytest

import trunkline
from trunkline.errors import InputError
from trunkline.library import Model, ModelLibrary
from trunkline.loading import Batch
from trunkline.pictures import draw_sharing, draw_timelines
from trunkline.pictures.sharing import model_order
from trunkline.pictures.timeline import _starts

LIBRARY = ModelLibrary(
    {"a": 4e6, "b": 1e6, "c": 2e6, "d": 1e6},
    [Model("m1", ("a", "b")), Model("lone", ("d",)), Model("m2", ("a", "c")), Model("m3", ("a",))],
)


def batch(start_s: float) -> Batch:
    """A batch of two tasks and three steps."""
    return Batch("m", ("u1", "u2"), (0.5, 0.5), 1.0, 0.1, 0.3, 0.2, start_s, start_s + 0.6)


def test_models_that_share_stand_together():
    """Columns follow the trie: those below a node before those that end at it."""
    orders = [model_order(component) for component in LIBRARY.components]
    assert [sorted(order) for order in orders] == [[0, 2, 3], [1]]
    assert orders[0][-1] == 3


@pytest.mark.parametrize(
    "library",
    [
        LIBRARY,
        ModelLibrary({}, []),
        ModelLibrary({}, [Model("empty", ())]),
        ModelLibrary(
            {"a": 1.0, "b": 1.0, "c": 1.0},
            [Model("m1", ("a", "b")), Model("m2", ("b", "c")), Model("m3", ("c", "a"))],
        ),
        ModelLibrary({"t": 1.0}, [Model(f"m{i}", ("t",)) for i in range(60)]),
    ],
    ids=["trie", "no models", "no blocks", "scattered", "many"],
)
def test_any_library_can_be_drawn(tmp_path, library):
    """Tries, scattered sharing, many models, none, and models without blocks."""
    path = draw_sharing(tmp_path / "sharing.png", library)
    assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("rows", [[], [batch(0.0)], [batch(0.0), batch(0.6)]])
def test_any_timeline_can_be_drawn(tmp_path, rows):
    """No batch, one, and several; the deadline may be 0."""
    path = draw_timelines(tmp_path / "timeline.png", [("a: 1", rows), ("b", [])], 0.0)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_overlapping_batches_are_drawn_where_they_run(tmp_path):
    """A batch with moments of its own for its load and its computation is drawn at these."""
    apart = replace(batch(0.0), load_start_s=2.0, compute_start_s=5.0, finish_s=5.2)
    path = draw_timelines(tmp_path / "apart.png", [("a: 1", [apart])], 6.0)
    together = draw_timelines(tmp_path / "together.png", [("a: 1", [batch(0.0)])], 6.0)
    assert path.read_bytes() != together.read_bytes()
    assert _starts(apart) == (0.0, 2.0, 5.0)
    assert _starts(batch(0.0)) == pytest.approx((0.0, 0.1, 0.4))


def test_the_same_data_gives_the_same_picture(tmp_path):
    """A picture is determined by its data, to the byte."""
    paths = [draw_sharing(tmp_path / f"{n}.png", LIBRARY) for n in "ab"]
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_odd_names_are_drawn_as_text(tmp_path):
    """Dollar signs and underscores in a name are text, not mathematics."""
    library = ModelLibrary({"a": 1.0}, [Model("$x_$^{", ("a",)), Model("m$", ("a",))])
    assert draw_sharing(tmp_path / "odd.png", library).exists()
    plan_rows = [("$a_{: 1", [batch(0.0)])]
    assert draw_timelines(tmp_path / "odd2.png", plan_rows, 1.0).exists()


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    """The error names the file."""
    with pytest.raises(InputError, match="nowhere"):
        draw_sharing(tmp_path / "nowhere" / "x.png", LIBRARY)
    assert trunkline.TrunklineError in InputError.__mro__
