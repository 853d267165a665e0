"""Maps of the sites."""

from __future__ import annotations

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from trunkline.pictures import Geography, draw_sites, sites
from trunkline.pulling import Site
from trunkline.pulling.flows import Flow
from trunkline.pulling.use import SiteUse


def use(name: str, requests: int = 2, pulled: float = 1e9) -> SiteUse:
    """What a plan asks of a site."""
    asked = tuple(f"r{n}" for n in range(requests))
    return SiteUse(Site(name, 9e9, 1.0), asked, ("m1", "m2"), ("a",), pulled, 2e9, 0.0)


USES = [use("c1"), use("c2", 0, 0.0), use("$c3$", 3)]
FLOWS = [Flow("c2", "c1", 1e9), Flow("dc", "$c3$", 1e9), Flow(None, "c1", 1.0)]
PLACES = Geography({"c1": (0, 0), "c2": (1, 0), "$c3$": (0, 1)}, [("c1", "c2"), ("c1", "x")], "dc")


@pytest.fixture
def drawn(monkeypatch):
    """What `draw_sites` draws, as a figure that is not written."""
    figures: list[Figure] = []
    monkeypatch.setattr(sites, "save", lambda figure, path: figures.append(figure) or path)

    def draw(*what) -> Figure:
        draw_sites("map.png", "a title", *what)
        FigureCanvasAgg(figures[-1]).draw()
        return figures[-1]

    return draw


def texts(figure: Figure) -> list[str]:
    """Every text that is shown."""
    return [one.get_text() for one in figure.findobj(Text) if one.get_visible()]


@pytest.mark.parametrize("where", [PLACES, None, Geography({"c1": (0, 0)}, (), "dc")])
def test_all_sites_are_named_and_their_requests_counted(drawn, where):
    """With positions, without, and with some: every site, its requests, what is pulled where."""
    shown = texts(drawn(USES, FLOWS, where))
    assert {"c1", "c2", r"\$c3\$", "2", "3"} <= set(shown)
    assert any("2 of 3 sites serve requests" in text for text in shown)


def test_arrows_start_where_blocks_come_from(drawn):
    """From the holder, and from the data centre where that is it or the source is not known."""
    axes = drawn(USES, FLOWS, PLACES).axes[0]
    arrows = [one for one in axes.texts if getattr(one, "arrow_patch", None)]
    centre = (-0.2, 0.5)  # left of the others, a fifth of the map's width away, at half its height
    assert {(arrow.xyann, arrow.xy) for arrow in arrows} == {
        ((1, 0), (0, 0)),
        (centre, (0, 1)),
        (centre, (0, 0)),
    }


def test_many_sites_have_the_largest_bars_only(drawn):
    """Of 125 sites the 30 that pull most have bars, and the title says so."""
    many = [use(f"c{n}", 1, 1e9 + n) for n in range(125)]
    figure = drawn(many, [Flow("dc", one.site.id, one.pulled_bytes) for one in many], None)
    assert "30 of 125 sites: those that pull most" in texts(figure)
    assert len(figure.axes[1].get_yticks()) == 30


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_one_plan_is_one_picture(tmp_path, monkeypatch, suffix):
    """The same data gives the same bytes in every format, whenever it is drawn."""
    names = [tmp_path / f"{n}{suffix}" for n in range(2)]
    for day, name in enumerate(names):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", str(86400 * day))  # the clock of matplotlib's files
        draw_sites(name, "a title", USES, FLOWS, PLACES)
    assert names[0].read_bytes() == names[1].read_bytes()


@pytest.mark.parametrize("uses", [[], [use("c1", 0, 0.0)]], ids=["no sites", "an idle one"])
def test_next_to_nothing_can_be_drawn(tmp_path, uses):
    """Without sites, or without pulls, there is a picture, too; the same bytes each time."""
    one = draw_sites(tmp_path / "one.png", "nothing", uses, [], Geography({}, (), "dc"))
    other = draw_sites(tmp_path / "other.png", "nothing", uses, [], Geography({}, (), "dc"))
    assert one.read_bytes().startswith(b"\x89PNG")
    assert one.read_bytes() == other.read_bytes()
