"""The online pulling problem: delays by hand, sharing, and what must hold in every round."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from trunkline.pulling.online.context import Cells
from trunkline.pulling.online.edge import Edge, Weighing
from trunkline.pulling.online.learner import Round
from trunkline.pulling.online.learners import KINDS
from trunkline.pulling.online.play import play
from trunkline.pulling.online.system import EdgeSystem, draw_system, without_sharing

CELLS = Cells(4, 2)


def by_hand(storage: float = 3.0) -> EdgeSystem:
    """One site, three blocks of one byte; model 0 has blocks 0 and 1, model 1 has 0 and 2, model 2
    is the data centre's. A block takes 10 s from there."""
    return EdgeSystem(
        block_bytes=np.ones(3),
        model_blocks=np.array([[1, 1, 0], [1, 0, 1], [0, 0, 0]], dtype=np.bool_),
        flop_per_unit=np.array([2.0, 4.0, 8.0]),
        accuracy=np.array([[1.0, 0.5], [0.5, 1.0], [0.9, 0.9]]),
        central=2,
        storage_bytes=np.array([storage]),
        flop_per_s=np.array([2.0, 16.0]),
        pull_s=np.array([[[0.0] * 3, [10.0] * 3]]),
        exchange_s=np.array([[0.5, 3.0]]),
    )


def edge(system: EdgeSystem, rounds: int = 50, seed: int = 0, **options: float) -> Edge:
    """An environment on the system."""
    return Edge(system, CELLS, rounds, np.random.default_rng(seed), **options)  # type: ignore[arg-type]


def test_delays_by_hand() -> None:
    """Whichever model the site starts with, the other misses one block: 10 s of pulling beside
    .5 s of exchange; then a unit of demand takes kappa/F = 1, 2 and, at the data centre, .5 s."""
    environment = edge(by_hand(), weighing=Weighing(0.0, 100.0, 0.6), interval_s=1e9)
    seen = environment.round(1, 2)
    there = int(np.argmin(seen.missing_bytes[:2]))  # type: ignore[index]
    assert sorted(seen.missing_bytes) == [0.0, 0.0, 0.0, 1.0]  # type: ignore[arg-type]
    other = 1 - there
    at_0, at_1 = (100 * seen.losses_at(demand) for demand in (0.0, 1.0))  # type: ignore[misc]
    assert at_0[[there, other, 2]] == pytest.approx([0.5, 10.5, 3.0])
    assert (at_1 - at_0)[:3] == pytest.approx([1.0, 2.0, 0.5])
    assert at_0[3] == pytest.approx(60.0)
    outcome = environment.serve(other)
    rate = (1.0, 2.0)[other]
    assert outcome.delay_s == pytest.approx(10.5 + rate * outcome.demand)  # type: ignore[operator]
    assert outcome.pulled_bytes == 1.0
    assert environment.round(2, 2).missing_bytes.max() == 0.0  # type: ignore[union-attr]


def test_a_busy_site_lets_wait() -> None:
    """Of two requests that come at once, the second starts when the first has ended, and waits for
    the block on its way no longer than that."""
    environment = edge(by_hand(), weighing=Weighing(0.0, 100.0, 0.6), interval_s=1e-9)
    seen = environment.round(1, 2)
    other = int(np.argmax(seen.missing_bytes[:2]))  # type: ignore[index]
    first = environment.serve(other)
    losses = 100 * environment.round(2, 2).losses_at(0.0)  # type: ignore[misc]
    assert losses[other] == pytest.approx(first.delay_s, rel=1e-6)


def test_what_does_not_fit_is_served_at_the_data_centre() -> None:
    """While a request uses blocks 0 and 1 of two that fit, model 1's arm is the data centre's."""
    environment = edge(by_hand(storage=2.0), interval_s=1e-9)
    environment.round(1, 2)
    environment.serve(0)
    environment.round(2, 2)
    assert environment.losses()[1] == pytest.approx(environment.losses()[2])
    outcome = environment.serve(1)
    assert (outcome.central, outcome.accuracy, outcome.pulled_bytes) == (True, 0.9, 0.0)
    assert environment.residency.here[0].tolist() == [True, True, False]


def test_rejecting_tells_nothing() -> None:
    """A request that is turned away has neither demand nor delay, and costs what is said."""
    environment = edge(by_hand(), weighing=Weighing(0.5, 1.0, 0.25))
    environment.round(1, 2)
    outcome = environment.serve(3)
    assert (outcome.demand, outcome.loss, outcome.pulled_bytes) == (None, 0.25, 0.0)
    assert np.isnan([outcome.delay_s, outcome.accuracy]).all()


