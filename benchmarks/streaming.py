"""How long planning takes for 10,000 users, beside general solvers and reading the numbers once.

Every method answers the same problems in one process, in turn, and every plan passes the checker.
Peers: HiGHS (through SciPy's `milp`) for models and admission at given shares; SciPy's SLSQP for
the speeds of least energy at given shares; and bisection on the recursion for the least share of
one pair, as `exhaustive` does it. The limit: reading each layer's bits and work once.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp, minimize
from scipy.sparse import coo_array, vstack

import trunkline
from benchmarks.measure import Times, table, take_turns, verdict
from trunkline.streaming import Device, Layer, StreamingModel, StreamingProblem, User
from trunkline.streaming.demands import least_shares
from trunkline.streaming.exhaustive import least_share_by_bisection
from trunkline.streaming.hull import energy, lower_hull_speeds
from trunkline.streaming.pairs import Pairs, PairTable

USERS, MODELS, EACH, LAYERS = 10_000, 40, 5, 50
METHODS = ("optimal", "download-first", "uniform-speed", "fcfs")
REPEATS = 5
SAMPLE = 200
"""Pairs that the slow ways answer."""


def main() -> int:
    print(f"{USERS:,} users, {EACH} models each of {MODELS}, {LAYERS} layers each\n")
    plain, limited = big_problem(limited=False), big_problem(limited=True)
    slowest, served = planning({"no energy budgets": plain, "energy budgets": limited})
    print()
    agree = pairs_one_by_one(limited) & speeds_of_a_general_solver()
    print()
    exact = admission_by_milp(plain)
    print()
    print(verdict("no energy budgets [s]", slowest[0], 1.0))
    print(verdict("energy budgets [s]", slowest[1], 10.0))
    below = verdict("methods that serve more than `optimal`", served, 0)
    print(below)
    return 0 if below.reached and agree and exact else 1


def big_problem(*, limited: bool, seed: int = 0) -> StreamingProblem:
    """Layers of 0.2 to 4 Mbit; devices that take 10 % to 60 % of their deadline to compute; with
    energy budgets of 10 % to 120 % of what full speed takes."""
    rng = np.random.default_rng(seed)
    models = tuple(
        StreamingModel(
            f"m{i}",
            float(rng.uniform(0.5, 0.9)),
            tuple(
                Layer(float(bits), float(flop))
                for bits, flop in zip(
                    rng.uniform(2e5, 4e6, LAYERS), rng.uniform(1e7, 1e8, LAYERS), strict=True
                )
            ),
        )
        for i in range(MODELS)
    )
    work = float(np.mean([sum(layer.flop for layer in model.layers) for model in models]))
    users = []
    for k in range(USERS):
        hz, samples = float(rng.uniform(2e9, 5e9)), int(rng.integers(1, 4))
        users.append(
            User(
                f"u{k}",
                tuple(models[i].id for i in rng.choice(MODELS, EACH, replace=False)),
                float(rng.uniform(1.0, 7.4)),
                float(rng.uniform(1.0, 6.0)),
                Device(hz, 1.0, 1e-28),
                samples=samples,
                energy_j=float(rng.uniform(0.1, 1.2)) * 1e-28 * work * samples * hz**2
                if limited
                else None,
                fixed_s=0.002,
            )
        )
    return StreamingProblem(1e10, models, tuple(users))


def planning(problems: dict[str, StreamingProblem]) -> tuple[list[float], int]:
    """Times of all methods; returns the median of `optimal` for each problem, and how many methods
    served more."""
    rows, medians, more = [], [], 0
    for name, problem in problems.items():
        plans = {method: trunkline.plan(problem, method) for method in METHODS}
        for method, plan in plans.items():
            if violations := trunkline.check(problem, plan):
                raise SystemExit(f"{method}: {violations[0]}")
            more += plan.served > plans["optimal"].served
        runs = {method: planner(problem, method) for method in METHODS}
        pairs = PairTable(problem).take(slice(None))
        runs["reading once"] = partial(read, pairs)
        measured = take_turns(runs, REPEATS)
        medians.append(measured["optimal"].median)
        limit = measured["reading once"].median
        for one, times in measured.items():
            served = f"{plans[one].served:,}" if one in plans else ""
            ratio = f"{times.median / limit:.1f}"
            rows.append((f"{name}: {one}", served, times.spread(), ratio))
    print(table(("", "served", "ms: median (quartiles)", "times the limit"), rows))
    return medians, more


def planner(problem: StreamingProblem, method: str) -> Callable[[], object]:
    return lambda: trunkline.plan(problem, method)


def read(pairs: Pairs) -> float:
    return float(pairs.bits.sum() + pairs.work.sum())


def pairs_one_by_one(problem: StreamingProblem) -> bool:
    """Least shares within energy budgets, all at once and pair by pair; whether they agree."""
    held = PairTable(problem)
    started = time.perf_counter()
    shares = least_shares(held)
    ours = (time.perf_counter() - started) / len(held)
    rows = np.random.default_rng(0).choice(len(held), SAMPLE, replace=False).tolist()
    started = time.perf_counter()
    slow = [
        least_share_by_bisection(
            problem, problem.users[held.users[row]], problem.models[held.models[row]]
        )
        for row in rows
    ]
    each = (time.perf_counter() - started) / SAMPLE
    capped = [np.minimum(values, 1.0) for values in (shares[rows], np.array(slow))]
    agree = bool(np.allclose(*capped, rtol=1e-7))
    print(f"least share within an energy budget: {1e6 * ours:.1f} us a pair, all at once")
    print(f"by bisection, pair by pair: {1e6 * each:,.0f} us ({each / ours:,.0f} times)")
    print(f"the same shares: {'yes' if agree else 'NO'}")
    return agree


def speeds_of_a_general_solver(count: int = 20, layers: int = 10) -> bool:
    """Energies of the hull and of SLSQP for given arrivals; whether none of SLSQP's is lower."""
    rng = np.random.default_rng(1)
    release = np.cumsum(rng.exponential(1.0, (count, layers)), axis=1)
    work = rng.uniform(0.5, 2.0, (count, layers))
    end = release[:, -1] + rng.uniform(1.0, 4.0, count)
    started = time.perf_counter()
    least = energy(work, lower_hull_speeds(release, work, end))
    ours = (time.perf_counter() - started) / count
    found, seconds = [], []
    for row in range(count):
        w, room = work[row], end[row] - release[row]
        started = time.perf_counter()
        result = minimize(
            lambda t, w=w: np.sum(w**3 / t**2),
            np.full(layers, room[-1] / (layers + 1)),
            jac=lambda t, w=w: -2 * w**3 / t**3,
            bounds=[(1e-6, None)] * layers,
            constraints=[
                {"type": "ineq", "fun": lambda t, room=room: room - np.cumsum(t[::-1])[::-1]}
            ],
            method="SLSQP",
            options={"maxiter": 500},
        )
        seconds.append(time.perf_counter() - started)
        found.append(result.fun)
    ratio = np.array(found) / least
    each = Times(tuple(seconds)).median
    print(
        f"speeds of {layers} layers: {1e6 * ours:.0f} us a pair by the hull, {1e6 * each:,.0f} us"
    )
    print(f"by SLSQP ({each / ours:,.0f} times), at {ratio.min():.6f} to {ratio.max():.3g} times")
    print("the hull's energy")
    return bool(ratio.min() > 1 - 1e-6)


