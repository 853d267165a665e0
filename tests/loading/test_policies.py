"""The policies: what each says."""

from __future__ import annotations

import pytest

from tests.loading.views import costs, view
from trunkline.errors import UnknownMethodError
from trunkline.links import Link
from trunkline.loading import LoadingModel
from trunkline.loading.online import Choice, Costs, Waiting
from trunkline.loading.policies import POLICIES, policy


def test_the_rules_choose_as_they_say() -> None:
    """c came first; a has the earliest deadline; b has three requests for nothing but its compute
    (0.8 s); with b's deadline far off and a's near (loading 1 s), `urgency` prefers a."""
    waiting = [
        Waiting(90.0, 0.0, 1, 2),
        Waiting(5.0, 1.0, 2, 0),
        *(Waiting(80.0, 2.0, key, 1) for key in (3, 4, 5)),
    ]
    seen = view(costs(), waiting, "b")
    chosen = {name: rule(seen) for name, rule in POLICIES.items()}
    assert {name: one.model for name, one in chosen.items() if one} == {
        "fcfs": 2,
        "edf": 0,
        "greatest-rate": 1,
        "urgency": 0,
    }
    assert chosen["greatest-rate"] == Choice(1, tuple(waiting[2:]))


@pytest.mark.parametrize("name", POLICIES)
def test_nothing_to_serve(name: str) -> None:
    """An empty queue, or one that cannot be met, gives no choice; zero costs divide nothing."""
    rule = policy(name)
    assert rule(view(costs(), [])) is None
    assert rule(view(costs(), [Waiting(1.0, 0.0, 1, 0)])) is None
    free = Costs(costs().library, Link(), tuple(LoadingModel(n, 0.0, 0.0, 1) for n in "abc"), None)
    found = rule(view(free, [Waiting(0.0, 0.0, 1, 0)]))
    assert found is not None
    assert found.model == 0


def test_an_unknown_policy() -> None:
    """The message names those there are."""
    with pytest.raises(UnknownMethodError, match="no policy 'best'; there are urgency"):
        policy("best")
