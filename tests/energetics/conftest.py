"""Calculators whose answers are known: Lennard-Jones argon and copper of effective medium theory."""

import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones

from md.energetics.relaxed import Tolerance


@pytest.fixture
def lennard_jones():
    """In units of its own: sigma 1 A, epsilon 1 eV, smooth at the cutoff."""
    return LennardJones(sigma=1.0, epsilon=1.0, rc=3.5, ro=2.5, smooth=True)


@pytest.fixture
def emt():
    return EMT()


@pytest.fixture
def copper():
    """At the lattice constant of effective medium theory."""
    return bulk("Cu", a=3.5900)


@pytest.fixture
def tight():
    return Tolerance(force_eV_A=1e-4, stress_GPa=1e-3)
