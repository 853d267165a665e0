"""Blocks at sites: what is pulled and evicted, and the two invariants."""

import numpy as np
import pytest

from trunkline.pulling.online.residency import Residency


def mask(*blocks: int, count: int = 4) -> np.ndarray:
    """A mask of these blocks."""
    found = np.zeros(count, dtype=np.bool_)
    found[list(blocks)] = True
    return found


def site(eviction: str = "lru", storage: float = 3.0) -> Residency:
    """One site, four blocks of one byte."""
    return Residency(np.ones(4), np.array([storage]), eviction)  # type: ignore[arg-type]


def test_lru_by_hand() -> None:
    """Blocks 0, 1, 2 used at 1, 2, 3 and 0 again at 4; block 3 takes the place of 1."""
    residency = site()
    for now, block in ((1, 0), (2, 1), (3, 2), (4, 0)):
        residency.use(0, mask(block), now, now, now)
    pulled, evicted = residency.use(0, mask(3), 5, 5, 5)
    assert (pulled.tolist(), evicted.tolist()) == ([3], [1])


def test_lfu_by_hand() -> None:
    """Block 0 used three times, 2 twice, 1 once but last: 1 goes."""
    residency = site("lfu")
    for now, block in enumerate((0, 0, 0, 2, 2, 1)):
        residency.use(0, mask(block), now, now, now)
    assert residency.use(0, mask(3), 9, 9, 9)[1].tolist() == [1]
    # it comes back with no uses from before, and goes first again
    assert residency.use(0, mask(1), 10, 10, 10)[1].tolist() == [3]


def test_blocks_not_models_are_evicted() -> None:
    """A model of which one block has to go keeps its other, shared one."""
    residency = site()
    residency.use(0, mask(0, 1), 1, 1, 1)  # 0 is shared
    residency.use(0, mask(0, 2), 2, 2, 2)
    assert residency.use(0, mask(0, 3), 3, 3, 3)[1].tolist() == [1]
    assert residency.here[0].tolist() == [True, False, True, True]


def test_a_block_in_use_stays() -> None:
    """The oldest block is used until 9, so the next oldest goes; where none may go, it is refused
    and nothing has changed."""
    residency = site(storage=2.0)
    residency.use(0, mask(0), 1, 1, 9)
    residency.use(0, mask(1), 2, 2, 3)
    assert residency.use(0, mask(2), 4, 4, 9)[1].tolist() == [1]
    before = residency.here.copy()
    assert not residency.fits(0, mask(3), 5)
    with pytest.raises(ValueError, match="site 0"):
        residency.use(0, mask(3), 5, 5, 5)
    assert np.array_equal(residency.here, before)
    assert residency.fits(0, mask(3), 9)  # both requests have ended


def test_holders() -> None:
    """A block can be had from where it has arrived, and always from the data centre."""
    residency = Residency(np.ones(2), np.array([2.0, 2.0]))
    residency.use(0, mask(0, count=2), 1.0, 4.0, 5.0)
    assert residency.holders(3.9).tolist() == [[False, False], [False, False], [True, True]]
    assert residency.holders(4.0)[0].tolist() == [True, False]


@pytest.mark.parametrize("eviction", ["lru", "lfu"])
@pytest.mark.parametrize("seed", range(5))
def test_the_invariants(eviction: str, seed: int) -> None:
    """Whatever is asked for, storage is never passed, no block that a running request uses goes,
    and what was asked for is there."""
    generator = np.random.default_rng(seed)
    sizes = generator.uniform(1, 5, 12)
    storage = generator.uniform(0, 30, 3)
    residency = Residency(sizes, storage, eviction)  # type: ignore[arg-type]
    running: list[tuple[float, int, np.ndarray]] = []
    refused = evictions = 0
    for now in np.cumsum(generator.exponential(1.0, 400)):
        place, wanted = int(generator.integers(3)), generator.random(12) < 0.25
        if not residency.fits(place, wanted, now):
            refused += 1
            continue
        until = now + float(generator.exponential(2.0))
        evictions += len(residency.use(place, wanted, now, now, until)[1])
        running = [(end, c, b) for end, c, b in running if end > now] + [(until, place, wanted)]
        assert all(residency.here[c][blocks].all() for _, c, blocks in running)
        assert all(residency.held_bytes(c) <= storage[c] + 1e-9 for c in range(3))
    assert refused > 10
    assert evictions > 10