def admission_by_milp(problem: StreamingProblem) -> bool:
    """Models and admission by HiGHS at the same least shares; whether it serves as many."""
    held = PairTable(problem)
    shares = least_shares(held)
    rows = np.flatnonzero(shares <= 1)
    ones, places = np.ones(len(rows)), np.arange(len(rows))
    users = coo_array((ones, (held.users[rows], places)), shape=(USERS, len(rows)))
    band = coo_array(shares[rows].reshape(1, -1))
    started = time.perf_counter()
    result = milp(
        -ones,
        integrality=ones,
        bounds=Bounds(0, 1),
        constraints=LinearConstraint(vstack([users, band]).tocsr(), ub=np.ones(USERS + 1)),
        options={"time_limit": 60.0, "mip_rel_gap": 0.0},
    )
    took = time.perf_counter() - started
    plan = trunkline.plan(problem)
    served = -1 if result.x is None else round(-result.fun)
    proven = "proven" if result.status == 0 else "not proven in 60 s"
    print(f"admission at given shares by HiGHS: {served:,} served ({proven}) in {took:.3g} s")
    print(f"`optimal`, shares included: {plan.served:,} in {plan.solve_s:.3g} s")
    return served == plan.served if result.status == 0 else served <= plan.served


if __name__ == "__main__":
    sys.exit(main())