def test_without_sharing_every_model_has_its_own_blocks() -> None:
    """Block 0 of two models becomes two blocks; models keep their bytes."""
    own = without_sharing(by_hand())
    assert own.block_bytes.tolist() == [1.0] * 4
    assert own.model_blocks.sum(axis=0).tolist() == [1] * 4
    assert (own.model_blocks @ own.block_bytes).tolist() == [2.0, 2.0, 0.0]
    drawn = draw_system(np.random.default_rng(0))
    apart = without_sharing(drawn)
    sizes = drawn.model_blocks @ drawn.block_bytes
    assert apart.model_blocks @ apart.block_bytes == pytest.approx(sizes)
    assert apart.pull_s.shape == (*drawn.pull_s.shape[:2], len(apart.block_bytes))


@pytest.mark.parametrize("shared", [0.0, 0.5, 1.0])
def test_the_drawn_system(shared: float) -> None:
    """Large models have 400 MB and small ones 100 MB, of which they share what is asked for."""
    system = draw_system(np.random.default_rng(0), shared=shared)
    sizes = system.model_blocks @ system.block_bytes
    assert sizes == pytest.approx([400e6, 400e6, 100e6, 100e6, 0.0])
    common = (system.model_blocks[0] & system.model_blocks[1]) @ system.block_bytes
    assert common == pytest.approx(shared * 400e6)


@pytest.mark.parametrize("name", list(KINDS))
def test_every_learner_plays(name: str) -> None:
    """Losses are the previewed ones and in [0, 1], storage is never passed, every request has the
    same features and demand for every learner."""
    kind = KINDS[name]
    environment = Watched(
        draw_system(np.random.default_rng(1)),
        CELLS,
        120,
        np.random.default_rng(2),
        eviction=kind.eviction,
    )
    facts = environment.facts
    chosen = kind.build(facts, np.random.default_rng(3), kind.candidates(facts)[0])
    record = play(chosen, environment)
    played = record.losses[np.arange(120), record.arms]
    assert record.loss == pytest.approx(played)
    assert record.losses.min() >= 0.0
    assert record.losses.max() <= 1.0
    again = Edge(draw_system(np.random.default_rng(1)), CELLS, 120, np.random.default_rng(2))
    assert np.array_equal(again.levels, record.levels)
    demands = [one.demand for one in record.outcomes]
    for number, demand in enumerate(demands, start=1):
        again.round(number, 0)
        assert demand in (None, again.serve(facts.arms - 2).demand)


class Watched(Edge):
    """Looks at the storage in every round."""

    def round(self, number: int, reads: int) -> Round:
        held = [self.residency.held_bytes(site) for site in range(4)]
        assert np.all(np.array(held) <= self.system.storage_bytes)
        return super().round(number, reads)


def test_sharing_saves_bytes_and_delay() -> None:
    """Pull on demand moves far fewer bytes and waits less where models share blocks."""
    totals = []
    for system in (shared := draw_system(np.random.default_rng(0)), without_sharing(shared)):
        environment = edge(system, 400, 1)
        chosen = KINDS["lru"].build(environment.facts, np.random.default_rng(0), 1.0)
        outcomes = play(chosen, environment).outcomes
        totals.append(
            (sum(one.pulled_bytes for one in outcomes), np.mean([one.delay_s for one in outcomes]))
        )
    (bytes_shared, delay_shared), (bytes_apart, delay_apart) = totals
    assert bytes_shared < 0.5 * bytes_apart
    assert delay_shared < delay_apart


def test_no_storage() -> None:
    """Where nothing can be stored, every arm but rejecting is the data centre's."""
    system = by_hand(storage=0.0)
    environment = edge(system)
    environment.round(1, 2)
    assert np.ptp(environment.losses()[:3]) == 0.0


def test_too_few_features() -> None:
    """A domain and two features of demand need three features."""
    with pytest.raises(ValueError, match="2 features: at least 3"):
        Edge(by_hand(), Cells(2, 1), 5, np.random.default_rng(0))
    with pytest.raises(ValueError, match="accuracies for 2 domains, features of 3 levels"):
        Edge(by_hand(), Cells(3, 1, levels=3), 5, np.random.default_rng(0))


def test_a_slower_site_is_worse() -> None:
    """A site that computes at a tenth of the speed makes no arm's loss smaller."""
    fast, slow = by_hand(), replace(by_hand(), flop_per_s=np.array([0.2, 16.0]))
    losses = []
    for system in (fast, slow):
        environment = edge(system)
        environment.round(1, 2)
        losses.append(environment.losses())
    assert np.all(losses[1] >= losses[0])
    assert losses[1].sum() > losses[0].sum()
