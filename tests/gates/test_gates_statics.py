"""Gates without dynamics: holes in curves of pairs, equations of state with a wrong sign."""

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from gates.analytic import Pairs

from md.gates.equation_of_state import CrystalLimits, check_equation_of_state, group_crystals
from md.gates.pair_curves import PairLimits, check_pair_curves
from mlip.errors import DataError


def well(depth_eV, centre_A, first, second):
    """A Gaussian well between two species, on top of a soft repulsion of all."""

    def add(symbols, distances):
        names = np.array(list(symbols))
        ours = (names[:, None] == first) & (names[None] == second)
        x = (distances - centre_A) / 0.1
        with np.errstate(under="ignore"):
            bump = np.where(ours | ours.T, -depth_eV * np.exp(-(x**2)), 0.0)
        return bump, np.where(np.isfinite(x), -2 * np.nan_to_num(x, posinf=0.0) / 0.1 * bump, 0.0)

    return add


def test_a_good_potential_has_curves_of_all_pairs():
    result = check_pair_curves(Pairs(), ["Li", "N", "P"], PairLimits())
    assert result.passed
    assert result.advice == []
    assert len(result.checks) == 2 * 6
    assert [panel.title for panel in result.panels] == ["Li-Li", "Li-N", "Li-P", "N-N", "N-P", "P-P"]


def test_a_hole_is_found_and_its_pair_named():
    """Lennard-Jones is 1e3 eV at 1.1 A: the well has to be deep to turn the force round."""
    result = check_pair_curves(Pairs(well(1e5, 1.1, "Li", "N")), ["Li", "N"], PairLimits())
    failed = [check.name for check in result.checks if not check.passed]
    assert "Li-N weakest repulsion" in failed
    assert not any(name.startswith(("Li-Li", "N-N")) for name in failed)
    assert result.advice[0].startswith(
        "Li-N repulsion has a hole at 1.1 A: add builder=pairs builder.species=[Li,N]"
    )
    (marked,) = [panel for panel in result.panels if panel.marks]
    assert marked.title == "Li-N"


class Stepped(Pairs):
    """Energies that jump at 3 A, as of neighbors that are lost."""

    def calculate(self, *arguments, **keywords):
        super().calculate(*arguments, **keywords)
        if len(self.atoms) == 2 and self.atoms.get_distance(0, 1, mic=True) < 3.02:
            self.results["energy"] = self.results["free_energy"] = self.results["energy"] + 0.1


def test_a_jump_is_found():
    result = check_pair_curves(Stepped(), ["Ar"], PairLimits())
    assert [check.passed for check in result.checks] == [True, False]
    assert result.checks[1].value == pytest.approx(0.05, rel=0.1)  # half of it, between two neighbors
    assert "not smooth" in result.advice[0]


def volumes(symbol="Cu", shares=(0.9, 0.95, 1.0, 1.05, 1.1, 1.15)):
    frames = []
    for share in shares:
        atoms = bulk(symbol, cubic=True)
        atoms.set_cell(atoms.cell * share ** (1 / 3), scale_atoms=True)
        atoms.calc = EMT()
        energy = atoms.get_potential_energy()
        atoms.calc = SinglePointCalculator(atoms, energy=energy, free_energy=energy)
        frames.append(atoms)
    return frames


def test_the_right_equation_of_state_passes():
    crystals = group_crystals(volumes("Cu") + volumes("Al"))
    result = check_equation_of_state(EMT(), crystals, CrystalLimits())
    assert result.passed
    assert {panel.title for panel in result.panels} == {"Cu4", "Al4"}
    assert max(check.value for check in result.checks) < 1e-6


class Turned(EMT):
    """Every energy with the other sign."""

    def calculate(self, *arguments, **keywords):
        super().calculate(*arguments, **keywords)
        self.results["energy"] *= -1.0
        self.results["free_energy"] *= -1.0


class Swollen(EMT):
    """A constant pressure more, which moves the minimum."""

    def calculate(self, *arguments, **keywords):
        super().calculate(*arguments, **keywords)
        work = 0.03 * self.atoms.get_volume()
        self.results["energy"] -= work
        self.results["free_energy"] -= work


def test_a_wrong_sign_has_no_minimum():
    result = check_equation_of_state(Turned(), group_crystals(volumes()), CrystalLimits())
    assert [check.passed for check in result.checks] == [False, False, False]
    assert result.advice == [
        "E(V) of Cu4 has no minimum: add builder=volumes builder.relative_volumes=[0.92,1.17] of Cu4, "
        "labelled with energy and stress"
    ]
    assert result.to_dict()["checks"][0]["value"] is None


def test_another_volume_is_seen():
    """dV/V = P/B: 0.03 eV/A^3 in copper, of 0.84 eV/A^3 in EMT, are 3.6 % and more, as it softens."""
    checks = check_equation_of_state(Swollen(), group_crystals(volumes()), CrystalLimits()).checks
    assert 3.4 < checks[0].value < 4.6
    assert not checks[0].passed


def test_too_few_volumes_are_refused():
    with pytest.raises(DataError, match="expected some, as mlip build builder=volumes makes"):
        group_crystals(volumes()[:4])
