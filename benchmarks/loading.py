"""How quickly plans are found and proved, beside general solvers on the same problems.

    python -m benchmarks.loading                   everything, about half an hour
    python -m benchmarks.loading --quick           fewer and smaller problems, about a minute
    python -m benchmarks.loading --install-peers   first put OR-Tools and PyVRP into --peers DIR

HiGHS solves the plain formulation (`trunkline plan --method milp`, one thread); CP-SAT (8 workers),
PyVRP and OR-Tools routing solve what `peers.py` states, all in processes of their own. Everyone
has the same time for the same problem, and every answer passes the one checker. Our planner runs
on one thread. Times of ours include deriving the sharing from the blocks, where it says "new
library"; theirs are without imports.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, median

import trunkline
from benchmarks.instances import FAMILIES, scattered_problem, scattered_problems
from benchmarks.measure import Times, Verdict, table, verdict
from benchmarks.planner import deep_problem
from trunkline.experiments.scenario import paper_problem
from trunkline.library import ModelLibrary
from trunkline.loading import LoadingPlan, LoadingProblem
from trunkline.loading.document import problem_to_document
from trunkline.loading.scattered import Scattered
from trunkline.loading.schedule import batches_of, plan_of
from trunkline.loading.service import Reading, service_of

PEERS = ("CP-SAT", "PyVRP", "OR-Tools routing")
WORKERS = 8
"""CP-SAT's threads: with fewer its portfolio lacks the solvers that prove."""


@dataclass(frozen=True)
class Settings:
    """How much is measured, and where the peers are."""

    seconds: float
    quick: bool
    peers: Path


@dataclass(frozen=True)
class Answer:
    """What a solver found for a problem; seconds are the limit where it did not end before."""

    served: int
    bound: int | None
    proven: bool
    seconds: float


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer and smaller problems")
    parser.add_argument("--seconds", type=float, help="limit of every solver (30; quick: 3)")
    default = os.environ.get("TRUNKLINE_PEERS", "~/.cache/trunkline/peers")
    parser.add_argument("--peers", type=Path, default=default, help=f"their folder ({default})")
    parser.add_argument("--install-peers", action="store_true", help="put them there first")
    given = parser.parse_args()
    seconds = given.seconds or (3.0 if given.quick else 30.0)
    settings = Settings(seconds, given.quick, given.peers.expanduser())
    if given.install_peers:
        pip = [sys.executable, "-m", "pip", "install", "--target", str(settings.peers)]
        subprocess.run([*pip, "ortools>=9.15", "pyvrp>=0.14"], check=True)
    verdicts = [*prefix(settings), *searched(settings), *proved(settings), *paper_scale(settings)]
    if not settings.quick:
        larger(settings)
    print("\nTargets\n")
    for one in verdicts:
        print(one)
    return 0


def prefix(settings: Settings) -> list[Verdict]:
    """Prefix sharing: the trie against solvers that do not know it."""
    problems = [paper_problem(50, 400, seed=seed) for seed in range(3 if settings.quick else 10)]
    ours = [solved(problem, "optimal", new_library=True) for problem in problems for _ in range(5)]
    large = [solved(deep_problem(1000, 10_000, 0), "optimal", new_library=True) for _ in range(3)]
    print(
        f"Prefix sharing, 50 models, 400 tasks (set A), {settings.seconds:g} s for every solver\n"
    )
    first = solved(problems[0], "optimal", new_library=True)
    rows = [row("optimal", first), row("HiGHS", highs(problems[0], settings))]
    rows += [row(name, peer(name, problems[0], settings)) for name in PEERS]
    print(table(("", "served", "bound", "seconds"), rows))
    times = [Times(tuple(plan.solve_s for plan in plans)) for plans in (ours, large)]
    print(f"\n`optimal`, new library: {times[0].spread()} ms; 1,000 models, 10,000 tasks: ", end="")
    print(f"{times[1].spread(1.0)} s: median (quartiles)")
    unproven = sum(not plan.proven for plan in (*ours, *large))
    return [
        verdict("prefix, 50 models, 400 tasks, proven [ms]", times[0].median * 1e3, 20.0),
        verdict("prefix, 1,000 models, 10,000 tasks, proven [s]", times[1].median, 5.0),
        verdict("prefix problems without a proof", unproven, 0),
    ]


