"""The network between sites, access points and the data centre: least delays for a size."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True, slots=True)
class NetworkLink:
    """A link between two nodes, for both directions.

    Attributes:
        ends: ids of its two nodes.
        latency_s: tau_e, seconds until the first byte is over.
        bytes_per_s: beta_e, above 0.
    """

    ends: tuple[str, str]
    latency_s: float
    bytes_per_s: float

    def seconds(self, size_bytes: float) -> float:
        """tau_e + s/beta_e, the seconds that s bytes take."""
        return self.latency_s + size_bytes / self.bytes_per_s


@dataclass(frozen=True, slots=True)
class Reach:
    """What moving bytes from the nearest of several nodes takes.

    Attributes:
        seconds: to each node that can be reached, by id.
        source: from which of the nodes, by the same ids.
    """

    seconds: dict[str, float]
    source: dict[str, str]


@dataclass(frozen=True)
class Network:
    """Nodes and the links between them; several links may join two nodes.

    Raises:
        ValueError: a node given twice, or a link that ends nowhere or moves nothing.
    """

    nodes: tuple[str, ...]
    links: tuple[NetworkLink, ...]

    def __post_init__(self) -> None:
        known = set(self.nodes)
        if len(known) != len(self.nodes):
            raise ValueError("two nodes have one id")
        for link in self.links:
            for end in link.ends:
                if end not in known:
                    raise ValueError(f"a link ends at {end!r}, which is no node")
            if not (0 <= link.latency_s < math.inf and 0 < link.bytes_per_s < math.inf):
                raise ValueError(f"a latency is at least 0 and a rate above 0, got {link}")

    @cached_property
    def _links_at(self) -> dict[str, list[tuple[str, NetworkLink]]]:
        found: dict[str, list[tuple[str, NetworkLink]]] = {node: [] for node in self.nodes}
        for link in self.links:
            one, other = link.ends
            found[one].append((other, link))
            found[other].append((one, link))
        return found

    def reach(self, sources: Iterable[str], size_bytes: float) -> Reach:
        """The least delays of moving s bytes from the nearest of the sources (Dijkstra).

        T(l, c, s) is the least over paths from l to c of the sum of tau_e + s/beta_e over the
        path's links (each node receives all before it passes any on); which path is least depends
        on s. Where two sources are equally near, the first by id is taken.

        Args:
            sources: ids of nodes; each reaches itself in 0 s.
        """
        reach = Reach({}, {})
        queue = [(0.0, source, source) for source in sorted(set(sources))]
        while queue:
            seconds, source, node = heapq.heappop(queue)
            if node in reach.seconds:
                continue
            reach.seconds[node], reach.source[node] = seconds, source
            for neighbour, link in self._links_at[node]:
                if neighbour not in reach.seconds:
                    entry = (seconds + link.seconds(size_bytes), source, neighbour)
                    heapq.heappush(queue, entry)
        return reach
