"""Upper bounds on what any plan can serve, for problems no method here solves exactly. [derived]"""

from __future__ import annotations

from dataclasses import replace

from trunkline.library import Trie
from trunkline.links import Link, Stage
from trunkline.loading.ordered import laminar_part
from trunkline.loading.problem import LoadingProblem, in_time
from trunkline.loading.service import Reading, service_of
from trunkline.loading.tables import Fold
from trunkline.loading.trie import TrieTable


def servable_bound(problem: LoadingProblem) -> int:
    """The tasks that could be served if each were alone and its model resident."""
    costs = {m.id: m.seconds_per_batch + m.seconds_per_task for m in problem.models}
    alone = zip(problem.tasks, problem.upload_s, strict=True)
    return sum(
        in_time(task.arrival_s + upload_s + costs[task.model], problem.deadline_of(task))
        for task, upload_s in alone
        if problem.fits(problem.model_index[task.model])
    )


def relaxed_bound(problem: LoadingProblem, reading: Reading) -> int:
    """A bound for problems with arrivals, own deadlines, a memory budget, or resident blocks.

    Relaxed at once: every task is there at the start and may end at the latest deadline of all;
    memory is unlimited, so a block is loaded once at most; what is resident at the start is free;
    a move has no overhead; and of scattered sharing only a laminar part is kept. What is left is a
    trie for each component, which `TrieTable` solves exactly.
    """
    service = service_of(problem, reading)
    rate_only = (
        Link((Stage(1.0 / problem.loading.seconds_per_byte),))
        if (problem.loading.seconds_per_byte > 0)
        else Link()
    )
    tables = [
        TrieTable(
            _without(laminar_part(component), problem), service.tables, rate_only, service.limit_s
        ).table
        for component in problem.library.components
    ]
    return min(Fold(tables, service.limit_s).table.size - 1, servable_bound(problem))


def _without(trie: Trie, problem: LoadingProblem) -> Trie:
    """The trie with the blocks that are resident at the start taken out."""
    sizes, resident = problem.library.blocks, problem.resident
    if not resident:
        return trie
    return Trie(
        tuple(
            replace(node, bytes=sum(sizes[b] for b in node.blocks if b not in resident))
            for node in trie.nodes
        )
    )
