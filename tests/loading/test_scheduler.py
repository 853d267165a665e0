"""The scheduler: memory, blocks and requests are accounted for at every step, by hand and at random
with loads that fail and batches that take longer than they should."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.library import Model, ModelLibrary
from trunkline.links import Link, Stage
from trunkline.loading import LoadingModel
from trunkline.loading.online import Choice, Costs, View, Waiting
from trunkline.loading.policies import POLICIES, policy
from trunkline.loading.problem import in_time
from trunkline.loading.scheduler import Scheduler

HELD = {
    "a": ("trunk", "mid", "a"),
    "b": ("trunk", "mid", "b"),
    "c": ("trunk", "c"),
    "d": ("d",),
    "e": ("d", "e"),
}
SIZES = {"trunk": 4.0, "mid": 2.0, "a": 1.0, "b": 2.0, "c": 3.0, "d": 5.0, "e": 1.0}


def costs(
    memory: float | None = 8.0, *, partial: bool = True, names: str = "abcde", beta: float = 1.0
) -> Costs:
    """Some of five models; a byte loads in a second, a batch takes beta and half a second each."""
    library = ModelLibrary(SIZES, [Model(name, HELD[name]) for name in names])
    models = tuple(LoadingModel(name, beta, 0.5, 3) for name in names)
    return Costs(library, Link((Stage(1.0),)), models, memory, partial)


def waiting(key: int, model: int, deadline_s: float, arrived_s: float = 0.0) -> Waiting:
    """A request of one sample."""
    return Waiting(deadline_s, arrived_s, key, model)


# ---- by hand ----


def test_the_next_model_loads_beside_the_computing_one() -> None:
    """a (7 bytes) loads until 7 and computes until 8.5; b's own 2 bytes come meanwhile, to 9, and
    fill the memory (9 of 9); b computes from 9 to 10.5."""
    one = Scheduler(costs(9.0), policy("edf"))
    assert one.receive(waiting(1, 0, 8.5), 0.0)
    load = one.next_load(0.0)
    assert load is not None
    assert (load.model, load.bytes, load.end_s) == (0, 7.0, 7.0)
    assert one.next_batch(0.0) is None  # it is not there
    assert one.next_load(0.0) is None  # one at a time
    one.loaded(7.0)
    batch = one.next_batch(7.0)
    assert batch is not None
    assert (batch.model, batch.tasks, batch.end_s) == (0, 1, 8.5)
    assert one.receive(waiting(2, 1, 10.5, 7.0), 7.0)
    ahead = one.next_load(7.0)
    assert ahead is not None
    assert (ahead.model, ahead.bytes, ahead.end_s, ahead.evict.any()) == (1, 2.0, 9.0, False)
    one.computed(8.5)
    assert one.next_batch(8.5) is None
    one.loaded(9.0)
    batch = one.next_batch(9.0)
    assert batch is not None
    assert (batch.model, batch.end_s) == (1, 10.5)


def test_what_does_not_fit_beside_the_computing_model_waits() -> None:
    """d (5 bytes) beside a (7) needs 12 of 11: nothing loads before a has ended; `ahead` False
    loads nothing ahead, even where it fits."""
    for memory, ahead in ((11.0, True), (12.0, False)):
        one = Scheduler(costs(memory), policy("edf"), ahead)
        one.receive(waiting(1, 0, 20.0), 0.0)
        one.next_load(0.0)
        one.loaded(7.0)
        assert one.next_batch(7.0)
        one.receive(waiting(2, 3, 30.0), 7.0)
        assert one.next_load(7.0) is None
        one.computed(8.5)
        load = one.next_load(8.5)
        assert load is not None
        assert load.model == 3


@pytest.mark.parametrize(
    ("beta", "waits", "loads"), [(2.0, True, False), (3.0, True, True), (2.0, False, True)]
)
def test_loading_ahead_never_costs_more_than_it_saves(
    beta: float, waits: bool, loads: bool
) -> None:
    """c and d are there (12 bytes of 13), d computes, b is next and brings 4 bytes, so 3 must go:
    c's own, where d's must stay. If a request waits for c, it loads them again in 3 s: too long to
    save 2.5 s of computing, but not to save 3.5."""
    of = costs(13.0, beta=beta)
    one = Scheduler(of, policy("edf"))
    one.resident = of.holds[2] | of.holds[3]
    one.receive(waiting(1, 3, 100.0), 0.0)
    assert one.next_batch(0.0)
    one.receive(waiting(2, 1, 100.0), 0.0)
    if waits:
        one.receive(waiting(3, 2, 101.0), 0.0)
    load = one.next_load(0.0)
    assert (load is not None) is loads
    one.computed(beta + 0.5)
    later = load or one.next_load(beta + 0.5)
    assert later is not None
    gone = {of.blocks[place] for place in np.flatnonzero(later.evict)}
    assert (later.model, gone) == (1, {("c",)} if loads else {("d",)})


def test_a_model_larger_than_the_memory_holds_nobody_up() -> None:
    """Its requests are refused at once, and the others are served."""
    one = Scheduler(costs(6.0), policy("edf"))
    assert not one.receive(waiting(1, 0, 1e6), 0.0)
    assert one.receive(waiting(2, 3, 2e6), 0.0)
    load = one.next_load(0.0)
    assert load is not None
    assert load.model == 3


def test_a_failed_load_leaves_nothing_behind() -> None:
    """None of its blocks is there, what was dropped for it is gone, and it can be tried again."""
    one = Scheduler(costs(8.0), policy("edf"))
    one.resident = one.costs.holds[3].copy()
    one.receive(waiting(1, 0, 1e3), 0.0)
    first = one.next_load(0.0)
    assert first is not None
    one.loaded(3.0, failed=True)
    assert not one.resident.any()
    assert one.next_batch(3.0) is None
    again = one.next_load(3.0)
    assert again is not None
    assert (again.bring == first.bring).all()
    assert not again.evict.any()


def test_what_cannot_be_met_is_refused_or_lapses() -> None:
    """a takes 7 + 1.5 s: due at 8.4 it is refused; due at 8.5 it is taken, and a second later it is
    too late."""
    one = Scheduler(costs())
    assert not one.receive(waiting(1, 0, 8.4), 0.0)
    kept = waiting(2, 0, 8.5)
    assert one.receive(kept, 0.0)
    assert one.lapse(0.0) == []
    assert one.lapse(1.0) == [kept]
    assert len(one.queue) == 0


def test_nobody_waits_for_ever_because_of_rounding() -> None:
    """A request that the clock of a machine long up finds in time, to the last bit, is in a batch:
    it is not left out, and hopeless to nobody."""
    for seed in range(300):
        rng = random.Random(seed)
        now_s = rng.uniform(1e5, 1e7)
        one = Scheduler(costs(beta=rng.uniform(0, 1e-2)), policy("edf"))
        one.resident = one.costs.holds[0].copy()
        alone_s = one.earliest_s(waiting(0, 0, 0.0), now_s)
        assert one.receive(waiting(1, 0, alone_s), now_s)
        assert one.lapse(now_s) == []
        assert one.next_batch(now_s)


# ---- changes of models ----


def test_other_models_keep_queue_and_popularity() -> None:
    """b goes, e comes: what waits for a and d goes on under new positions, popularity too, and of
    the blocks in memory those are there that stand in a piece of the new models."""
    one = Scheduler(costs(20.0, names="abd"), policy("edf"))
    kept = [waiting(1, 0, 50.0), waiting(2, 2, 40.0), waiting(3, 2, 60.0)]
    for request in kept:
        one.receive(request, 0.0)
    gone = waiting(4, 1, 50.0)
    one.receive(gone, 0.0)
    one.remove([gone])
    one.adopt(costs(20.0, names="dea"), {"trunk", "mid", "d", "b"})
    assert one.asked == [2.0, 0.0, 1.0]
    assert [(r.key, r.model) for r in one.queue] == [(2, 0), (3, 0), (1, 2)]
    there = {one.costs.blocks[place] for place in np.flatnonzero(one.resident)}
    assert there == {("d",)}  # trunk, mid and a are one piece now, and not whole
    batch = one.next_batch(0.0)
    assert batch is not None
    assert (batch.model, batch.tasks) == (0, 2)


def test_other_prices_keep_everything() -> None:
    """Only how long things take changes."""
    one = Scheduler(costs())
    one.receive(waiting(1, 0, 100.0), 0.0)
    before = one.earliest_s(waiting(2, 0, 0.0), 0.0)
    one.reprice(one.costs.priced(Link((Stage(2.0),)), one.costs.models))
    assert (before, one.earliest_s(waiting(2, 0, 0.0), 0.0)) == (8.5, 5.0)
    assert len(one.queue) == 1


# ---- at random ----


@dataclass
class Driver:
    """A clock that checks at every step.

    Attributes:
        slow: batches and loads take up to this many times what they should.
        failing: the share of loads that fail.
    """

    scheduler: Scheduler
    rng: random.Random
    slow: float = 1.0
    failing: float = 0.0
    now_s: float = 0.0
    ends: dict[str, float] = field(default_factory=dict)
    fates: dict[int, str] = field(default_factory=dict)

    def receive(self, one: Waiting) -> None:
        taken = self.scheduler.receive(one, self.now_s)
        self.fates[one.key] = "queued" if taken else "refused"
        self.begin()

    def begin(self) -> None:
        one = self.scheduler
        for gone in one.lapse(self.now_s):
            assert self.fates[gone.key] == "queued"
            self.fates[gone.key] = "refused"
        if batch := one.next_batch(self.now_s):
            needs = one.costs.holds[batch.model]
            assert not (needs & ~one.resident).any()
            assert one.loading is None or not (needs & one.loading.bring).any()
            assert 0 < batch.tasks <= one.costs.models[batch.model].max_batch
            for request in batch.requests:
                assert self.fates[request.key] == "queued"
                self.fates[request.key] = "computing"
                assert in_time(batch.end_s, request.deadline_s)
            self.ends["compute"] = self.now_s + batch.seconds * self.rng.uniform(1, self.slow)
        before = one.resident.copy()
        if load := one.next_load(self.now_s):
            assert not (load.bring & before).any()
            assert not (load.evict & ~before).any()
            if one.computing is not None:
                assert not (load.evict & one.costs.holds[one.computing.model]).any()
            self.ends["load"] = self.now_s + load.seconds * self.rng.uniform(1, self.slow)
        self.check()

    def go_on(self, until_s: float) -> None:
        while self.ends and min(self.ends.values()) <= until_s:
            what = min(self.ends, key=lambda name: self.ends[name])
            self.now_s = self.ends.pop(what)
            if what == "load":
                self.scheduler.loaded(self.now_s, self.rng.random() < self.failing)
            else:
                assert self.scheduler.computing is not None
                for request in self.scheduler.computing.requests:
                    assert self.fates[request.key] == "computing"
                    late = not in_time(self.now_s, request.deadline_s)
                    self.fates[request.key] = "late" if late else "done"
                self.scheduler.computed(self.now_s)
            self.begin()
        self.now_s = max(self.now_s, until_s) if until_s < 1e9 else self.now_s

    def check(self) -> None:
        one = self.scheduler
        size = float(one.costs.sizes @ one.resident)
        if one.costs.memory_bytes is not None:
            assert size <= one.costs.memory_bytes * (1 + 1e-9)
        else:
            assert size <= max(one.costs.library.model_bytes)
        if one.computing is not None:
            assert not (one.costs.holds[one.computing.model] & ~one.resident).any()
        queued = {key for key, fate in self.fates.items() if fate == "queued"}
        computing = {key for key, fate in self.fates.items() if fate == "computing"}
        assert Counter(request.key for request in one.queue) == Counter(queued)
        assert computing == {r.key for r in (one.computing.requests if one.computing else ())}


def drive(driver: Driver, requests: int, seconds: float = 120.0) -> Counter[str]:
    """Random requests; what became of them."""
    rng = driver.rng
    models = len(driver.scheduler.costs.models)
    for key, at in enumerate(sorted(rng.uniform(0, seconds) for _ in range(requests))):
        driver.go_on(at)
        tasks = rng.choice((1, 1, 1, 2, 3))
        driver.receive(Waiting(at + rng.uniform(0, 40), at, key, rng.randrange(models), tasks))
    driver.go_on(1e12)
    return Counter(driver.fates.values())


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    name=st.sampled_from(list(POLICIES)),
    memory=st.sampled_from([None, 6.0, 8.0, 9.5, 12.0, 30.0]),
    partial=st.booleans(),
    ahead=st.booleans(),
    troubled=st.booleans(),
)
def test_every_step_keeps_the_rules(
    seed: int, name: str, memory: float | None, partial: bool, ahead: bool, troubled: bool
) -> None:
    """Memory never passes its budget, a computing model's blocks stay, a batch has all its blocks,
    every request is in one place and ends served or refused; late only where costs were wrong."""
    one = Scheduler(costs(memory, partial=partial), policy(name), ahead)
    driver = Driver(one, random.Random(seed))
    if troubled:
        driver.slow, driver.failing = 2.0, 0.3
    fates = drive(driver, 40)
    assert not {"queued", "computing"} & set(fates)
    assert fates.total() == 40
    if not troubled:
        assert fates["late"] == 0


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), memory=st.sampled_from([8.0, 12.0, 20.0]))
def test_models_come_and_go(seed: int, memory: float) -> None:
    """Whenever nothing loads or computes, other models may be adopted: what waits goes on, each
    request once, and the memory's budget holds."""
    rng = random.Random(seed)
    names = "abcd"
    driver = Driver(Scheduler(costs(memory, names=names)), rng)
    at = 0.0
    for key in range(30):
        at += rng.uniform(0, 6)
        driver.go_on(at)
        driver.receive(Waiting(at + rng.uniform(5, 60), at, key, rng.randrange(len(names))))
        if key % 5 == 4:
            driver.go_on(max(driver.ends.values(), default=at))
            if driver.ends:
                continue
            names = "".join(rng.sample("abcde", 4))
            _adopt(driver, costs(memory, names=names))
            driver.begin()
    driver.go_on(1e12)
    assert not {"queued", "computing"} & set(driver.fates.values())
    assert set(driver.fates) == set(range(30))


