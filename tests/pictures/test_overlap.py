"""The picture of a forward that overlapped with the arrival of its blocks."""

from __future__ import annotations

from pathlib import Path

from trunkline.pictures.overlap import LayerBar, draw_overlap


def test_the_same_layers_give_the_same_bytes(tmp_path: Path) -> None:
    """One layer was here already, one waited; a dollar sign in the title starts no formula."""
    layers = [LayerBar(None, 0.0, 0.0, 0.5), LayerBar(1.0, 0.5, 1.0, 1.5)]
    paths = [draw_overlap(tmp_path / f"{n}.svg", "a $ b", layers, 2.0) for n in range(2)]
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_no_layers(tmp_path: Path) -> None:
    """A forward without weights is drawn, too."""
    assert draw_overlap(tmp_path / "p.png", "", [], 0.0).stat().st_size > 1000
