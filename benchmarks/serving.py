"""Our server beside MLServer, Ray Serve and LitServe: answers in time, and bytes moved for them.

    python -m benchmarks.serving --install-peers   first put the peers into --peers DIR
    python -m benchmarks.serving --quick           ResNets, two rates, short: about three minutes
    python -m benchmarks.serving                   everything, about three hours

All serve the same models with random weights (20 variants of three ResNets, 10 of one network of
GPT-2's size, see `benchmarks/servers/models.py`) from files, with memory for two whole models, and
get the same traces as JSON from the same client. Nothing is cached when a server starts; it is
asked for every model once before anything counts, and the system caches all files from then on.
Each computes with the number of threads with which it answers most in a closed loop, up to one a
processor (--threads fixes it for all). The peers' servers are in `benchmarks/serving_peers`: what a
user would write for each, with whole models and the least recently used leaving first. "whole
models" is our own server so, deadlines and all; "all resident" is our own with memory for
everything, the limit.

A load of 1 is what our own server with whole models answers in a closed loop of 4 clients. A
request waits 3 to 10 times a full load of its model (`load_file` + `load_state_dict`). The peers
know no deadlines: what they answer late is lost. Where they can shed load they do, so that those
they answer are not all late: LitServe gives up what waited in its queue for as long as the least
patient request of the largest model, Ray Serve's queue holds one batch beside two under way;
--no-peer-limits leaves that out. One server runs at a time; the order is turned round between
repeats.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.measure import Verdict
from benchmarks.servers import environments, models
from benchmarks.servers.comparing import Case, Closed, Found, show, show_closed
from benchmarks.servers.laws import Law, law
from benchmarks.servers.own import OWN, Own, OwnWhole
from benchmarks.servers.peers import PEERS, Peer
from benchmarks.servers.replay import capacity, replay, warm_up
from benchmarks.servers.server import Server, Terms
from trunkline.experiments.traces import draw_trace
from trunkline.runtime.machine import busy

LOADS = {"resnet": (0.15, 0.3, 0.6, 0.9, 1.2, 1.5, 2.5), "gpt2": (0.3, 0.9, 1.5, 2.5)}
"""The first and last are beyond the target's rates, so that every server meets its limit."""

SECONDS = {"resnet": 10.0, "gpt2": 30.0}
"""Length of a trace: GPT-2 is asked less often."""

LAWS = {
    "resnet": (Law("poisson", 0.0), Law("poisson", 0.9), Law("bursts", 0.9)),
    "gpt2": (Law("poisson", 0.0), Law("poisson", 0.9)),
}
WAITS = (3.0, 10.0)
CLIENTS = 4
SERVERS = (*OWN, *PEERS)


@dataclass(frozen=True)
class Settings:
    """How much is measured."""

    library: str
    servers: tuple[type[Server], ...]
    options: argparse.Namespace

    @property
    def laws(self) -> tuple[Law, ...]:
        usual = LAWS[self.library][:1] if self.options.quick else LAWS[self.library]
        return tuple(self.options.laws or usual)

    @property
    def loads(self) -> tuple[float, ...]:
        return tuple(
            self.options.loads or ((0.6, 1.5) if self.options.quick else LOADS[self.library])
        )

    @property
    def seconds(self) -> float:
        return float(self.options.seconds or (4.0 if self.options.quick else SECONDS[self.library]))

    @property
    def repeats(self) -> int:
        return int(self.options.repeats or (1 if self.options.quick else 3))


def main() -> int:
    given = arguments()
    given.peers, given.folder = given.peers.expanduser(), given.folder.expanduser()
    if given.install_peers:
        environments.install(given.peers)
    servers = tuple(one for one in SERVERS if one.__name__ in given.servers and there(one, given))
    if told := busy():
        print(told)
    verdicts: list[Verdict] = []
    right = True
    for name in given.libraries or (["resnet"] if given.quick else list(LAWS)):
        settings = Settings(name, servers, given)
        with tempfile.TemporaryDirectory(
            prefix="trunkline-bench-", ignore_cleanup_errors=True
        ) as folder:
            found, closed = measure(settings, Path(folder))
        verdicts += show_closed(settings.library, closed)
        verdicts += show(settings.library, found)
        right &= correct(found)
    print("\nTargets\n")
    for one in verdicts:
        print(one)
    return 0 if right else 1


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.serving",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = [one.__name__ for one in SERVERS]
    parser.add_argument("--quick", action="store_true", help="about three minutes")
    parser.add_argument("--libraries", nargs="+", choices=list(LAWS))
    parser.add_argument("--servers", nargs="+", choices=names, default=names)
    parser.add_argument("--loads", nargs="+", type=float, help="1: what whole models can carry")
    parser.add_argument(
        "--laws", nargs="+", type=law, metavar="LAW", help="arrivals:zipf, as in bursts:0.9"
    )
    parser.add_argument("--seconds", type=float, help="length of a trace (10; gpt2: 30; quick: 4)")
    parser.add_argument("--repeats", type=int, help="traces of each kind (3; quick: 1)")
    parser.add_argument("--capacity", type=float, help="requests/s of load 1, not measured then")
    parser.add_argument("--threads", type=int, help="for all servers (default: the best of each)")
    parser.add_argument("--peers", type=Path, default=Path(environments.DEFAULT))
    parser.add_argument("--install-peers", action="store_true", help="put them there first")
    parser.add_argument("--peer-batch", type=int, default=4, help="requests in a peer's batch")
    parser.add_argument("--peer-loading", choices=("reuse", "build", "assign"), default="reuse")
    parser.add_argument("--no-peer-limits", action="store_true", help="they queue without end")
    parser.add_argument("--hang-up", action="store_true", help="clients leave at their deadline")
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path("~/.cache/trunkline/serving-models"),
        help="where the models are kept between runs (2.2 GB, with gpt2 7.8 GB)",
    )
    return parser.parse_args()


