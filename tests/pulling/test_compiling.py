"""From a scenario to coefficients, by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.pulling.scenes import document, scenario
from trunkline.errors import UnsupportedProblemError
from trunkline.pulling.compiling import compile_scenario
from trunkline.pulling.pricing import Pricing


def options(problem, request="r1"):
    """The options of a request by (site, model)."""
    found = next(one for one in problem.requests if one.id == request)
    return {(option.site, option.model): option for option in found.options}


def sites(**changes):
    """The sites of the small scenario, each with these fields."""
    return [site | changes for site in document()["sites"]]


def test_costs_by_hand():
    """Transmission, inference, pull times and the data centre's price are those of the formulas."""
    problem = compile_scenario(scenario())
    found = options(problem)
    # r1 moves 100 B from ap to c2: .5 + 100/1000 = .6, nothing back: .5. m at c2: 2*10/20 = 1.
    assert found["c2", "m"].cost == pytest.approx(0.6 + 0.5 + 1.0)
    assert found["c2", "m"].transmission_cost == pytest.approx(1.1)
    assert found["c2", "m"].compute == pytest.approx(20.0)
    # To c1 there are 2 + 100/100 = 3 s more, and 2 s more back; n at c1: 4*10/10 = 4.
    assert found["c1", "n"].cost == pytest.approx(1.1 + 3.0 + 2.0 + 4.0)
    assert found["c1", "n"].accuracy == 0.9
    # At the data centre with m: there (.6 + 3 + 1 + 10), back (.5 + 2 + 1), 2*10/100.
    assert problem.requests[0].fallback_cost == pytest.approx(14.6 + 3.5 + 0.2)
    # a at c1: 1 + 50/10 = 6; on to c2: + 2 + 50/100 = 8.5.
    assert problem.sites[0].pull_cost["a"] == pytest.approx(6.0)
    assert problem.sites[1].pull_cost["a"] == pytest.approx(8.5)


def test_type_and_allowed_sites_are_filters():
    """r2 has no type, so n does not serve it, and c1 alone may."""
    assert options(compile_scenario(scenario()), "r2").keys() == {("c1", "m")}


def test_the_nearest_holder_is_a_site_where_that_is_nearer():
    """A block resident at c1 comes to c2 from there; at c1 it costs nothing and takes no room."""
    held = [sites()[0] | {"resident": ["a"]}, sites()[1]]
    stated = scenario(sites=held)
    problem = compile_scenario(stated)
    assert problem.sites[1].pull_cost["a"] == pytest.approx(2.5)  # 2 + 50/100, from c1
    assert "a" not in problem.sites[0].pull_cost
    assert Pricing(stated).source("a", "c2") == "c1"
    assert Pricing(stated).source("b", "c2") == "dc"


def test_paper_accounting_waits_for_the_longest_part():
    """Under `paper` each option's cost has the longest of its missing blocks' delays, and pulls
    cost nothing beside."""
    once, paper = (compile_scenario(scenario(accounting=a)) for a in ("once", "paper"))
    more = options(paper)["c2", "n"].cost - options(once)["c2", "n"].cost
    assert more == pytest.approx(8.5)  # a: 8.5 s; c: 1 + 20/10 + 2 + 20/100 = 5.2 s
    assert all(not site.pull_cost for site in paper.sites)


def test_accuracy_is_a_filter():
    """A model below the need is no option, and the data centre uses one that reaches it."""
    asked = [document()["requests"][0] | {"accuracy": 0.85}]
    problem = compile_scenario(scenario(requests=asked))
    assert options(problem).keys() == {("c1", "n"), ("c2", "n")}
    assert problem.requests[0].fallback_cost == pytest.approx(14.6 + 3.5 + 0.4)  # 4*10/100


def test_budget_is_a_filter():
    """An option whose own part passes the budget does not stand."""
    asked = [document()["requests"][0] | {"budget": 2.5}]
    assert options(compile_scenario(scenario(requests=asked))).keys() == {("c2", "m")}


