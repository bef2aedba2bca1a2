"""GFN1-xTB: derivatives, convergence, charge."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from derivative_checks import force_errors, label_of, stress_errors

from mlip.errors import ConfigError
from mlip.labelers.compute import compute_outcome
from mlip.labelers.xtb import XtbLabeler


def lithium_nitride() -> Atoms:
    cell = [[3.73, -0.03, 0.01], [-1.89, 3.23, 0.02], [0.01, 0.03, 4.05]]
    fractions = [[0, 0, 0.01], [0.02, 0.01, 0.5], [0.33, 0.65, 0.03], [0.67, 0.35, 0]]
    return Atoms("NLi3", cell=cell, scaled_positions=fractions, pbc=True)


def test_forces_and_stress_are_derivatives_of_the_energy(tmp_path):
    atoms = lithium_nitride()
    forces = force_errors(XtbLabeler(), atoms, tmp_path, directions=2)
    stress = stress_errors(XtbLabeler(), atoms, tmp_path, directions=2)
    assert np.abs(forces[:, 1]).min() > 0.02
    assert np.abs(stress[:, 1]).min() > 0.01
    np.testing.assert_allclose(forces[:, 0], 0, atol=2e-3)
    np.testing.assert_allclose(stress[:, 0], 0, atol=2e-4)


def test_compressed_cell_has_negative_stress(tmp_path):
    label = label_of(XtbLabeler(), bulk("Ar", "fcc", a=4.2), tmp_path)
    assert label.stress[:3].max() < 0


def test_frame_that_does_not_converge_fails_with_the_reason(tmp_path):
    outcome = compute_outcome(XtbLabeler(max_iterations=2), lithium_nitride(), tmp_path)
    assert outcome.label is None
    assert "not converged in 2 cycles" in outcome.reason
    assert outcome.core_seconds > 0


def test_charge_of_the_frame_is_that_of_the_electrons(tmp_path):
    water = molecule("H2O")
    neutral = label_of(XtbLabeler(), water, tmp_path)
    water.info["charge"] = 1
    ion = label_of(XtbLabeler(), water, tmp_path)
    assert neutral.stress is None
    assert 17 < ion.energy - neutral.energy < 23  # 12.6 eV, and some 5 eV that GFN1-xTB puts on top


def test_unknown_method_is_refused():
    with pytest.raises(ConfigError, match="GFN1-xTB"):
        XtbLabeler(method="GFN3-xTB")