def there(server: type[Server], given: argparse.Namespace) -> bool:
    """Whether a server can be started; says so if not."""
    if not issubclass(server, Peer) or environments.installed(given.peers, server.package):
        return True
    print(f"{server.name}: not installed (--install-peers)")
    return False


def measure(settings: Settings, folder: Path) -> tuple[Found, Closed]:
    """All servers on all traces of a library, and in a closed loop."""
    given = settings.options
    library = models.prepare(settings.library, given.folder, lambda text: print(text, flush=True))
    most = given.threads or os.cpu_count() or 1
    took = models.reference(library, most)
    waits = [took.load_s[one.name] for one in library.variants]
    terms = Terms(
        library,
        folder,
        given.peers,
        most,
        batch=given.peer_batch,
        queue=None if given.no_peer_limits else given.peer_batch,
        queue_timeout_s=None if given.no_peer_limits else WAITS[0] * max(waits),
        loading=given.peer_loading,
    )
    head(library, took, terms, settings)
    suited = {one: best_threads(one, terms, settings) for one in settings.servers}
    rate = given.capacity or carried(suited, settings)
    print(f"load 1: {rate:.1f} requests/s (whole models, {CLIENTS} clients in a closed loop)")
    found: Found = {}
    closed: Closed = {}
    for repeat in range(settings.repeats):
        for server in settings.servers[:: -1 if repeat % 2 else 1]:
            with server(suited[server]) as running:
                warm_up(running)
                closed.setdefault(server, []).append(capacity(running, CLIENTS, settings.seconds))
                for case, trace in traces(waits, rate, settings, repeat):
                    outcome = replay(running, trace, settings.seconds, hang_up=given.hang_up)
                    found.setdefault(case, {}).setdefault(server, []).append(outcome)
    return found, closed


def best_threads(server: type[Server], terms: Terms, settings: Settings) -> Terms:
    """The terms with the threads with which a server answers most in a closed loop."""
    if settings.options.threads:
        return terms
    rates = {}
    for threads in range(1, terms.threads + 1):
        tried = replace(terms, threads=threads)
        rates[threads] = closed_loop(server, tried, settings)
    best = max(rates, key=lambda one: rates[one])
    tried_all = ", ".join(f"{one}: {rate:.1f}" for one, rate in rates.items())
    print(f"{server.name}: requests/s in a closed loop by threads: {tried_all}", flush=True)
    return replace(terms, threads=best)


def carried(suited: Mapping[type[Server], Terms], settings: Settings) -> float:
    """Requests per second that whole models can carry."""
    server = OwnWhole if OwnWhole in settings.servers else settings.servers[0]
    return closed_loop(server, suited[server], settings)


def closed_loop(server: type[Server], terms: Terms, settings: Settings) -> float:
    """Requests per second of a server that is started for it."""
    with server(terms) as running:
        warm_up(running)
        return capacity(running, CLIENTS, settings.seconds)


def traces(
    waits: Sequence[float], rate: float, settings: Settings, repeat: int
) -> Iterator[tuple[Case, Any]]:
    """The traces of a repeat, the same for every server."""
    for one in settings.laws:
        for load in settings.loads:
            trace = draw_trace(
                waits,
                load * rate,
                settings.seconds,
                arrivals=one.arrivals,
                zipf=one.zipf,
                waits=WAITS,
                seed=repeat,
            )
            yield (str(one), load), trace


def head(library: models.Library, took: models.Reference, terms: Terms, settings: Settings) -> None:
    """What is measured."""
    whole = sum(library.bytes.values())
    print(
        f"\n{library.name}: {len(library.variants)} models, {whole / 1e6:.0f} MB whole, "
        f"{library.distinct_bytes / 1e6:.0f} MB distinct; memory for two: "
        f"{library.memory_bytes / 1e6:.0f} MB"
    )
    factories = {one.factory: one.name for one in library.variants}
    for factory, model in factories.items():
        print(
            f"  {factory}: full load {1e3 * took.load_s[model]:.1f} ms, forward of one "
            f"{1e3 * took.forward_s[model]:.1f} ms"
        )
    peers = [one for one in settings.servers if issubclass(one, Peer)]
    versions = [environments.version(terms.peers, one.package) for one in peers]
    limit = "without limits"
    if terms.queue_timeout_s is not None:
        limit = f"LitServe {1e3 * terms.queue_timeout_s:.0f} ms, Ray Serve {terms.queue} requests"
    print(
        f"peers ({', '.join(versions)}): batches up to {terms.batch}, loading by {terms.loading}, "
        f"queues: {limit}"
    )


def correct(found: Found) -> bool:
    """No server answered something else, and ours failed nobody."""
    done = [(one, each) for cases in found.values() for one in cases for each in cases[one]]
    wrong = sum(each.wrong for _, each in done)
    failed = sum(each.failed for one, each in done if issubclass(one, Own))
    if wrong or failed:
        print(f"WRONG: {wrong} answers differ, {failed} requests to our server failed")
    return not wrong and not failed


if __name__ == "__main__":
    sys.exit(main())
