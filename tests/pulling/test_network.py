"""Least delays for a size."""

from __future__ import annotations

from itertools import pairwise, permutations

import numpy as np
import pytest

from trunkline.pulling.network import Network, NetworkLink


def drawn_network(rng: np.random.Generator, nodes: int, links: int) -> Network:
    """Random links between random nodes, parallel ones and loops among them."""
    names = tuple(f"n{k}" for k in range(nodes))
    ends = rng.integers(nodes, size=(links, 2))
    return Network(
        names,
        tuple(
            NetworkLink((names[a], names[b]), float(rng.random()), float(rng.uniform(1, 10)))
            for a, b in ends
        ),
    )


def brute_force(network: Network, source: str, target: str, size: float) -> float:
    """The least delay over all simple paths."""
    best: dict[frozenset[str], float] = {}
    for link in network.links:
        key = frozenset(link.ends)
        best[key] = min(best.get(key, np.inf), link.seconds(size))
    others = [node for node in network.nodes if node not in (source, target)]
    found = 0.0 if source == target else np.inf
    for count in range(len(others) + 1):
        for inner in permutations(others, count):
            hops = pairwise((source, *inner, target))
            found = min(found, sum(best.get(frozenset(hop), np.inf) for hop in hops))
    return found


@pytest.mark.parametrize("seed", range(10))
def test_delays_are_least_over_all_paths(seed):
    """From one source, every delay is the least over all simple paths, for small and large sizes;
    nodes without a path are not there."""
    rng = np.random.default_rng(seed)
    network = drawn_network(rng, 5, int(rng.integers(3, 9)))
    for size in (0.0, 1.0, 100.0):
        seconds = network.reach(["n0"], size).seconds
        for node in network.nodes:
            least = brute_force(network, "n0", node, size)
            assert seconds.get(node, np.inf) == pytest.approx(least)


def test_the_way_depends_on_the_size():
    """A small message takes the quick narrow way, a large one the slow broad way."""
    network = Network(
        ("a", "b"), (NetworkLink(("a", "b"), 0.0, 1.0), NetworkLink(("a", "b"), 5.0, 100.0))
    )
    assert network.reach(["a"], 2.0).seconds["b"] == pytest.approx(2.0)
    assert network.reach(["a"], 100.0).seconds["b"] == pytest.approx(6.0)  # 5 + 100/100


def test_the_nearest_of_several_sources():
    """Every node is served by the source with the least delay; equally near ones by the first id;
    a source serves itself in no time."""
    links = [NetworkLink((a, b), 1.0, 1.0) for a, b in pairwise("abcde")]
    reach = Network(tuple("abcde"), tuple(links)).reach(["e", "a"], 1.0)
    assert reach.source == {"a": "a", "b": "a", "c": "a", "d": "e", "e": "e"}
    assert reach.seconds == {"a": 0.0, "b": 2.0, "c": 4.0, "d": 2.0, "e": 0.0}


def test_what_is_no_network_is_refused():
    """Two nodes of one id, a link that ends nowhere, a rate of 0 are errors."""
    with pytest.raises(ValueError, match="two nodes have one id"):
        Network(("a", "a"), ())
    with pytest.raises(ValueError, match="ends at 'b', which is no node"):
        Network(("a",), (NetworkLink(("a", "b"), 0.0, 1.0),))
    with pytest.raises(ValueError, match="a rate above 0"):
        Network(("a", "b"), (NetworkLink(("a", "b"), 0.0, 0.0),))
