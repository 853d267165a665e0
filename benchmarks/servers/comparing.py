"""What the serving benchmark found, as tables, ratios and targets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median, quantiles

from benchmarks.measure import Verdict, table, verdict
from benchmarks.servers.own import OWN, Own, OwnUnlimited
from benchmarks.servers.peers import PEERS, Peer
from benchmarks.servers.replay import Outcome
from benchmarks.servers.server import Server

Case = tuple[str, float]
"""Name of the law of arrivals, and load."""

Found = dict[Case, dict[type[Server], list[Outcome]]]
Closed = dict[type[Server], list[float]]
"""Requests per second in a closed loop, by server and repeat."""

Rates = dict[type[Server], float]


def show_closed(name: str, closed: Closed) -> list[Verdict]:
    """Print what each server carries where nobody has a deadline; what of it has a target."""
    rates = {server: median(values) for server, values in closed.items()}
    most = max(rates.values())
    rows = [(one.name, spread(closed[one]), f"{rates[one] / most:.2f}") for one in closed]
    print("\nclosed loop, no deadlines: requests/s, median (quartiles)\n")
    print(table(("server", "requests/s", "of the most"), rows))
    peers = [one for one in closed if issubclass(one, Peer)]
    if Own not in closed or not peers:
        return []
    what = f"{name}: closed loop, requests/s over the best peer's"
    return [verdict(what, over(rates, peers), 1.8, at_least=True)]


def show(name: str, found: Found) -> list[Verdict]:
    """Print the tables of a library; what of it has a target."""
    servers = in_order(found)
    rows = [
        (
            *case_cells(case, cases[servers[0]]),
            *(spread([100 * one.share for one in cases[server]]) for server in servers),
        )
        for case, cases in found.items()
    ]
    names = [one.name for one in servers]
    print("\nanswered in time, % of what was sent: median (quartiles)\n")
    print(table(("arrivals", "load", "sent/s", *names), rows))
    details = [
        (case[0], f"{case[1]:g}", server.name, *detail_cells(outcomes))
        for case, cases in found.items()
        for server, outcomes in cases.items()
    ]
    header = ("arrivals", "load", "server", "in time/s", "late", "refused", "failed", "wrong")
    print("\nmedians; late ... wrong are numbers of requests, ms from the trace's moment\n")
    print(table((*header, "p50 ms", "p99 ms", "MB moved", "client's lag ms"), details))
    return compared(name, found)


def case_cells(case: Case, outcomes: Sequence[Outcome]) -> tuple[str, str, str]:
    return case[0], f"{case[1]:g}", f"{median(one.sent / one.seconds for one in outcomes):.1f}"


def detail_cells(outcomes: Sequence[Outcome]) -> list[str]:
    """A server on a case."""

    def middle(attribute: str, scale: float = 1.0) -> str:
        values = [getattr(one, attribute) for one in outcomes]
        return "?" if None in values else f"{scale * median(values):.4g}"

    counts = [middle(one) for one in ("goodput", "late", "refused", "failed", "wrong")]
    times = [middle("median_s", 1e3), middle("p99_s", 1e3), middle("bytes_moved", 1e-6)]
    return [*counts, *times, middle("lag_s", 1e3)]


def in_order(found: Found) -> list[type[Server]]:
    """The servers that were measured, ours first."""
    there = {server for cases in found.values() for server in cases}
    return [one for one in (*OWN, *PEERS) if one in there]


def compared(name: str, found: Found) -> list[Verdict]:
    """Ratios between ours and the others, and their targets."""
    servers = in_order(found)
    peers = [one for one in servers if issubclass(one, Peer)]
    if Own not in servers:
        return []
    rates = {case: good(outcomes) for case, outcomes in found.items()}
    over_peer = {case: over(rates[case], peers) for case in rates}
    over_limit = {case: over(rates[case], [OwnUnlimited]) for case in rates}
    rows = [
        (
            case[0],
            f"{case[1]:g}",
            *(f"{one:.2f}" for one in (over_peer[case], over_limit[case])),
            f"{moved(outcomes, peers):.2f}",
        )
        for case, outcomes in found.items()
    ]
    print("\ntrunkline over ...: goodput, and bytes moved for an answer\n")
    print(table(("arrivals", "load", "best peer", "all resident", "bytes"), rows))
    print()
    every: list[Verdict] = []
    if peers:
        what = f"{name}: largest goodput over the best peer's largest, least of the laws"
        every.append(verdict(what, min(saturated(rates, peers)), 1.8, at_least=True))
        what = f"{name}: goodput over the best peer's, least of the loads"
        every.append(verdict(what, min(over_peer.values()), 1.0, at_least=True))
        together = {one: [d for cases in found.values() for d in cases[one]] for one in servers}
        what = f"{name}: bytes moved for an answer, of the fewest of a peer"
        every.append(verdict(what, moved(together, peers), 0.5))
    if OwnUnlimited in servers:
        what = f"{name}: goodput over that with memory for everything, least of the loads"
        every.append(verdict(what, min(over_limit.values()), 0.85, at_least=True))
    return every


def over(rates: Rates, others: Sequence[type[Server]]) -> float:
    """Our goodput over the best of some others."""
    return ratio(rates[Own], max((rates[one] for one in others if one in rates), default=math.nan))


def saturated(rates: dict[Case, Rates], peers: Sequence[type[Server]]) -> list[float]:
    """For each law of arrivals, our largest goodput over the largest of any peer."""
    ratios = []
    for law in dict.fromkeys(case[0] for case in rates):
        some = [one for case, one in rates.items() if case[0] == law]
        ratios.append(
            ratio(max(one[Own] for one in some), max(one[peer] for one in some for peer in peers))
        )
    return ratios


def good(outcomes: dict[type[Server], list[Outcome]]) -> Rates:
    """Each server's median goodput."""
    return {one: median(done.goodput for done in outcomes[one]) for one in outcomes}


def moved(outcomes: dict[type[Server], list[Outcome]], peers: Sequence[type[Server]]) -> float:
    """Bytes that we moved for an answer over those of the peer that moved fewest; late answers
    count. NaN if one is not known."""

    def for_an_answer(server: type[Server]) -> float:
        some = [one for one in outcomes[server] if one.bytes_moved is not None]
        answers = sum(one.in_time + one.late for one in some)
        return sum(one.bytes_moved or 0 for one in some) / answers if answers else math.nan

    known = [one for one in map(for_an_answer, peers) if not math.isnan(one)]
    return ratio(for_an_answer(Own), min(known, default=math.nan))


def ratio(one: float, other: float) -> float:
    """Infinite over nothing, 1 if both are nothing."""
    if not other:
        return math.inf if one else 1.0
    return one / other


def spread(values: Sequence[float]) -> str:
    """`median (first quartile - third quartile)`."""
    if len(values) < 2:
        return f"{values[0]:.1f}"
    low, _, high = quantiles(values, n=4, method="inclusive")
    return f"{median(values):.1f} ({low:.1f}-{high:.1f})"
