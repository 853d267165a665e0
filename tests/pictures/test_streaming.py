"""Pictures of streaming plans."""

from __future__ import annotations

from dataclasses import replace

from matplotlib.image import imread

from tests.streaming.problems import multicast_problem, one_user, with_shares
from trunkline.pictures.streaming import MOST_USERS, _some, draw_streaming
from trunkline.streaming import solve
from trunkline.streaming.trace import trace


def test_a_plan_is_drawn_the_same_each_time(tmp_path):
    """The same plan gives the same bytes, with names that look like formulas drawn as text."""
    problem = multicast_problem(8, users=8)
    users = (replace(problem.users[-1], id="$x^2"), *problem.users[:-1])
    groups = tuple(
        replace(group, users=tuple(u for u in group.users if u != problem.users[-1].id))
        for group in problem.multicast
    )
    problem = replace(problem, users=users, multicast=groups)
    traces = trace(problem, solve(problem))
    paths = [draw_streaming(tmp_path / f"{n}.png", "a $ title", traces) for n in range(2)]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert imread(paths[0]).shape[1] == 1650  # 11 inches


def test_nobody_served_is_an_empty_picture(tmp_path):
    """A plan that serves nobody is drawn, too."""
    problem = one_user([8], [0.2], deadline_s=0.1)
    path = draw_streaming(tmp_path / "none.png", "none", trace(problem, solve(problem)))
    assert path.stat().st_size > 0


def test_of_many_users_some_are_drawn():
    """Of more users than fit, the first and the last to finish are among those drawn."""
    problem = with_shares([0.001 * (n + 1) for n in range(40)])
    traces = trace(problem, solve(problem))
    shown = _some(traces)
    assert len(shown) == MOST_USERS
    ends = [one.served.finish_s for one in traces]
    assert shown[0].served.finish_s == min(ends)
    assert shown[-1].served.finish_s == max(ends)
