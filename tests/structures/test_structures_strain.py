"""Strains, volumes, displacements and dimers, against the cells of the paper and by their definitions."""

from itertools import pairwise

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from mlip.errors import ConfigError, DataError
from mlip.structures.pairs import build_pairs
from mlip.structures.rattle import build_rattled
from mlip.structures.strain import build_strained, build_volumes

NONE = {f"{kind}_count": 0 for kind in ("hydrostatic", "orthorhombic", "monoclinic", "random")}


@pytest.fixture
def crystal():
    """A crystal without any right angle."""
    cell = [[4.1, 0.2, 0.0], [1.1, 5.2, 0.3], [-0.4, 0.7, 6.3]]
    return Atoms("LiPO", scaled_positions=[[0, 0, 0], [0.3, 0.4, 0.5], [0.7, 0.1, 0.9]], cell=cell, pbc=True)


# Cells of Li3PO4 that Seth et al. published: kind, strain in percent, relaxed lengths, strained cell.
# Those of the last two kinds come from another relaxation.
PUBLISHED = [
    ("hydrostatic", 7.0, [4.8985532969, 5.2711356412, 6.1469417046],
     [[5.010285, 0, 0], [0, 5.391366, 0], [0, 0, 6.287148]]),
    ("orthorhombic", -7.0, [4.92245, 5.296402, 6.176136],
     [[4.577877, 0, 0], [0, 5.296402, 0], [0, 0, 6.176136]]),
    ("monoclinic", 4.5, [4.92245, 5.296402, 6.176136],
     [[4.926552, 0, 0], [-0.374381, 5.287581, 0], [0, 0, 6.181286]]),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "percent", "lengths", "expected"), PUBLISHED)
def test_strains_are_those_of_the_published_cells(kind, percent, lengths, expected):
    parent = Atoms("Li", cell=lengths, pbc=True)
    chosen = {f"{kind}_percent": [percent, percent], f"{kind}_count": 1}
    (strained,) = build_strained(parent, **NONE | chosen)
    assert strained.cell.array == pytest.approx(np.array(expected), abs=3e-6)
    assert strained.info == {"config_type": f"strained_{kind}", "strain_percent": percent}


def test_defaults_are_the_plan_of_the_paper(crystal):
    strained = list(build_strained(crystal, random_count=0))
    kinds = [atoms.info["config_type"] for atoms in strained]
    assert [kinds.count(f"strained_{kind}") for kind in ("hydrostatic", "orthorhombic", "monoclinic")] == [
        19,
        20,
        8,
    ]
    percents = np.array([atoms.info["strain_percent"] for atoms in strained])
    assert percents[:19] == pytest.approx(np.delete(np.arange(-9, 11), 9))
    assert (percents[19:39].min(), percents[19:39].max()) == (-10, 10)
    assert (percents[39:].min(), percents[39:].max()) == (-8.65, 8.65)


def test_what_each_strain_of_a_skew_cell_keeps_and_changes(crystal):
    lengths, angles = crystal.cell.lengths(), crystal.cell.angles()
    for atoms in build_strained(crystal, random_count=0):
        change = 1 + atoms.info["strain_percent"] / 100
        new_lengths, new_angles = atoms.cell.lengths(), atoms.cell.angles()
        assert atoms.get_scaled_positions() == pytest.approx(crystal.get_scaled_positions())
        kind = atoms.info["config_type"].removeprefix("strained_")
        if kind == "hydrostatic":
            assert atoms.cell.volume == pytest.approx(change * crystal.cell.volume)
            assert new_angles == pytest.approx(angles)
        elif kind == "orthorhombic":
            assert new_lengths == pytest.approx(lengths * [change, 1, 1])
            assert new_angles == pytest.approx(angles)
        else:
            assert new_angles[2] == pytest.approx(change * angles[2])
            assert atoms.cell.volume == pytest.approx(crystal.cell.volume)
            assert np.ptp(new_lengths / lengths) < 1e-12


