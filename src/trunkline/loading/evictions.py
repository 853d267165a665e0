"""What to keep when the order of the models is known: evictions for a memory budget. [derived]

A visit to a model needs all its blocks resident; what else stays must fit beside them. Of the
blocks that some later visit needs, which stay?

- Blocks of one size, V without overhead: those needed soonest (Belady's rule). It is optimal: what
  can stay is a choice of intervals between uses under one capacity for each moment.
- Blocks of different sizes: NP-hard, already for three visits A, X, A. Let A's blocks have the
  sizes s_1..s_n and X leave half of their sum as room: that room is filled exactly if some of the
  s_j sum to it (Partition). So `keep_soonest` is a heuristic; `keep_best` is an integer programme.
- An overhead for each load makes Belady's rule fail even for equal sizes: it is then worth keeping
  all that one visit lacks rather than a part of what two lack (`tests/loading/test_evictions.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

from trunkline.links import Link
from trunkline.loading.masks import BlockMasks


def keep_soonest(
    needs: Sequence[int], masks: BlockMasks, budget: float, resident: int, *, ahead: bool = False
) -> list[int]:
    """For each visit the blocks of others that stay when it loads: those needed soonest, of those
    needed at one time the largest first; then what no later visit needs, since one may be put in
    that does.

    Args:
        needs: the blocks of each visit's model, each within the budget.
        resident: what is there before the first visit.
        ahead: wherever there is room for both, all blocks of the visit before stay, so that a model
            is loaded while the one before it computes.
    """
    kept = []
    for place, need in enumerate(needs):
        left = resident & ~need
        room = budget - masks.bytes(need)
        stay = 0
        if ahead and place and masks.bytes(left & needs[place - 1]) <= room:
            stay = left & needs[place - 1]
            left &= ~stay
            room -= masks.bytes(stay)
        for later in range(place + 1, len(needs)):
            if not left or room < masks.smallest:
                break
            wanted = left & needs[later]
            if not wanted:
                continue
            left &= ~wanted
            size = masks.bytes(wanted)
            if size > room:
                wanted = masks.largest_within(wanted, room)
                size = masks.bytes(wanted)
            stay |= wanted
            room -= size
        if left and room >= masks.smallest:
            stay |= left if masks.bytes(left) <= room else masks.largest_within(left, room)
        kept.append(stay)
        resident = stay | need
    return kept


def loads(needs: Sequence[int], kept: Sequence[int], resident: int) -> list[int]:
    """What each visit loads when so much stays."""
    missing = []
    for need, stay in zip(needs, kept, strict=True):
        missing.append(need & ~resident)
        resident = stay | need
    return missing


def keep_best(
    needs: Sequence[int],
    masks: BlockMasks,
    budget: float,
    resident: int,
    link: Link,
    *,
    time_limit_s: float,
) -> list[int] | None:
    """As `keep_soonest`, with the least load time over all visits; None if not proved in time.

    An integer programme: for each block and each pause between two of its uses, whether it stays
    (x); for each visit that could load nothing, whether it loads (z). Minimise

        rate * sum of size (1 - x) + overhead * sum of z     so that, for every visit t,
        sum over the pauses around t of size * x  <=  budget - bytes of t's model,    z >= 1 - x

    Blocks that can stand for each other and pause together are one integer variable.
    """
    import highspy
    import numpy as np

    pauses = _pauses(needs, masks, resident)
    if not pauses:
        return [0] * len(needs)
    sizes = [masks.bytes(block & -block) for _, _, block in pauses]
    counts = [block.bit_count() for _, _, block in pauses]
    first_use = _first_uses(needs, resident)
    optional = sorted({end for _, end, _ in pauses if not first_use[end]})
    overhead, rate = link.overhead_s, link.seconds_per_byte
    column_of = {end: len(pauses) + n for n, end in enumerate(optional if overhead > 0 else ())}
    rows: list[tuple[float, float, list[tuple[int, float]]]] = []
    for t, need in enumerate(needs):
        around = [n for n, (begin, end, _) in enumerate(pauses) if begin < t < end]
        room = budget - masks.bytes(need)
        if sum(sizes[n] * counts[n] for n in around) > room:
            rows.append((-highspy.kHighsInf, room, [(n, sizes[n]) for n in around]))
    for n, (_, end, _) in enumerate(pauses):
        if end in column_of:
            rows.append((counts[n], highspy.kHighsInf, [(n, 1.0), (column_of[end], counts[n])]))
    model = highspy.HighsLp()
    columns = len(pauses) + len(column_of)
    model.num_col_, model.num_row_ = columns, len(rows)
    model.col_cost_ = np.array([-rate * size for size in sizes] + [overhead] * len(column_of))
    model.col_lower_ = np.zeros(columns)
    model.col_upper_ = np.array([float(count) for count in counts] + [1.0] * len(column_of))
    model.row_lower_ = np.array([low for low, _, _ in rows])
    model.row_upper_ = np.array([high for _, high, _ in rows])
    entries = [entry for _, _, row in rows for entry in row]
    model.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    model.a_matrix_.start_ = np.cumsum([0] + [len(row) for _, _, row in rows]).astype(np.int32)
    model.a_matrix_.index_ = np.array([column for column, _ in entries], dtype=np.int32)
    model.a_matrix_.value_ = np.array([value for _, value in entries])
    model.integrality_ = [highspy.HighsVarType.kInteger] * columns
    solver = highspy.Highs()  # type: ignore[no-untyped-call]
    solver.silent()
    for option, value in (("threads", 1), ("time_limit", time_limit_s), ("mip_rel_gap", 0.0)):
        solver.setOptionValue(option, value)
    solver.passModel(model)
    solver.run()
    if solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        return None
    values = solver.getSolution().col_value
    return _stays(needs, pauses, [round(value) for value in values[: len(pauses)]])


_Pause = tuple[int, int, int]  # the use before (-1: resident at the start), the next use, blocks


def _pauses(needs: Sequence[int], masks: BlockMasks, resident: int) -> list[_Pause]:
    """The pauses between uses with other visits in between, blocks that can stand for each other
    and pause together as one."""
    found: list[_Pause] = []
    last = dict.fromkeys(masks.classes, -1)
    ready = {one: one & resident for one in masks.classes}
    for t, need in enumerate(needs):
        for one in masks.classes:
            if one & need:
                blocks = ready[one]
                if blocks and t > last[one] + 1:
                    found.append((last[one], t, blocks))
                last[one], ready[one] = t, one
    return found


def _first_uses(needs: Sequence[int], resident: int) -> list[bool]:
    """Whether each visit needs a block that cannot be there, so that it loads in any case."""
    seen = resident
    first = []
    for need in needs:
        first.append(bool(need & ~seen))
        seen |= need
    return first


def _stays(needs: Sequence[int], pauses: Sequence[_Pause], counts: Sequence[int]) -> list[int]:
    """The blocks that stay at each visit when so many of each pause do."""
    kept = [0] * len(needs)
    for (begin, end, blocks), count in zip(pauses, counts, strict=True):
        stay = 0
        for _ in range(count):
            stay |= (blocks ^ stay) & -(blocks ^ stay)
        for t in range(begin + 1, end):
            kept[t] |= stay
    return kept
