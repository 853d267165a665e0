"""What a plan means in its scenario."""

from __future__ import annotations

import pytest

from tests.pulling.scenes import document, scenario
from trunkline.errors import UnsupportedProblemError
from trunkline.pulling.compiling import compile_scenario
from trunkline.pulling.outcome import outcome_of
from trunkline.pulling.plan import Choice, Pull, PullingPlan
from trunkline.pulling.pricing import Pricing


def plan(choices, pulls) -> PullingPlan:
    """A plan with these choices and pulls; its cost is not looked at."""
    return PullingPlan(
        "by hand", 0.0, 0.0, False, 0.0,
        tuple(Choice(*choice) for choice in choices), tuple(Pull(*pull) for pull in pulls),
    )  # fmt: skip


BOTH_AT_C1 = plan([("r1", "c1", "n"), ("r2", "c1", "m")], [("c1", "a"), ("c1", "b"), ("c1", "c")])


def test_figures_by_hand():
    """Two models at one site: a comes once for both; delays, bytes and accuracy add up."""
    found = outcome_of(Pricing(scenario()), BOTH_AT_C1)
    # r1 at c1 with n: 10.1 s (see test_compiling); r2 at home with m: 2*5/10 = 1 s.
    # Pulls to c1: a 1 + 5, b 1 + 1, c 1 + 2 = 11 s.
    assert found.delay_s == pytest.approx(10.1 + 1.0 + 11.0)
    assert found.accuracy == pytest.approx((0.9 + 0.8) / 2)
    assert (found.pulled_bytes, found.apart_bytes) == (80.0, 60.0 + 70.0)
    assert found.saved_bytes == 50.0
    assert found.served_at_sites == 2


def test_paper_accounting_charges_every_request_its_wait():
    """Under `paper` each request waits the 6 s that a takes, and no pull is counted beside."""
    found = outcome_of(Pricing(scenario(accounting="paper")), BOTH_AT_C1)
    assert found.delay_s == pytest.approx(10.1 + 1.0 + 6.0 + 6.0)


@pytest.mark.parametrize("accounting", ["once", "paper"])
def test_it_agrees_with_the_problems_costs(accounting):
    """Where energy has no price, the delay is the cost that the compiled problem gives the plan."""
    stated = scenario(accounting=accounting)
    problem = compile_scenario(stated)
    made = plan([("r1", "c2", "m"), ("r2", None, None)], [("c2", "a"), ("c2", "b")])
    option = next(o for o in problem.requests[0].options if (o.site, o.model) == ("c2", "m"))
    cost = option.cost + problem.requests[1].fallback_cost
    cost += sum(problem.sites[1].pull_cost.get(block, 0.0) for block in ("a", "b"))
    assert outcome_of(Pricing(stated), made).delay_s == pytest.approx(cost)


def test_energy_counts_requests_and_pulls():
    """Joules are powers times seconds, at both accountings the same."""
    powered = [site | {"compute_w": 3.0, "transfer_w": 2.0} for site in document()["sites"]]
    for accounting in ("once", "paper"):
        found = outcome_of(Pricing(scenario(sites=powered, accounting=accounting)), BOTH_AT_C1)
        # Computing 4 s and 1 s at 3 W; moving 6.1 s (r1) and 0 s (r2), pulling 11 s, at 2 W.
        assert found.energy_j == pytest.approx(3 * 5.0 + 2 * (6.1 + 11.0))


def test_a_plan_of_another_scenario_is_refused():
    """Names that lead nowhere are an error, not a traceback."""
    with pytest.raises(UnsupportedProblemError, match="another scenario: 'r2'"):
        outcome_of(Pricing(scenario()), plan([("r1", None, None)], []))
    strange = plan([("r1", None, None), ("r2", "c1", "x")], [])
    with pytest.raises(UnsupportedProblemError, match="another scenario: 'x'"):
        outcome_of(Pricing(scenario()), strange)
