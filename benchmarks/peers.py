"""Peers of the loading planner, each in a process of its own: `python peers.py NAME < instance`.

An instance is JSON: `whole_s` (seconds to load each model first), `after_s` ([j][i], model i after
j), `tables` (seconds to serve 0, 1, ... tasks of each model), `limit_s`, `seconds` (to solve in)
and `threads`. The answer is `path` (models in the order of their visits), `counts`, `bound` (null
if the solver has none), `proven` and `solve_s`. The models below are written for these solvers by
us; whoever makes one better is welcome. Solvers that count in whole numbers get nanoseconds,
rounded up.

This file imports nothing of Trunkline, so it runs wherever the solvers are.
"""

from __future__ import annotations

import json
import math
import sys
import time
from typing import Any

NANO = 1e9


def ns(seconds: float) -> int:
    """Nanoseconds, rounded up."""
    return math.ceil(seconds * NANO - 1e-6)


def cp_sat(instance: dict[str, Any]) -> dict[str, Any]:
    """CP-SAT: a circuit with optional nodes, a chain of steps per model, and the deadline."""
    from ortools.sat.python import cp_model

    model = cp_model.CpModel()
    tables, whole, after = instance["tables"], instance["whole_s"], instance["after_s"]
    n = len(tables)
    steps = [
        [model.new_bool_var(f"z{i},{k}") for k in range(1, len(table))]
        for i, table in enumerate(tables)
    ]
    for own in steps:
        for earlier, later in zip(own, own[1:]):  # noqa: B905, RUF007
            model.add_implication(later, earlier)
    arcs, cost = [], []
    literals = {}
    for i in range(n):
        arcs.append((i + 1, i + 1, ~steps[i][0]))
        for j in range(-1, n):
            if i != j:
                used = model.new_bool_var(f"x{j},{i}")
                literals[j, i] = used
                arcs.append((j + 1, i + 1, used))
                cost.append(used * ns(whole[i] if j < 0 else after[j][i]))
        end = model.new_bool_var(f"x{i},end")
        arcs.append((i + 1, 0, end))
    nothing = model.new_bool_var("nothing")
    arcs.append((0, 0, nothing))
    for own in steps:
        model.add_implication(nothing, ~own[0])
    model.add_circuit(arcs)
    cost += [
        literal * ns(table[k + 1] - table[k])
        for own, table in zip(steps, tables)  # noqa: B905
        for k, literal in enumerate(own)
    ]
    model.add(sum(cost) <= int(instance["limit_s"] * NANO))
    model.maximize(sum(literal for own in steps for literal in own))
    solver = cp_model.CpSolver()
    solver.parameters.max_time_in_seconds = instance["seconds"]
    solver.parameters.num_workers = instance["threads"]
    solver.parameters.random_seed = 1
    status = solver.solve(model)
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return answer([], [], None, False)
    follows = {j: i for (j, i), literal in literals.items() if solver.value(literal)}
    path, at = [], follows.get(-1)
    while at is not None:
        path.append(at)
        at = follows.get(at)
    counts = [sum(solver.value(literal) for literal in steps[i]) for i in path]
    bound = math.floor(solver.best_objective_bound + 1e-6)
    return answer(path, counts, bound, status == cp_model.OPTIMAL)