def searched(settings: Settings) -> list[Verdict]:
    """`search` against the proven optimum."""
    found: dict[str, list[tuple[float, float]]] = {}
    unproven = []
    sizes = ((10, 80), (20, 160), (30, 240)) if settings.quick else None
    for name, problem in scattered_problems(**({} if sizes is None else {"sizes": sizes})):
        best = solved(problem, "optimal", time_limit_s=settings.seconds)
        if not best.proven:
            unproven.append(name)
        if not best.served:  # not even one task can be in time
            continue
        plan = solved(problem, "search", new_library=True)
        gap = 100.0 * (best.bound - plan.served) / best.bound
        found.setdefault(name.split()[1], []).append((gap, plan.solve_s))
    print("\n`search` on scattered sharing, three families, tightness 10 to 70 %\n")
    rows = [
        (
            size,
            len(results),
            f"{mean(gap for gap, _ in results):.2f}",
            f"{max(gap for gap, _ in results):.2f}",
            f"{sum(gap == 0 for gap, _ in results)}",
            Times(tuple(seconds for _, seconds in results)).spread(),
        )
        for size, results in found.items()
    ]
    header = ("models/tasks", "problems", "mean gap %", "worst %", "optimal", "ms (quartiles)")
    print(table(header, rows))
    if unproven:
        print(f"not proven, the gap is to the bound: {', '.join(unproven)}")
    every = [result for results in found.values() for result in results]
    return [
        verdict("`search`: mean gap to the optimum [%]", mean(gap for gap, _ in every), 0.5),
        verdict("`search`: worst gap [%]", max(gap for gap, _ in every), 2.0),
        verdict("`search`: median time, new library [ms]", 1e3 * median(s for _, s in every), 50.0),
    ]


def proved(settings: Settings) -> list[Verdict]:
    """`optimal` against exact solvers, and heuristics on some of the same problems."""
    models, tasks = (20, 160) if settings.quick else (50, 400)
    names = ("optimal", "HiGHS", "CP-SAT")
    answers: dict[str, list[Answer | None]] = {name: [] for name in names}
    rows = []
    for tightness in (0.4,) if settings.quick else (0.1, 0.4, 0.7):
        for family in FAMILIES:
            problem = scattered_problem(models, tasks, tightness, family=family, seed=0)
            ours = solved(problem, "optimal", new_library=True, time_limit_s=settings.seconds)
            given = [
                Answer(ours.served, ours.bound, ours.proven, ours.solve_s),
                highs(problem, settings),
                peer("CP-SAT", problem, settings),
            ]
            for name, one in zip(names, given):  # noqa: B905
                answers[name].append(one)
            others = [None, None]
            if tightness == 0.4:
                others = [peer(name, problem, settings) for name in PEERS[1:]]
            cells = [cell(one) for one in given] + [
                "" if tightness != 0.4 else cell(one) for one in others
            ]
            rows.append((f"{family} {tightness:.0%}", *cells))
    print(
        f"\nProofs for {models} scattered models, {tasks} tasks, {settings.seconds:g} s for every "
        "solver: served (bound) in seconds\n"
    )
    print(table(("", *names, *PEERS[1:]), rows))
    return compared(answers, settings)


def compared(answers: dict[str, list[Answer | None]], settings: Settings) -> list[Verdict]:
    """Medians and closed problems of `optimal` and of each peer that is there."""
    ours = [one for one in answers.pop("optimal") if one is not None]
    verdicts = []
    for name, theirs in answers.items():
        there = [one for one in theirs if one is not None]
        if len(there) < len(ours):
            print(f"{name}: not installed")
            continue
        times = [median(time_of(one, settings) for one in some) for some in (ours, there)]
        closed = [sum(one.proven for one in some) for some in (ours, there)]
        print(
            f"\nmedian: optimal {times[0]:.3g} s, {name} {times[1]:.3g} s; "
            f"closed: {closed[0]} and {closed[1]} of {len(ours)}",
            end="",
        )
        ratio = times[0] / times[1]
        verdicts.append(verdict(f"proof: median time of `optimal` / {name}'s", ratio, 1.0))
        fewer = closed[1] - closed[0]
        verdicts.append(verdict(f"proof: problems that {name} closes beyond ours", fewer, 0))
    print()
    return verdicts


def paper_scale(settings: Settings) -> list[Verdict]:
    """The paper's general case: the optimum, and what Algorithm 3 leaves of it."""
    rows, known, new = [], [], []
    for deadline_s in (0.3, 0.4, 0.5, 0.7):
        served: dict[str, list[int]] = {"optimal": [], "slotted": [], "continuous": []}
        for seed in range(5 if settings.quick else 20):
            problem = paper_problem(sharing="general", deadline_s=deadline_s, run=seed)
            new.append(solved(problem, "optimal", new_library=True).solve_s)
            best = solved(problem, "optimal")
            known.append(best.solve_s)
            assert best.proven
            served["optimal"].append(best.served)
            served["slotted"].append(solved(problem, "greedy", slot_s=0.01).served)
            served["continuous"].append(solved(problem, "greedy").served)
        averages = {name: mean(counts) for name, counts in served.items()}
        short = [
            f"{averages[name]:.1f} (-{100 * (1 - averages[name] / averages['optimal']):.1f} %)"
            for name in ("slotted", "continuous")
        ]
        rows.append((f"{deadline_s * 1e3:.0f} ms", f"{averages['optimal']:.1f}", *short))
    print("\nPaper scale: 25 scattered models on three backbones, 80 tasks; mean served\n")
    print(table(("deadline", "optimal", "Algorithm 3, 10 ms slots", "without slots"), rows))
    times = [Times(tuple(seconds)) for seconds in (known, new)]
    print(f"\n`optimal`: {times[0].spread()} ms with a known library, {times[1].spread()} ms new")
    return [verdict("paper scale, proven, known library [ms]", times[0].median * 1e3, 5.0)]