def _adopt(driver: Driver, fresh: Costs) -> None:
    """As a server does: what waits for a model that goes is refused before."""
    one = driver.scheduler
    known = {model.id for model in fresh.models}
    gone = [r for r in one.queue if one.costs.models[r.model].id not in known]
    one.remove(gone)
    driver.fates.update({r.key: "refused" for r in gone})
    popular = {m.id: n for m, n in zip(one.costs.models, one.asked, strict=True)}
    ids = {i for place in np.flatnonzero(one.resident) for i in one.costs.blocks[place]}
    waits = Counter(one.costs.models[r.model].id for r in one.queue)
    one.adopt(fresh, ids)
    assert Counter(fresh.models[r.model].id for r in one.queue) == waits
    for model, asked in zip(fresh.models, one.asked, strict=True):
        assert asked == popular.get(model.id, 0.0)


def test_the_policy_is_asked_as_of_when_the_device_is_free() -> None:
    """While a computes until 8.5, the view's clock says 8.5, and the link is free at 7."""
    seen: list[View] = []

    def spy(view: View) -> Choice | None:
        seen.append(view)
        return policy("edf")(view)

    one = Scheduler(costs(12.0), spy)
    one.receive(waiting(1, 0, 50.0), 0.0)
    one.next_load(0.0)
    one.loaded(7.0)
    one.next_batch(7.0)
    one.receive(waiting(2, 3, 50.0), 7.0)
    one.next_load(7.0)
    assert (seen[-1].now_s, seen[-1].load_from_s) == (8.5, 7.0)


def test_a_late_load_holds_nobody_up_who_does_not_need_it() -> None:
    """b is resident. c's load began at 10 and should end at 13: a second before and a second after
    that it is expected in a second, and 17 s after that in 17 s. So at 30, c (due at 45) is given
    up for the moment though it is more urgent, and b is computed."""
    one = Scheduler(costs(20.0), policy("edf"))
    one.resident = one.costs.holds[1].copy()
    assert one.receive(waiting(0, 2, 45.0), 10.0)
    load = one.next_load(10.0)
    assert load is not None
    assert load.end_s == 13.0
    probe = waiting(1, 2, 99.0)
    assert [one.earliest_s(probe, now_s) for now_s in (12.0, 14.0)] == [13 + 1.5, 15 + 1.5]
    assert one.receive(waiting(2, 1, 60.0), 30.0)
    batch = one.next_batch(30.0)
    assert batch is not None
    assert batch.model == 1
