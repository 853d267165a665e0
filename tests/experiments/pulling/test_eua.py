"""The EUA data set as shipped."""

from __future__ import annotations

import numpy as np
import pytest

from trunkline.experiments.pulling.eua import FOLDER, distances_m, stations, users


def test_it_is_there_with_its_licence():
    """125 stations of distinct ids, 816 users, all within 3 km of the middle, and the licence."""
    names, places = stations()
    assert len(set(names)) == len(places) == 125
    assert len(users()) == 816
    assert np.linalg.norm(np.concatenate([places, users()]), axis=1).max() < 3000
    assert "MIT License" in (FOLDER / "LICENSE").read_text()


def test_distances_are_those_on_the_ground():
    """Two stations of the file are as far apart as the great circle says."""
    names, places = stations()
    one, other = names.index("10003026"), names.index("10003027")
    # .0222 degrees of longitude at 37.815 S: .0222 * 111.195 km * cos(37.815) = 1.950 km; and
    # .00007 degrees of latitude, 8 m, which adds nothing.
    distance = distances_m(places[[one]], places[[other]])[0, 0]
    assert distance == pytest.approx(1950, rel=0.002)
