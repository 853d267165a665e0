"""A run of our server beside the simulation of the same trace, and by how much it is off.

    python -m benchmarks.simulated --quick     two loads, once: about a minute
    python -m benchmarks.simulated             three loads, three times: about three minutes

20 variants of three ResNets with random weights (`benchmarks/servers/models.py`, made once in
--folder), memory for two whole models. `trunkline profile` measures the machine first; the server
(`trunkline serve --profile`) and the simulation both take that. A load of 1 is what the server
answers in a closed loop of 4 clients. Traces are drawn as `trunkline simulate` draws them, a
request waiting 3 to 10 times as long as loading its model whole and computing takes, and replayed
by a client process against a server that was started for it. The simulation begins as the server
does, after every model was asked once.

Neither loads ahead: on processors that both copy and compute the server mostly does not, and a
simulation knows nothing of how loads and forwards slow each other down.

HTTP, JSON and the interpreter take time that no profile knows, and a machine is not always as fast
as when it was profiled. So every trace is simulated three times: "simulated" is what `trunkline
simulate` says; "+ overhead" lets every request take longer by what was measured first, the wait at
the idle server beyond loading and computing; "+ prices" also scales loads and forwards to what
those of the run took, so what is still off is not the profile's. Off is simulation minus run.

At the prices of the run, two more simulations of the same traces say what better choices could
reach: a plan that knows all requests beforehand (`trunkline.experiments.foresight`), and the
server's policy with memory for everything.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, median

from benchmarks.measure import table, verdict
from benchmarks.servers import models
from benchmarks.servers.client import Asked
from benchmarks.servers.comparing import spread
from benchmarks.servers.laws import Law, law
from benchmarks.servers.own import Own
from benchmarks.servers.replay import Outcome, capacity, replay, run, warm_up
from benchmarks.servers.server import REPOSITORY, Terms
from benchmarks.servers.simulating import (
    ROWS,
    Counted,
    Figures,
    Reach,
    at_prices,
    of_run,
    reach,
    simulated,
    typical_error,
    with_overhead,
)
from trunkline.experiments.simulation import costs_of, units_of_patience
from trunkline.experiments.trace_document import save_trace
from trunkline.experiments.traces import Arrival, draw_trace
from trunkline.loading.online import Costs
from trunkline.runtime.machine import busy
from trunkline.runtime.problem import build_problem, runnable
from trunkline.runtime.profile import load_profile
from trunkline.store import Store

LOADS = (0.6, 1.0, 1.5)
CLIENTS = 4
ROUNDS = 5
WAIT_S = 60.0
TARGET = 0.1
Case = tuple[Law, float]


class Profiled(Own):
    """`trunkline serve` with a profile."""

    @property
    def profile(self) -> Path:
        return self.terms.folder / "profile.json"

    def command(self) -> Sequence[str]:
        command = [*super().command(), "--profile", str(self.profile)]
        return [*command, "--load-ahead", "never"]

    def counted(self) -> Counted:
        """What it counted so far."""
        return Counted(
            batches=self.values("batches_total"),
            requests=self.values("batch_requests_total"),
            loads=sum(self.values("batch_load_seconds_count").values()),
            moved_bytes=self.total("moved_bytes") or 0.0,
            load_s=self.total("load_seconds") or 0.0,
            compute_s=self.total("compute_seconds") or 0.0,
        )


@dataclass(frozen=True)
class Trial:
    """A run, and the simulations of its trace: as `trunkline simulate` does it, with the overhead,
    and with it at the prices that loads and forwards had in the run; what could be reached then.
    """

    run: Figures
    plain: Figures
    laden: Figures
    priced: Figures
    reach: Reach


WAYS = {"simulated": "plain", "+ overhead": "laden", "+ prices": "priced"}


def main() -> int:
    given = arguments()
    if told := busy():
        print(told)
    library = models.prepare("resnet", given.folder.expanduser(), lambda text: print(text))
    # the server and `trunkline simulate` have models by name, and break ties by their place
    library = replace(library, variants=tuple(sorted(library.variants, key=lambda one: one.name)))
    with tempfile.TemporaryDirectory(
        prefix="trunkline-bench-", ignore_cleanup_errors=True
    ) as folder:
        terms = Terms(library, Path(folder), Path(folder), given.threads)
        costs = profiled(terms)
        print(
            f"{len(library.variants)} models, {sum(library.bytes.values()) / 1e6:.0f} MB whole; "
            f"memory for two: {library.memory_bytes / 1e6:.0f} MB; {terms.threads} threads"
        )
        with Profiled(terms) as server:
            warm_up(server)
            overhead_s = idle_overhead(server)
            rate = given.capacity or capacity(server, CLIENTS, given.seconds)
        print(
            f"load 1: {rate:.1f} requests/s ({CLIENTS} clients in a closed loop)\n"
            f"overhead: {1e3 * overhead_s:.1f} ms a request"
        )
        found, good = measure(terms, costs, given, rate, overhead_s)
    for case, trials in found.items():
        show(case, case[1] * rate, trials)
    show_reach(found)
    judge([one for trials in found.values() for one in trials])
    return 0 if good else 1


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.simulated",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="about a minute")
    parser.add_argument("--loads", nargs="+", type=float, help="1: what a closed loop carries")
    parser.add_argument(
        "--laws", nargs="+", type=law, metavar="LAW", help="arrivals:zipf (poisson:0)"
    )
    parser.add_argument("--seconds", type=float, help="length of a trace (6; quick: 4)")
    parser.add_argument("--repeats", type=int, help="traces of each kind (3; quick: 1)")
    parser.add_argument("--capacity", type=float, help="requests/s of load 1, not measured then")
    parser.add_argument("--threads", type=int, default=max(1, (os.cpu_count() or 1) - 1))
    parser.add_argument("--traces", type=Path, help="keep traces and profile in this folder")
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path("~/.cache/trunkline/serving-models"),
        help="where the models are kept between runs (2.2 GB)",
    )
    given = parser.parse_args()
    given.laws = given.laws or [Law("poisson", 0.0)]
    given.loads = given.loads or (LOADS[::2] if given.quick else LOADS)
    given.seconds = given.seconds or (4.0 if given.quick else 6.0)
    given.repeats = given.repeats or (1 if given.quick else 3)
    return given


def profiled(terms: Terms) -> Costs:
    """Measure the machine as the server will use it; what that says models cost."""
    server = Profiled(terms)
    store = str(terms.library.store)
    command = [sys.executable, "-m", "trunkline", "profile", "--store", store, "--no-cold"]
    command += ["--threads", str(terms.threads), "--output", str(server.profile)]
    environment = server.whole_environment()
    subprocess.run(command, cwd=REPOSITORY, env=environment, check=True, stdout=subprocess.DEVNULL)
    names = [one.name for one in terms.library.variants]
    measured = load_profile(server.profile)
    able, _ = runnable(Store.open(terms.library.store), names, measured)
    problem = build_problem(able, measured, (), deadline_s=0.0, bandwidth_hz=0.0)
    return costs_of(problem, terms.library.memory_bytes)


def idle_overhead(server: Profiled) -> float:
    """Seconds that a request at the idle server waits beyond loading and computing.

    The median over rounds of the mean over models.
    """
    asked = [Asked(0.0, one.name, 0, WAIT_S) for one in server.terms.library.variants]
    found = []
    for _ in range(ROUNDS):
        before = server.counted()
        answers = run(server, asked, clients=1, rounds=True)
        counted = server.counted().since(before)
        wait_s = mean(one.done_s - one.at_s for one in answers)
        found.append(wait_s - (counted.load_s + counted.compute_s) / len(answers))
    return median(found)


def measure(
    terms: Terms, costs: Costs, given: argparse.Namespace, rate: float, overhead_s: float
) -> tuple[dict[Case, list[Trial]], bool]:
    """Every trace, run and simulated; whether no answer was wrong and none failed."""
    cases: list[Case] = [(one, load) for one in given.laws for load in given.loads]
    found: dict[Case, list[Trial]] = {case: [] for case in cases}
    laden, good = with_overhead(costs, overhead_s), True
    for repeat in range(given.repeats):
        for case in cases[:: -1 if repeat % 2 else 1]:
            (arrivals, zipf), load = case
            trace = draw_trace(
                units_of_patience(costs),
                load * rate,
                given.seconds,
                arrivals=arrivals,
                zipf=zipf,
                seed=repeat,
            )
            keep(given.traces, f"{arrivals}-{zipf:g}-{load:g}-{repeat}.json", trace, terms, costs)
            outcome, counted = served(terms, trace, given.seconds)
            good &= not (outcome.wrong or outcome.failed)
            if outcome.wrong or outcome.failed:
                print(f"WRONG: {outcome.wrong} answers differ, {outcome.failed} requests failed")
            ways = (costs, laden, with_overhead(at_prices(costs, counted), overhead_s))
            simulations = [simulated(one, trace) for one in ways]
            found[case].append(
                Trial(of_run(outcome, counted), *simulations, reach(ways[-1], trace))
            )
    return found, good


def served(terms: Terms, trace: Sequence[Arrival], seconds: float) -> tuple[Outcome, Counted]:
    """What a server that was just started makes of a trace."""
    with Profiled(terms) as server:
        warm_up(server)
        before = server.counted()
        outcome = replay(server, trace, seconds)
        return outcome, server.counted().since(before)


def keep(
    folder: Path | None, name: str, trace: Sequence[Arrival], terms: Terms, costs: Costs
) -> None:
    """Save a trace, and the profile beside it, for `trunkline simulate`."""
    if folder is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    save_trace(folder / name, trace, [one.id for one in costs.models])
    (folder / "profile.json").write_bytes(Profiled(terms).profile.read_bytes())


def show(case: Case, rate: float, trials: Sequence[Trial]) -> None:
    """The figures of a load side by side."""
    rows = []
    for row in ROWS:
        cells = [row.title, spread([row.value(one.run) for one in trials])]
        for way in WAYS.values():
            others: list[tuple[Figures, Figures]] = [(one.run, getattr(one, way)) for one in trials]
            cells.append(spread([row.value(other) for _, other in others]))
            error = median(row.error(one, other) for one, other in others)
            cells.append(f"{error:+.1f}" + ("" if row.points else " %"))
        rows.append(cells)
    sent = median(one.run.sent for one in trials)
    print(f"\n{case[0]}, load {case[1]:g}: {rate:.1f} requests/s, {sent:.0f} sent\n")
    header = [cell for way in WAYS for cell in (way, "off")]
    print(table(("median (quartiles)", "run", *header), rows))


def show_reach(found: dict[Case, list[Trial]]) -> None:
    """What better choices could reach, beside what ours did, at the prices of the run."""
    rows = []
    for (kind, load), trials in found.items():
        all_ = [one.reach for one in trials]
        shares = [
            [100 * each for each in column]
            for column in zip(*((r.ours, r.foreseen, r.everything) for r in all_), strict=True)
        ]
        most = [r.foreseen / r.everything for r in all_ if r.everything]
        part = [r.ours / r.everything for r in all_ if r.everything]
        cells = [f"{median(of):.2f}" if of else "-" for of in (part, most)]
        rows.append((str(kind), f"{load:g}", *map(spread, shares), *cells))
    print("\nanswered in time [%] at the prices of the run, and as a part of the last\n")
    header = ("arrivals", "load", "ours", "all known", "all resident", "ours", "all known")
    print(table(header, rows))


def judge(trials: Sequence[Trial]) -> None:
    """The typical error over all runs, beside its target."""
    print("\noff: simulated - run, medians over the traces; of percentages in points;")
    print("computing has the overhead in it where that is added\n")
    for title, way in WAYS.items():
        pairs = [(one.run, getattr(one, way)) for one in trials]
        for what, name in (("goodput", "in_time"), ("bytes moved", "bytes_moved")):
            name_of = f"{title}: {what}, median |simulated - run| / run"
            error = typical_error(pairs, name)
            # the run's own prices are known only after it: no prediction, so no target
            print(f"{name_of}: {error:.3g}" if way == "priced" else verdict(name_of, error, TARGET))


if __name__ == "__main__":
    sys.exit(main())
