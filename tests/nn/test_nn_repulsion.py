"""The repulsive floor: strength, smoothness, its nuclear limit; where pair potentials end."""

import math

import pytest
import torch

from mlip.nn.repulsion import Repulsion
from mlip.nn.short_range import MARGIN, PAIR_POTENTIALS, cutoffs_below_data
from mlip.nn.zbl import ZBL

CUTOFF = 2.4
BOLTZMANN = 8.617333e-5  # eV/K
PAIRS = {(3, 3): 2.4, (15, 16): 2.0, (1, 8): 0.95, (1, 1): 1.5, (53, 55): 3.4}


def energy_and_derivatives(potential, distances):
    """Energy of dimers of the two species at each distance, with dE/dr and d2E/dr2."""
    lengths = torch.tensor(distances, dtype=torch.float64, requires_grad=True)
    number = len(lengths)
    vectors = torch.stack([torch.zeros_like(lengths), torch.zeros_like(lengths), lengths], dim=1)
    first = torch.arange(number)
    one_way = torch.stack([first, first + number])
    edge_index = torch.cat([one_way, one_way.flip(0)], dim=1)
    species = torch.cat([torch.zeros(number), torch.ones(number)]).long()
    energies = potential(torch.cat([vectors, -vectors]), species, edge_index)
    energies = energies[:number] + energies[number:]
    slope = torch.autograd.grad(energies.sum(), lengths, create_graph=True)[0]
    curvature = torch.autograd.grad(slope.sum(), lengths)[0]
    return energies.detach(), slope.detach(), curvature


@pytest.mark.parametrize("kind", PAIR_POTENTIALS.values(), ids=PAIR_POTENTIALS)
@pytest.mark.parametrize(("numbers", "cutoff"), PAIRS.items(), ids=str)
def test_falls_monotonically_and_ends_with_zero_force_and_curvature(kind, numbers, cutoff):
    potential = kind(numbers, torch.full((2, 2), cutoff, dtype=torch.float64))
    distances = torch.linspace(0.02 * cutoff, 0.999 * cutoff, 2000).tolist()
    _, slope, _ = energy_and_derivatives(potential, distances)
    assert (slope < 0.0).all()
    # the first term that is not zero at the cutoff is the third: E ~ x^3, E' ~ x^2, E'' ~ x
    near = [cutoff * (1.0 - x) for x in (1e-2, 5e-3)]
    for values, order in zip(energy_and_derivatives(potential, near), (3, 2, 1), strict=True):
        assert (values[0] / values[1]).item() == pytest.approx(2.0**order, rel=0.06)
    for values in energy_and_derivatives(potential, [cutoff, 1.001 * cutoff, 9.0]):
        assert (values == 0.0).all()


def test_the_formula_by_hand():
    numbers, cutoffs = (3, 16), torch.full((2, 2), CUTOFF, dtype=torch.float64)
    shells = (
        energy_and_derivatives(Repulsion(numbers, cutoffs), [1.9])[0]
        - energy_and_derivatives(ZBL(numbers, cutoffs), [1.9])[0]
    )
    strength, depth = 14.399645 * 0.345 / CUTOFF**2, (CUTOFF - 1.9) / 0.345
    expected = strength * (math.exp(depth) - 1 - depth - depth**2 / 2)
    assert shells.item() == pytest.approx(expected, rel=1e-10)


def test_born_and_mayer_hold_two_unit_charges_at_the_cutoff():
    """The exponential, without what makes it end, has there the slope of the Coulomb attraction."""
    potential = Repulsion((3, 16), torch.full((2, 2), CUTOFF, dtype=torch.float64))
    strength = potential.coulomb * potential.shell_range / CUTOFF**2
    assert strength / potential.shell_range == pytest.approx(14.399645 / CUTOFF**2)


def test_nuclei_alone_are_left_at_very_short_distance():
    """z1 z2 e^2 / r is what two bare nuclei have."""
    potential = Repulsion((3, 16), torch.full((2, 2), CUTOFF, dtype=torch.float64))
    energies, _, _ = energy_and_derivatives(potential, [1e-5])
    assert energies.item() * 1e-5 == pytest.approx(48 * 14.399645, rel=1e-3)


@pytest.mark.parametrize(("numbers", "cutoff"), PAIRS.items(), ids=str)
def test_stops_a_hot_collision_outside_half_the_cutoff(numbers, cutoff):
    """10 kT at 3000 K along the line of a pair: rarer than one collision in 20,000."""
    potential = Repulsion(numbers, torch.full((2, 2), cutoff, dtype=torch.float64))
    energies, _, _ = energy_and_derivatives(potential, [0.5 * cutoff])
    assert energies.item() > 10.0 * BOLTZMANN * 3000.0


def test_nowhere_weaker_than_zbl():
    for numbers, cutoff in PAIRS.items():
        cutoffs = torch.full((2, 2), cutoff, dtype=torch.float64)
        distances = torch.linspace(0.1, 0.999 * cutoff, 500).tolist()
        floor, _, _ = energy_and_derivatives(Repulsion(numbers, cutoffs), distances)
        nuclei, _, _ = energy_and_derivatives(ZBL(numbers, cutoffs), distances)
        assert (floor > nuclei).all()


def test_cutoffs_end_below_the_data_and_at_covalent_radii_without_them():
    cutoffs = cutoffs_below_data(("Li", "P", "S"), {"Li-Li": 2.4, "Li-S": 2.1}, ((5.0,) * 3,) * 3)
    assert cutoffs[0][0] == 2.4 - MARGIN
    assert cutoffs[0][2] == cutoffs[2][0] == 2.1 - MARGIN
    assert cutoffs[1][2] == cutoffs[2][1] == pytest.approx(1.07 + 1.05)


def test_cutoffs_reach_no_farther_than_the_edges_of_either_direction():
    cutoffs = cutoffs_below_data(("Li", "S"), {"Li-Li": 2.4}, ((2.0, 5.0), (1.5, 5.0)))
    assert cutoffs[0] == (2.0, 1.5)
    assert cutoffs[1] == (1.5, pytest.approx(2.1))


@pytest.mark.parametrize("kind", PAIR_POTENTIALS.values(), ids=PAIR_POTENTIALS)
def test_exactly_nothing_at_the_shortest_distance_whatever_the_rounding(kind):
    shortest = {"Li-S": 2.0 + 1.0 / 3.0}
    cutoffs = cutoffs_below_data(("Li", "S"), shortest, ((5.0, 5.0), (5.0, 5.0)))
    potential = kind((3, 16), torch.tensor(cutoffs, dtype=torch.float64))
    distance = shortest["Li-S"]
    rounded = [math.nextafter(distance, 0.0), distance, float(torch.tensor(distance, dtype=torch.float32))]
    for values in energy_and_derivatives(potential, rounded):
        assert (values == 0.0).all()
