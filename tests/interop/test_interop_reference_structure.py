"""The made-up structure of an imported potential: all species, periodic, distances of bonds, repeatable."""

import numpy as np
import pytest
from ase.data import chemical_symbols, covalent_radii

from mlip.interop.reference_structure import build_reference_structure


@pytest.mark.parametrize(
    "species", [("H",), ("Li", "P", "S"), ("H", "C", "N", "O"), tuple(chemical_symbols[1:60])]
)
def test_atoms_touch_like_covalent_spheres(species):
    atoms = build_reference_structure(species)
    assert set(atoms.get_chemical_symbols()) == set(species)
    assert len(atoms) >= 16
    assert atoms.pbc.all()
    distances = atoms.get_all_distances(mic=True)
    np.fill_diagonal(distances, np.inf)
    radii = np.maximum(covalent_radii[atoms.numbers], 0.75)
    nearest = (distances / (radii[:, None] + radii)).min(axis=1)
    assert nearest.min() > 0.99
    assert np.median(nearest) < 1.15


def test_it_is_the_same_each_time():
    assert build_reference_structure(("Li", "S")) == build_reference_structure(("Li", "S"))
