"""Splits by blocks and by subsets."""

import numpy as np
import pytest
from ase import Atoms

from mlip.data.partition import split_blocks, split_subsets
from mlip.errors import ConfigError, DataError


def frames(**counts):
    return [
        Atoms("Li", info={"config_type": kind, "step": i}) for kind, n in counts.items() for i in range(n)
    ]


def boundaries(chosen):
    return np.count_nonzero(np.diff(chosen.astype(int)))


@pytest.mark.parametrize("fraction", [0.1, 0.25])
@pytest.mark.parametrize("blocks", [1, 4, 10])
def test_blocks_keep_neighbors_together(fraction, blocks):
    made = frames(slab=200, bulk=100)
    split = split_blocks(made, fraction, blocks)
    chosen = np.zeros(300, dtype=bool)
    chosen[split.valid_indices] = True
    for part, count in ((chosen[:200], 200), (chosen[200:], 100)):
        assert part.sum() == pytest.approx(fraction * count, abs=blocks)
        assert 1 <= boundaries(part) <= blocks + 1  # a random choice has about 2 * fraction * count
    assert sorted([*split.train_indices, *split.valid_indices]) == list(range(300))
    for group in np.unique(split.groups):
        members = split.groups == group
        assert chosen[members].all() or not chosen[members].any()


def test_each_subset_validates_though_frames_alternate():
    made = [each for pair in zip(frames(slab=20), frames(bulk=20), strict=True) for each in pair]
    kinds = [made[index].info["config_type"] for index in split_blocks(made, 0.2, 2).valid_indices]
    assert kinds.count("slab") == kinds.count("bulk") == 4


def test_a_subset_too_small_to_divide_trains():
    split = split_blocks(frames(slab=100, rare=2), 0.1)
    assert set(split.valid_indices) <= set(range(100))


def test_formulas_of_few_frames_are_taken_together():
    slabs = [Atoms(f"Li{n}O", info={"config_type": "slab"}) for n in range(1, 21)]
    crystals = [Atoms("Li", info={"config_type": "bulk"}) for _ in range(10)]
    chosen = split_blocks([*slabs, *crystals], 0.2, 2).valid_indices
    assert np.count_nonzero(chosen < 20) == 4
    assert np.count_nonzero(chosen >= 20) == 2


@pytest.mark.parametrize("seed", range(4))
def test_subsets_stay_whole(seed):
    made = frames(a=30, b=20, c=40, d=10)
    split = split_subsets(made, "config_type", 0.2, seed)
    sides = [
        {made[index].info["config_type"] for index in side}
        for side in (split.train_indices, split.valid_indices)
    ]
    assert not sides[0] & sides[1]
    assert len(split.valid_indices) >= 20
    assert len(sides[0]) + len(sides[1]) == 4


def test_errors():
    with pytest.raises(ConfigError, match=r"valid=1\.5"):
        split_blocks(frames(a=10), 1.5)
    with pytest.raises(DataError, match="would train"):
        split_blocks(frames(a=2), 0.1)
    with pytest.raises(DataError, match="frame 0 has no generation"):
        split_subsets(frames(a=2), "generation", 0.5)
    with pytest.raises(DataError, match="would validate"):
        split_subsets(frames(a=2), "config_type", 0.5)
