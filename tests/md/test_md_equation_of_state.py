"""The equation of state: fits of exact and of noisy data, and the protocol's search of the volume."""

import numpy as np
import pytest
from ase.eos import birchmurnaghan

from md.energetics.equation_of_state import fit_energies, fit_pressures
from md.engines.ase import AseEngine
from md.engines.entrance import first_state
from md.engines.loop import simulate
from md.protocols.read import read_protocol
from md.protocols.stages import plan_stages
from md.state import State
from md.trajectory import Trajectory
from mlip.errors import ConfigError, DataError, SimulationError
from mlip.units import EV_PER_A3_IN_GPA

VOLUMES = np.linspace(80.0, 120.0, 7)
ENERGY, MODULUS, SLOPE, VOLUME = -12.0, 0.3, 5.0, 97.0  # eV, eV/A^3, 1, A^3


def energies(volumes):
    return birchmurnaghan(volumes, ENERGY, MODULUS, SLOPE, VOLUME)


def pressures(volumes):
    """GPa, by finite differences of the energies of ASE's equation of state."""
    step = 1e-3
    return -(energies(volumes + step) - energies(volumes - step)) / (2 * step) * EV_PER_A3_IN_GPA


def test_exact_energies_and_pressures_give_their_equation_of_state_back():
    for found in (
        fit_energies(VOLUMES[::-1], energies(VOLUMES[::-1])),
        fit_pressures(VOLUMES, pressures(VOLUMES)),
    ):
        assert found.volume_A3 == pytest.approx(VOLUME, rel=1e-6)
        assert found.bulk_modulus_GPa == pytest.approx(MODULUS * EV_PER_A3_IN_GPA, rel=1e-5)
        assert found.bulk_modulus_slope == pytest.approx(SLOPE, rel=1e-4)
        assert found.volume_error_A3 < 1e-3
        assert found.pressure_GPa(85.0) == pytest.approx(pressures(85.0), rel=1e-5)
        assert found.pressure_GPa(found.volume_at(3.0)) == pytest.approx(3.0, abs=1e-9)
    assert fit_energies(VOLUMES, energies(VOLUMES)).energy_eV == pytest.approx(ENERGY, abs=1e-8)


def test_the_error_of_the_volume_is_that_of_noisy_pressures():
    generator, away = np.random.default_rng(0), []
    for _ in range(200):
        found = fit_pressures(VOLUMES, pressures(VOLUMES) + generator.normal(0.0, 0.5, len(VOLUMES)))
        away.append((found.volume_A3 - VOLUME) / found.volume_error_A3)
    assert 0.8 < np.std(away) < 1.6  # Student's t of four degrees of freedom: 1.4


@pytest.mark.parametrize(
    ("volumes", "values", "message"),
    [
        ([90, 95, 100], [2, 1, 0], "found 3 volumes; expected 4 or more"),
        ([90, 95, 100, 105], [2, 1, np.nan, 0], "no number"),
        ([90, 95, 100, 105], [-1, 0, 1, 2], "do not fall"),
    ],
)
def test_what_is_no_equation_of_state_is_refused(volumes, values, message):
    with pytest.raises(DataError, match=message):
        fit_pressures(volumes, values)


def test_a_pressure_that_was_not_searched_is_refused():
    found = fit_pressures(VOLUMES, pressures(VOLUMES))
    with pytest.raises(DataError, match=r"expected 100 GPa among them: search other volumes"):
        found.volume_at(100.0)


def protocol(volumes, **more):
    step = {"timestep_fs": 4.0, "every_ps": 0.04}
    return plan_stages(
        read_protocol(
            {
                "search": {
                    "ensemble": "nvt",
                    "temperature_K": 30,
                    "volumes": volumes,
                    "settle_ps": 0.2,
                    "duration_ps": 0.4,
                    **step,
                },
                "hold": {"ensemble": "nvt", "temperature_K": 30, "duration_ps": 0.4, **step, **more},
            }
        )
    )


def test_a_search_is_stages_and_what_follows_takes_its_volume():
    stages = protocol([1.1, 0.9, 1.0, 1.2])
    assert [(each.stage.name, each.stage.volume, each.production) for each in stages] == [
        *((f"search_{v:g}{end}", v, False) for v in (0.9, 1.0, 1.1, 1.2) for end in ("_settle", "")),
        ("hold", "search", True),
    ]
    for wrong in ([0.9, 1.0, 1.1], "all"):
        with pytest.raises(ConfigError, match="expected four or more"):
            protocol(wrong)
    with pytest.raises(ConfigError, match="nothing after the search"):
        read_protocol(
            {"search": {"ensemble": "nvt", "temperature_K": 3, "volumes": [1, 2, 3, 4], "duration_ps": 1}}
        )


def test_a_run_finds_the_volume_without_pressure(argon, lennard_jones, tmp_path):
    stages = protocol([0.88, 0.94, 1.0, 1.06])
    argon.set_cell(argon.cell * 1.02, scale_atoms=True)
    state = first_state(State.from_atoms(argon), stages, seed=1)
    final = simulate(AseEngine(lennard_jones), stages, state, tmp_path)
    table = np.genfromtxt(tmp_path / "thermo.csv", delimiter=",", names=True)
    held = table[table["step"] > stages[-1].start_step]
    assert np.ptp(held["volume_A3"]) < 1e-6
    assert abs(held["pressure_GPa"].mean()) < 0.02
    assert abs(table["pressure_GPa"][table["step"] < 150].mean()) > 0.2
    with Trajectory(tmp_path / "trajectory.h5") as trajectory:
        volumes = np.linalg.det(trajectory.cells)
        assert volumes[0] == pytest.approx(0.88 * state.volume)
        assert volumes[trajectory.frames_of("search_1.06")] == pytest.approx(1.06 * state.volume)
    State.load(tmp_path / "restart.npz")
    assert simulate(AseEngine(lennard_jones), stages, final, tmp_path).volume == final.volume


def test_a_run_that_goes_on_scales_by_the_volume_that_it_started_from(argon, lennard_jones, tmp_path):
    stages = protocol([0.9, 1.0, 1.1, 1.2])
    state = first_state(State.from_atoms(argon), stages, seed=1)
    whole = simulate(AseEngine(lennard_jones), stages, state, tmp_path / "whole")
    broken = simulate(AseEngine(lennard_jones), stages[:3], state, tmp_path / "broken")
    assert simulate(AseEngine(lennard_jones), stages, broken, tmp_path / "broken").volume == whole.volume


def test_a_search_that_finds_nothing_ends_its_system(argon, lennard_jones, tmp_path):
    stages = protocol([0.6, 0.65, 0.7, 0.72])
    state = first_state(State.from_atoms(argon), stages, seed=1)
    with pytest.raises(SimulationError, match=r"expected 0 GPa among them.*last good structure, of step \d+"):
        simulate(AseEngine(lennard_jones), stages, state, tmp_path)
