"""The policies: what each says, and what `urgency` foresees."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.loading.views import costs, view
from trunkline.errors import UnknownMethodError
from trunkline.links import Link
from trunkline.loading import LoadingModel, policies
from trunkline.loading.online import Choice, Costs, Waiting
from trunkline.loading.policies import POLICIES, policy, urgency


def test_the_rules_choose_as_they_say() -> None:
    """c came first; a has the earliest deadline; b has three requests for nothing but its compute
    (0.8 s), and `urgency`, which foresees that all can be answered, begins with what is there: the
    last ends soonest so."""
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
        "urgency": 1,
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


def test_urgency_leaves_nobody_out_that_the_other_order_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Three requests for b (0.8 s, due at 2) have more merit than one for a (0.6 s, due at 1):
    3 exp(-1.2 / 2.8) / 0.8 = 2.4 against exp(-0.4 / 2.8) / 0.6 = 1.4. But a would be too late after
    b, and b is not after a. Where that is not foreseen, b is next."""
    due_a, due_b = Waiting(1.0, 0.0, 1, 0), [Waiting(2.0, 0.0, key, 1) for key in (2, 3, 4)]
    seen = view(costs(20.0), [due_a, *due_b], "ab")
    assert urgency(seen) == Choice(0, (due_a,))
    monkeypatch.setattr(policies, "FORESEEN", 1)
    assert urgency(seen) == Choice(1, tuple(due_b))


def test_urgency_minds_what_is_evicted(monkeypatch: pytest.MonkeyPatch) -> None:
    """9 bytes of room, a's blocks there, one request each. c (4 bytes to load) leaves room for 5:
    the trunk goes, and a, due at 12, would load 7 bytes again after it (4 + 0.6 + 7 + 0.6 > 12).
    c first is never right, and both are answered if a is first, though c is due sooner."""
    first, second = Waiting(12.0, 0.0, 1, 0), Waiting(5.3, 0.0, 2, 2)
    seen = view(costs(9.0), [first, second], "a")
    assert urgency(seen) == Choice(0, (first,))
    assert seen.after(2, (second,)).load_s[0] == 7.0
    monkeypatch.setattr(policies, "SPAN", 1e-2)  # merit alone looks at deadlines only
    monkeypatch.setattr(policies, "FORESEEN", 1)
    assert urgency(seen) == Choice(2, (second,))


@pytest.mark.parametrize("ahead", [False, True])
def test_what_is_on_its_way_is_not_there_sooner(ahead: bool) -> None:
    """a's 7 bytes come until 7. A batch of c (0.6 s), which is there, does not bring them sooner:
    a waits for 6.4 s more; b, whose 2 bytes the link takes after them, for 8.4 s more."""
    due = Waiting(9.0, 0.0, 1, 2)
    of = costs(20.0)
    seen = replace(
        view(of, [due], "ac"),
        load_from_s=7.0,
        arriving=of.holds[0],
        arrive_s=7.0,
        ahead=ahead,
    )
    assert seen.load_s == [7.0, 9.0, 0.0]
    assert seen.after(2, (due,)).load_s == pytest.approx([6.4, 8.4, 0.0])


def test_an_unknown_policy() -> None:
    """The message names those there are."""
    with pytest.raises(UnknownMethodError, match="no policy 'best'; there are urgency"):
        policy("best")