def larger(settings: Settings) -> None:
    """How far `optimal` and `search` come beyond 50 models."""
    rows = []
    for models in (100, 200):
        for family in FAMILIES:
            problem = scattered_problem(models, 8 * models, 0.4, family=family, seed=0)
            best = solved(problem, "optimal", new_library=True, time_limit_s=settings.seconds)
            quick = solved(problem, "search", new_library=True)
            gap = 100.0 * (best.bound - quick.served) / best.bound
            proof = Answer(best.served, best.bound, best.proven, best.solve_s)
            name = f"{models}/{8 * models} {family}"
            rows.append((name, cell(proof), f"{quick.served} {quick.solve_s:.2g} s", f"{gap:.2f}"))
    print(f"\nLarger components, tightness 40 %, {settings.seconds:g} s\n")
    print(table(("", "optimal", "search", "gap to the bound %"), rows))


def solved(
    problem: LoadingProblem, method: str, *, new_library: bool = False, **options: object
) -> LoadingPlan:
    """A plan of ours, checked; `new_library` forgets what was derived from the blocks."""
    if new_library:
        library = ModelLibrary(problem.library.blocks, problem.library.models)
        problem = replace(problem, library=library)
    plan = trunkline.plan(problem, method, **options)
    if violations := trunkline.check(problem, plan):
        raise SystemExit(f"{method}: {violations[0]}")
    return plan


def highs(problem: LoadingProblem, settings: Settings) -> Answer:
    """HiGHS on the plain formulation, by the command line."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "problem.json"
        path.write_text(json.dumps(problem_to_document(problem)))
        command = [sys.executable, "-m", "trunkline", "plan", str(path), "--json"]
        command += ["--method", "milp", "--time-limit-s", str(settings.seconds)]
        run = subprocess.run(command, capture_output=True, text=True, check=True)
    plan = trunkline.load_plan(json.loads(run.stdout))
    if violations := trunkline.check(problem, plan):
        raise SystemExit(f"HiGHS: {violations[0]}")
    return Answer(plan.served, plan.bound, plan.proven, plan.solve_s)


def peer(name: str, problem: LoadingProblem, settings: Settings) -> Answer | None:
    """A peer's answer, run as a plan of ours and checked; None where it is not installed."""
    service = service_of(problem, Reading())
    library = problem.library
    models = Scattered.of(library.components, service, library, problem.loading)
    instance = {
        "whole_s": models.whole_s.tolist(),
        "after_s": (models.whole_s - models.saved_s).tolist(),
        "tables": [one.tolist() for one in models.tables],
        "limit_s": models.limit_s,
        "seconds": settings.seconds,
        "threads": WORKERS,
    }
    run = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("peers.py")), name],
        input=json.dumps(instance),
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(settings.peers)},
        check=False,
    )
    if run.returncode == 3:
        return None
    if run.returncode:
        raise SystemExit(f"{name}: {run.stderr[-500:]}")
    found = json.loads(run.stdout)
    visits = [(models.models[i], k) for i, k in zip(found["path"], found["counts"])]  # noqa: B905
    batches = batches_of(problem, service, visits)
    plan = plan_of(problem, name, batches, bound=len(problem.tasks))
    if violations := trunkline.check(problem, plan):
        raise SystemExit(f"{name}: {violations[0]}")
    return Answer(plan.served, found["bound"], found["proven"], found["solve_s"])


def time_of(one: Answer, settings: Settings) -> float:
    """Seconds to the proof; the limit where there was none."""
    return one.seconds if one.proven else settings.seconds


def cell(one: Answer | None) -> str:
    """An answer in a table."""
    if one is None:
        return "not installed"
    bound = "" if one.proven or one.bound is None else f" ({one.bound})"
    return f"{one.served}{bound} {one.seconds:.2g} s"


def row(name: str, one: Answer | LoadingPlan | None) -> Sequence[object]:
    """An answer as a row."""
    if one is None:
        return (name, "not installed", "", "")
    seconds = one.solve_s if isinstance(one, LoadingPlan) else one.seconds
    bound = "proven" if one.proven else "none" if one.bound is None else one.bound
    return (name, one.served, bound, f"{seconds:.3g}")


if __name__ == "__main__":
    sys.exit(main())