def test_random_strains_are_symmetric_bounded_and_seeded(crystal):
    def strains(seed):
        chosen = NONE | {"random_count": 200, "random_percent": 4.0}
        cells = [atoms.cell.array for atoms in build_strained(crystal, **chosen, seed=seed)]
        return np.array([np.linalg.solve(crystal.cell.array, cell) - np.eye(3) for cell in cells])

    found = strains(1)
    assert found == pytest.approx(found.transpose(0, 2, 1), abs=1e-12)
    assert 0.039 < np.abs(found).max() <= 0.04
    assert np.abs(found.mean(axis=0)).max() < 5 * 0.04 / np.sqrt(3 * 200)
    assert np.array_equal(found, strains(1))
    assert not np.array_equal(found, strains(2))


def test_volumes(crystal):
    series = list(build_volumes(crystal, relative_volumes=[0.8, 1.2], count=5))
    shares = [atoms.cell.volume / crystal.cell.volume for atoms in series]
    assert shares == pytest.approx([0.8, 0.9, 1.0, 1.1, 1.2])
    assert [atoms.info["relative_volume"] for atoms in series] == pytest.approx(shares)
    assert series[2].positions == pytest.approx(crystal.positions)


def test_rattled_atoms_have_the_deviation_asked_for_and_stay_where_they_were_on_average():
    parent = bulk("Li", cubic=True).repeat(6)
    rattled = list(build_rattled(parent, deviation_A=0.2, count=4, seed=3))
    moved = np.array([atoms.positions - parent.positions for atoms in rattled])
    assert moved.std() == pytest.approx(0.2, rel=4 / np.sqrt(2 * moved.size))
    assert moved.mean(axis=1) == pytest.approx(np.zeros((4, 3)), abs=1e-12)
    assert np.abs(moved[0] - moved[1]).max() > 0.1
    again = next(build_rattled(parent, deviation_A=0.2, count=4, seed=3))
    assert np.array_equal(again.positions, rattled[0].positions)


def test_pairs_are_every_pair_at_every_distance():
    dimers = list(build_pairs(species=["O", "Li"], distances_A=[0.5, 2.0], step_A=0.5, box_A=8.0))
    assert [atoms.info["pair"] for atoms in dimers[::4]] == ["Li-Li", "Li-O", "O-O"]
    assert [atoms.get_distance(0, 1) for atoms in dimers] == pytest.approx([0.5, 1.0, 1.5, 2.0] * 3)
    assert [atoms.info["distance_A"] for atoms in dimers[:4]] == [0.5, 1.0, 1.5, 2.0]
    assert all(atoms.get_distance(0, 1) == atoms.get_distance(0, 1, mic=True) for atoms in dimers)
    assert "-".join(dimers[4].get_chemical_symbols()) == "Li-O"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"species": []}, "expected symbols"),
        ({"species": ["Xx"]}, "expected symbols"),
        ({"species": ["Li"], "distances_A": [2.0, 1.0]}, "expected .from, to."),
        ({"species": ["Li"], "step_A": 0.0}, "step above zero"),
        ({"species": ["Li"], "box_A": 11.0}, "at least twice"),
    ],
)
def test_pairs_that_make_no_sense(options, message):
    with pytest.raises(ConfigError, match=message):
        next(build_pairs(**options))


def test_strains_that_make_no_sense(crystal):
    with pytest.raises(ConfigError, match=r"hydrostatic_percent=\[5, 1\]"):
        next(build_strained(crystal, hydrostatic_percent=[5, 1]))
    with pytest.raises(ConfigError, match="relative_volumes"):
        next(build_volumes(crystal, relative_volumes=[0.0, 1.0]))
    with pytest.raises(ConfigError, match="above zero"):
        next(build_rattled(crystal, deviation_A=0.0))
    for build in (build_strained, build_volumes):
        with pytest.raises(DataError, match="not periodic in three directions"):
            next(build(Atoms("Li")))


def test_parents_are_left_as_they_were(crystal):
    before = crystal.copy()
    for build in (build_strained, build_volumes, build_rattled):
        list(build(crystal))
    assert crystal == before
    assert crystal.info == {}


def test_every_frame_is_another(crystal):
    frames = list(build_strained(crystal))
    assert all(not np.allclose(a.cell.array, b.cell.array, atol=1e-6) for a, b in pairwise(frames))
