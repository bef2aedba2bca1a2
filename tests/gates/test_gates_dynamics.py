"""Gates with dynamics: what lasts passes; what heats, tears or stops does not, and says what to do."""

import numpy as np
import pytest
from ase.build import bulk
from gates.analytic import Pairs

from md.gates.energy import EnergyLimits, check_energy
from md.gates.stability import StabilityLimits, check_stability


def argon(a=5.3, n=2):
    return bulk("Ar", "fcc", a=a, cubic=True).repeat(n)


def failed(result):
    return [check.name for check in result.checks if not check.passed]


def test_lennard_jones_conserves_energy(run):
    result = check_energy(run(Pairs(), argon(), "nve"), EnergyLimits())
    assert failed(result) == []
    assert result.checks[2].value < 1.0  # per cent of the fluctuation of the kinetic energy


def test_forces_without_energy_are_found(run):
    result = check_energy(run(Pairs(curl=0.05), argon(), "nve"), EnergyLimits())
    assert "drift beyond two standard errors" in failed(result)
    assert "timestep_fs=5" in result.advice[0]


def test_a_time_step_too_long_is_found(run):
    held = run(Pairs(), argon(), "nve", timestep_fs=120.0, duration_ps=12.0, every_ps=0.12)
    assert "fluctuation of the total energy" in failed(check_energy(held, EnergyLimits()))


@pytest.mark.parametrize("ensemble", ["nvt", "npt"])
def test_a_crystal_is_stable(run, ensemble):
    result = check_stability(run(Pairs(), argon(), ensemble, pdamp_fs=500), StabilityLimits())
    assert failed(result) == []
    assert result.name == ensemble
    assert (result.checks[-1].name == "density off by") == (ensemble == "npt")


def test_a_stretched_liquid_that_separates_is_found(run):
    """Argon at 40 K and six tenths of its density, far below its triple point, is a drop and vacuum."""
    start = argon(a=6.4, n=3)
    start.rattle(0.4, seed=0)
    held = run(Pairs(), start, temperature_K=40, timestep_fs=10.0, duration_ps=10.0, every_ps=0.2)
    result = check_stability(held, StabilityLimits())
    assert failed(result) == ["radius of the largest void"]
    assert "a void of" in result.advice[0]
    assert "mlip learn explorer=nvt explorer.temperature_K=40" in result.advice[0]
    (void,) = [panel for panel in result.panels if panel.title == "largest void"]
    assert void.marks


def test_another_density_is_found(run):
    held = run(Pairs(), argon(), "npt", pdamp_fs=500)
    result = check_stability(held, StabilityLimits(density_g_cm3=2.5))
    assert failed(result) == ["density off by"]
    assert "expected 2.5" in result.advice[0]


def test_a_short_run_cannot_show_its_drift(run):
    result = check_energy(run(Pairs(), argon(), "nve", duration_ps=0.1), EnergyLimits())
    assert failed(result) == ["drift beyond two standard errors"]
    assert result.advice == ["found 6 rows of energies, too few for a drift: make the run longer"]


class Failing(Pairs):
    """Atoms of it fly apart once time has gone on."""

    evaluations = 0

    def calculate(self, *arguments, **keywords):
        super().calculate(*arguments, **keywords)
        self.evaluations += 1
        if self.evaluations > 60:
            self.results["forces"] = self.results["forces"] * np.nan


def test_a_run_that_stops_is_no_crash_of_the_gate(run):
    held = run(Failing(), argon())
    result = check_stability(held, StabilityLimits())
    assert "steps done" in failed(result)
    assert "label that structure and frames of" in result.advice[0]
    assert 20.0 < result.checks[0].value < 40.0


def test_species_that_part_are_found(run):
    """Argon and something that only argon repels."""

    def repel(symbols, distances):
        other = np.array(symbols) == "Kr"
        mixed = other[:, None] != other[None]
        inside = np.where(mixed, np.clip(7.0 - distances, 0.0, None), 0.0)
        return 0.01 * inside**2, -0.02 * inside

    start = argon(a=6.0, n=3)
    start.symbols[np.random.default_rng(0).permutation(len(start))[: len(start) // 2]] = "Kr"
    keys = {"temperature_K": 250, "timestep_fs": 10.0, "duration_ps": 6.0, "every_ps": 0.2}
    result = check_stability(run(Pairs(repel), start, **keys), StabilityLimits(drift_meV_atom_ps=np.inf))
    assert [name for name in failed(result) if "segregation" in name]
    assert any("gathers by itself" in line for line in result.advice)


def test_a_killed_run_goes_on(run):
    """The same folder again: nothing is done twice, and nothing is lost."""
    first = run(Pairs(), argon(), duration_ps=0.2)
    again = run(None, argon(), duration_ps=0.2)
    assert again.share_done == 1.0
    assert np.array_equal(again.table["potential_eV"], first.table["potential_eV"])