def test_storage_and_compute_of_a_single_option_are_filters():
    """n (70 B) does not fit 65 B of storage, nor its 40 FLOP/s a site of 30; resident blocks do
    not count."""
    small = scenario(sites=sites(storage_bytes=65.0))
    assert options(compile_scenario(small)).keys() == {("c1", "m"), ("c2", "m")}
    slow = scenario(sites=sites(capacity_flop_per_s=30.0))
    assert options(compile_scenario(slow)).keys() == {("c1", "m"), ("c2", "m")}
    held = scenario(sites=sites(storage_bytes=65.0, resident=["c"]))
    assert len(options(compile_scenario(held))) == 4


def test_an_overloaded_queue_excludes_its_site():
    """Where lambda >= mu a site has no options; elsewhere the wait joins the cost."""
    queue = {"arrival_per_s": 0.6, "service_per_s": 0.6}
    busy = [sites()[0] | {"queue": queue}, sites()[1] | {"queue": queue | {"arrival_per_s": 0.3}}]
    found = options(compile_scenario(scenario(sites=busy)))
    assert found.keys() == {("c2", "m"), ("c2", "n")}
    assert found["c2", "m"].cost == pytest.approx(2.1 + 0.8333, abs=5e-5)


def test_a_site_without_a_way_to_it_is_excluded():
    """Where the network falls apart, sites on the other side are no options."""
    problem = compile_scenario(
        scenario(links=document()["links"][:1], requests=document()["requests"][1:])
    )
    assert options(problem, "r2").keys() == {("c1", "m")}
    assert problem.sites[1].pull_cost == {}


def test_energy_has_its_price():
    """With powers and a price, cost = seconds + price * joules, for pulls as for requests."""
    powered = scenario(sites=sites(compute_w=3.0, transfer_w=2.0), seconds_per_joule=0.5)
    problem = compile_scenario(powered)
    # 1.1 s of transfer at 2 W and 1 s of computing at 3 W: 5.2 J at .5 s/J.
    assert options(problem)["c2", "m"].cost == pytest.approx(2.1 + 0.5 * 5.2)
    assert problem.sites[0].pull_cost["a"] == pytest.approx(6.0 * (1 + 0.5 * 2.0))


def test_no_sites_and_no_requests():
    """A scenario without sites leaves everything to the data centre, one without requests asks
    nothing; both are problems."""
    alone = scenario(
        sites=[],
        links=[{"ends": ["dc", "ap"], "latency_s": 1.0, "bytes_per_s": 10.0}],
        requests=document()["requests"][:1],
    )
    assert compile_scenario(alone).requests[0].options == ()
    assert compile_scenario(scenario(requests=[])).requests == ()


def test_one_giant_request_goes_to_the_data_centre():
    """A request too large for every site has no options, and a price at the data centre."""
    giant = [document()["requests"][0] | {"units": 1e12}]
    request = compile_scenario(scenario(requests=giant)).requests[0]
    assert request.options == ()
    assert request.fallback_cost == pytest.approx(2e12 / 100 + 18.1)


def test_what_nobody_can_serve_is_an_error():
    """A scenario made in code, past the document's checks, is refused by request and reason."""
    stated = scenario()
    picky = replace(stated, demands=(replace(stated.demands[1], accuracy=0.99),))
    with pytest.raises(UnsupportedProblemError, match="no model serves request 'r2'"):
        compile_scenario(picky)
    endless = replace(stated.demands[1], units=1e308)
    with pytest.raises(UnsupportedProblemError, match="'r2' costs too much to be a number"):
        compile_scenario(replace(stated, demands=(endless, replace(endless, id="r3"))))
    lonely = replace(stated, links=stated.links[1:])
    with pytest.raises(UnsupportedProblemError, match="no path from 'ap'"):
        compile_scenario(lonely)
