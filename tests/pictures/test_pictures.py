"""Pictures of sharing and timelines."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.image import imread
from matplotlib.text import Text

import trunkline
from trunkline.errors import InputError
from trunkline.library import Model, ModelLibrary
from trunkline.loading import Batch
from trunkline.pictures import draw_sharing, draw_timelines
from trunkline.pictures.bars import BarChart, draw_bars
from trunkline.pictures.curves import Chart, Curve, draw_curves
from trunkline.pictures.figure import save
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


@pytest.fixture
def drawn(monkeypatch):
    """The figures that are saved, in order."""
    kept = []

    def keep(figure, path):
        kept.append(figure)
        return save(figure, path)

    monkeypatch.setattr("trunkline.pictures.sharing.save", keep)
    monkeypatch.setattr("trunkline.pictures.timeline.save", keep)
    return kept


def texts(figure):
    """Every text of a figure that shows, with the box that it takes, in pixels."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    found = [one for one in figure.findobj(Text) if one.get_visible() and one.get_text().strip()]
    return [(one.get_text(), one.get_window_extent(canvas.get_renderer())) for one in found]


def variants(count, prefix="m"):
    """A library of so many models, each a trunk and a block of its own."""
    sizes = {"trunk": 9e6} | {f"{prefix}{i}": 1e6 for i in range(count)}
    return ModelLibrary(
        sizes, [Model(f"{prefix}{i}", ("trunk", f"{prefix}{i}")) for i in range(count)]
    )


@pytest.mark.parametrize("count", [1, 2, 12, 42, 120])
def test_every_model_is_named(tmp_path, drawn, count):
    """On three axes up to 120 models, in letters that do not lie on one another."""
    draw_sharing(tmp_path / "sharing.png", variants(count))
    names = [text for text, _ in texts(drawn[0]) if text.startswith("m")]
    assert sorted(names) == sorted(3 * [f"m{i}" for i in range(count)])
    rows = [one.get_window_extent() for one in drawn[0].axes[0].get_yticklabels()]
    assert not any(one.overlaps(other) for one, other in pairwise(rows))


def test_components_are_named_where_models_are_too_many(tmp_path, drawn):
    """Beyond 120 models, a component that is large enough has a label that says how many."""
    many, few = variants(150), variants(2, "lone")
    sizes = {**many.blocks, **{f"x-{block}": size for block, size in few.blocks.items()}}
    lone = [Model(m.id, tuple(f"x-{block}" for block in m.blocks)) for m in few]
    draw_sharing(tmp_path / "sharing.png", ModelLibrary(sizes, [*many, *lone]))
    said = [text for text, _ in texts(drawn[0])]
    assert said.count("m0 and 149 more") == 3
    assert said.count("lone0 and 1 more") == 3


@pytest.mark.parametrize("length", [3, 31, 200])
def test_nothing_is_cut_off_or_covered(tmp_path, drawn, length):
    """The rim of the picture is white, also with two models of long names, and no title lies on
    another axes."""
    names = ("a" * length, "b" * length)
    sizes = {"trunk": 46e6, names[0]: 6e6, names[1]: 12e6}
    library = ModelLibrary(sizes, [Model(name, ("trunk", name)) for name in names])
    pixels = imread(draw_sharing(tmp_path / "two.png", library))
    for rim in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]):
        assert (rim[:, :3] == 1.0).all()
    right = drawn[0].axes[1].get_window_extent()
    (title,) = (box for text, box in texts(drawn[0]) if text.startswith("how much"))
    assert not title.overlaps(right)


@pytest.mark.parametrize(
    ("scale", "unit", "totals"),
    [
        (1e-6, "us", ["0.1 us", "0.3 us", "0.2 us"]),
        (1e-3, "ms", ["100 us", "300 us", "200 us"]),
        (1.0, "ms", ["100 ms", "300 ms", "200 ms"]),
        (100.0, "s", ["10 s", "30 s", "20 s"]),
    ],
)
def test_times_are_in_the_unit_that_fits(tmp_path, drawn, scale, unit, totals):
    """The totals beside the lanes and the axis: never `0.0 ms`, never a row of zeros."""
    one = Batch("m", ("u",), (1.0,), 1.0, 0.1 * scale, 0.3 * scale, 0.2 * scale, 0.0, 0.6 * scale)
    draw_timelines(tmp_path / "t.png", [("a", [one])], 0.8 * scale)
    said = [text for text, _ in texts(drawn[0])]
    assert [text for text in said if text in totals] == totals
    if scale != 1e-3:
        assert f"time [{unit}]" in said
    ticks = [one.get_text() for one in drawn[0].axes[-1].get_xticklabels()]
    assert 4 <= len(set(ticks)) == len(ticks)
    assert all(len(tick) <= 4 for tick in ticks)


def test_lines_that_lie_on_one_another_both_show(tmp_path, drawn):
    """Two plans that answer alike: the lower line is broader; both go on to the end."""
    draw_timelines(tmp_path / "t.png", [("a", [batch(0.0)]), ("b", [batch(0.0)])], 2.0)
    below, above, _ = drawn[0].axes[-1].get_lines()
    assert below.get_linewidth() > 2 * above.get_linewidth()
    assert below.get_xdata()[-1] == above.get_xdata()[-1] == 2.0


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


def test_charts_are_drawn_row_by_row(tmp_path):
    """Curves with intervals, marked at their ticks, in rows that may be of different lengths; the
    same bytes for the same data."""
    curve = Curve("cost in $", [1, 2], [0.2, 0.4], [0.1, float("nan")], "#1f77b4", dashed=True)
    other = Curve("plain", [1, 2], [0.3, 0.3], [0.0, 0.0], "#222222")
    rows = [
        [Chart("(a)", "x", [curve, other], [1, 2]), Chart("(b)", "x", [other])],
        [Chart("(c)", "x", [])],
    ]
    first = draw_curves(tmp_path / "a.png", rows, "y").read_bytes()
    assert first.startswith(b"\x89PNG")
    assert draw_curves(tmp_path / "b.png", rows, "y").read_bytes() == first


def test_bars_are_drawn_stacked_or_with_intervals(tmp_path):
    """Layers stand on each other under a legend; one layer may carry intervals and logarithms."""
    stacked = BarChart("t", "ms", ["a", "b"], {("x", "#111111"): [1, 2], ("y", "#222222"): [3, 4]})
    single = BarChart("t", "ms", ["a"], {("x", "#111111"): [10.0]}, [0.5], logarithmic=True)
    path = draw_bars(tmp_path / "bars.png", [[stacked, single]])
    assert path.read_bytes().startswith(b"\x89PNG")