def py_vrp(instance: dict[str, Any]) -> dict[str, Any]:
    """PyVRP: one vehicle with a limited shift; a client with a prize for each model and count, of
    which at most one a model is visited."""
    from pyvrp import Model
    from pyvrp.stop import MaxRuntime

    model = Model()
    tables, whole, after = instance["tables"], instance["whole_s"], instance["after_s"]
    prize = 1_000_000
    places = [model.add_location(0, 0) for _ in range(len(tables) + 1)]
    depot = model.add_depot(places[0])
    model.add_vehicle_type(
        1, start_depot=depot, end_depot=depot, shift_duration=int(instance["limit_s"] * NANO)
    )
    meant = []
    for i, table in enumerate(tables):
        group = model.add_client_group(required=False)
        for k in range(1, len(table)):
            model.add_client(
                places[i + 1],
                service_duration=ns(table[k]),
                prize=prize * k,
                required=False,
                group=group,
            )
            meant.append((i, k))
        model.add_edge(places[0], places[i + 1], 0, ns(whole[i]))
        model.add_edge(places[i + 1], places[0], 0, 0)
        for j in range(len(tables)):
            if i != j:
                model.add_edge(places[j + 1], places[i + 1], 0, ns(after[j][i]))
    result = model.solve(MaxRuntime(instance["seconds"]), seed=1, display=False)
    if not result.is_feasible():
        return answer([], [], None, False)
    visits = [meant[one.idx] for route in result.best.routes() for one in route if one.is_client()]
    return answer([i for i, _ in visits], [k for _, k in visits], None, False)


def routing(instance: dict[str, Any]) -> dict[str, Any]:
    """OR-Tools routing: a node for each model and count, of which at most one a model is visited; a
    task that is not served costs 1."""
    from ortools.constraint_solver import pywrapcp, routing_enums_pb2

    tables, whole, after = instance["tables"], instance["whole_s"], instance["after_s"]
    meant = [(-1, 0)] + [(i, k) for i, table in enumerate(tables) for k in range(1, len(table))]
    manager = pywrapcp.RoutingIndexManager(len(meant), 1, 0)
    model = pywrapcp.RoutingModel(manager)
    load = [[ns(whole[i]) if i >= 0 else 0 for i, _ in meant]]
    load += [
        [0 if i < 0 or i == j else ns(after[j][i]) for i, _ in meant] for j in range(len(tables))
    ]
    service = [0 if i < 0 else ns(tables[i][k]) for i, k in meant]
    seconds = [[load[j + 1][to] + service[to] for to in range(len(meant))] for j, _ in meant]
    time_index = model.RegisterTransitMatrix(seconds)
    model.AddDimension(time_index, 0, int(instance["limit_s"] * NANO), True, "time")
    missed = [[len(tables[i]) - 1 - k if i >= 0 else 0 for i, k in meant]] * len(meant)
    model.SetArcCostEvaluatorOfAllVehicles(model.RegisterTransitMatrix(missed))
    for i, table in enumerate(tables):
        nodes = [manager.NodeToIndex(n) for n, (owner, _) in enumerate(meant) if owner == i]
        model.AddDisjunction(nodes, len(table) - 1, 1)
    parameters = pywrapcp.DefaultRoutingSearchParameters()
    parameters.local_search_metaheuristic = (
        routing_enums_pb2.LocalSearchMetaheuristic.GUIDED_LOCAL_SEARCH
    )
    parameters.time_limit.FromMilliseconds(int(1000 * instance["seconds"]))
    solution = model.SolveWithParameters(parameters)
    if solution is None:
        return answer([], [], None, False)
    visits = []
    at = solution.Value(model.NextVar(model.Start(0)))
    while not model.IsEnd(at):
        visits.append(meant[manager.IndexToNode(at)])
        at = solution.Value(model.NextVar(at))
    return answer([i for i, _ in visits], [k for _, k in visits], None, False)


def answer(path: list[int], counts: list[int], bound: int | None, proven: bool) -> dict[str, Any]:
    """What a solver found."""
    return {"path": path, "counts": counts, "bound": bound, "proven": proven}


SOLVERS = {"CP-SAT": cp_sat, "PyVRP": py_vrp, "OR-Tools routing": routing}


def main() -> int:
    solve = SOLVERS[sys.argv[1]]
    instance = json.load(sys.stdin)
    try:
        import ortools  # noqa: F401
        import pyvrp  # noqa: F401
    except ImportError as error:
        print(error, file=sys.stderr)
        return 3
    started = time.perf_counter()
    found = solve(instance)
    print(json.dumps({**found, "solve_s": time.perf_counter() - started}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
