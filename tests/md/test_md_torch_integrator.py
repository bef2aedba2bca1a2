"""The integrators in torch against statistical mechanics, in batches of argon and of harmonic wells."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from ase import Atoms
from ensemble_checks import samples_of
from physical_validation import ensemble, kinetic_energy
from scipy import stats
from torch_potentials import SPRING, Wells, lennard_jones, nothing

from md.engines.base import Place
from md.engines.entrance import first_state
from md.engines.torch.integrator import Integrator
from md.engines.torch.systems import Systems
from md.protocols.stages import Stage, plan_stages
from md.state import State
from mlip.units import BOLTZMANN_EV_PER_K, EV_PER_A3_IN_GPA

ENSEMBLES = {
    "nve": {"ensemble": "nve"},
    "chain": {"ensemble": "nvt"},
    "langevin": {"ensemble": "nvt", "thermostat": "langevin", "tdamp_fs": 500.0},
    "rescaling": {"ensemble": "nvt", "thermostat": "velocity_rescaling"},
    "iso": {"ensemble": "npt", "barostat": "iso", "pressure_GPa": 0.05},
    "z": {"ensemble": "npt", "barostat": "z", "pressure_GPa": 0.05},
    "xy": {"ensemble": "npt", "barostat": "xy", "pressure_GPa": 0.05},
    "orthorhombic": {"ensemble": "npt", "barostat": "orthorhombic", "pressure_GPa": 0.05},
    "flexible": {"ensemble": "npt", "barostat": "flexible", "pressure_GPa": 0.05},
    "cell_rescaling": {"ensemble": "npt", "thermostat": "velocity_rescaling", "pressure_GPa": 0.05},
    "cell_rescaling_orthorhombic": {
        "ensemble": "npt",
        "thermostat": "velocity_rescaling",
        "barostat": "orthorhombic",
        "pressure_GPa": 0.05,
    },
}


def planned(name, timestep_fs, temperature_K=40.0, **more):
    stage = Stage(
        name="only",
        timestep_fs=timestep_fs,
        temperature_K=temperature_K,
        duration_ps=100.0,
        **(ENSEMBLES[name] | more),
    )
    return plan_stages([stage])[0]


def begin(atoms, stages, evaluate=lennard_jones):
    """A batch of the same atoms with other velocities each, one for each stage."""
    return begin_at([place(atoms, stage, system) for system, stage in enumerate(stages)], evaluate)


def place(atoms, stage, system):
    return Place(system, stage, first_state(State.from_atoms(atoms), [stage], seed=system + 1))


def begin_at(places, evaluate=lennard_jones):
    systems = Systems.of_states([each.state for each in places])
    integrator = Integrator(systems, places, 0, evaluate)
    integrator.start()
    return integrator


def fluctuation(integrator, num_steps):
    """Deviation of what should be conserved, eV, of each system."""
    values = []
    for _ in range(num_steps):
        integrator.step()
        values.append(integrator.conserved())
    return torch.stack(values).std(dim=0)


@pytest.mark.parametrize(
    ("name", "thermostat"),
    [
        *((name, "nose_hoover_chain") for name in ("iso", "z", "xy", "orthorhombic", "flexible")),
        *((name, "velocity_rescaling") for name in ("iso", "z", "xy", "orthorhombic")),
    ],
)
def test_barostats_know_the_cell_and_not_the_axes_of_space(argon, name, thermostat):
    turn = np.linalg.qr(np.random.default_rng(3).standard_normal((3, 3)))[0]
    first = place(argon, planned(name, 8.0, pressure_GPa=0.3, thermostat=thermostat), 0)
    state = first.state
    turned = replace(
        state, positions=state.positions @ turn, velocities=state.velocities @ turn, cell=state.cell @ turn
    )
    integrators = begin_at([first]), begin_at([Place(0, first.stage, turned)])
    for integrator in integrators:
        for _ in range(60):
            integrator.step()
    mine, theirs = (integrator.systems for integrator in integrators)
    assert abs(float(mine.volumes) / state.volume - 1.0) > 1e-5
    assert (mine.positions @ torch.from_numpy(turn) - theirs.positions).abs().max() < 1e-9
    assert (mine.cell @ torch.from_numpy(turn) - theirs.cell).abs().max() < 1e-10


def test_cell_rescaling_counts_its_work(argon):
    """The work moves by more than kT, what should be conserved by less than a fiftieth of that."""
    names = ("cell_rescaling", "cell_rescaling_orthorhombic")
    integrator = begin(argon, [planned(name, 4.0) for name in names])
    conserved, work = [], []
    for _ in range(300):
        integrator.step()
        conserved.append(integrator.conserved())
        work.append(integrator.cell_rescaling.work)
    moved, left = torch.stack(work).std(dim=0), torch.stack(conserved).std(dim=0)
    assert (moved > 1e-3).all()
    assert (left < 0.02 * moved).all()


@pytest.mark.slow
@pytest.mark.parametrize(("barostat", "count"), [("iso", 8), ("z", 3)])
def test_volumes_of_an_ideal_gas(barostat, count):
    """Volumes of N atoms that do not see each other: p(V) ~ V^N exp(-P V / kT)."""
    kT, pressure = BOLTZMANN_EV_PER_K * 1000.0, 1.0
    volume = (count + 1) * kT * EV_PER_A3_IN_GPA / pressure
    gas = Atoms("Ar" * count, cell=[volume ** (1 / 3)] * 3, pbc=True, positions=np.zeros((count, 3)))
    stage = Stage(
        name="only",
        ensemble="npt",
        temperature_K=1000.0,
        thermostat="velocity_rescaling",
        barostat=barostat,
        pressure_GPa=pressure,
        tdamp_fs=20.0,
        pdamp_fs=20.0,
        timestep_fs=2.0,
        duration_ps=100.0,
    )
    (plan,) = plan_stages([stage])

    integrator = begin_at([place(gas, plan, system) for system in range(400)], nothing)
    for _ in range(600):
        integrator.step()
    expected = stats.gamma(count + 1, scale=kT * EV_PER_A3_IN_GPA / pressure)
    assert stats.kstest(integrator.systems.volumes.numpy(), expected.cdf).pvalue > 0.005


def test_one_batch_holds_every_ensemble_and_conserves_with_the_square_of_the_timestep(argon):
    coarse = fluctuation(begin(argon, [planned(name, 8.0) for name in ENSEMBLES]), 300)
    fine = fluctuation(begin(argon, [planned(name, 4.0) for name in ENSEMBLES]), 600)
    orders = dict(zip(ENSEMBLES, torch.log2(coarse / fine).tolist(), strict=True))
    noisy = [orders.pop(name) for name in ("langevin", "rescaling")]
    assert noisy == pytest.approx([2.0] * 2, abs=0.8)  # two samples of noise
    for name in ("cell_rescaling", "cell_rescaling_orthorhombic"):  # a random walk of errors of dt^3/2 a step
        assert 0.0 < orders.pop(name) < 2.5
    assert orders == pytest.approx(dict.fromkeys(orders, 2.0), abs=0.2)


def test_a_system_moves_alike_alone_and_beside_others(argon):
    names = list(ENSEMBLES)
    together = begin(argon, [planned(name, 8.0) for name in names])
    for _ in range(50):
        together.step()
    for k, name in enumerate(names):
        alone = begin_at([place(argon, planned(name, 8.0), k)])
        for _ in range(50):
            alone.step()
        mine = together.systems.positions.view(len(names), -1, 3)[k]
        assert (mine - alone.systems.positions).abs().max() < 1e-11, name


@pytest.mark.parametrize("name", ["nve", "chain", "iso", "flexible"])
def test_time_can_be_turned_back(argon, name):
    integrator = begin(argon, [planned(name, 8.0)])
    systems = integrator.systems
    start = systems.positions.clone()
    for _ in range(100):
        integrator.step()
    assert (systems.positions - start).abs().max() > 0.1
    systems.velocities = -systems.velocities
    if integrator.chains is not None:
        integrator.chains.rates = -integrator.chains.rates
    if integrator.barostat is not None:
        integrator.barostat.strain_rate = -integrator.barostat.strain_rate
    for _ in range(100):
        integrator.step()
    assert (systems.positions - start).abs().max() < 1e-6  # chaos: rounding grows a thousandfold


@pytest.mark.parametrize("name", [pytest.param("chain", marks=pytest.mark.slow), "rescaling", "langevin"])
def test_kinetic_energies_are_distributed_as_they_should(argon, name):
    stage = planned(name, 8.0, tdamp_fs=200.0)
    # only chains need atoms that push each other; they have the crystal warmed up first
    integrator = begin(argon, [stage] * 48, lennard_jones if name == "chain" else nothing)
    found = []
    for step in range(800):
        integrator.step()
        if step > 500 and step % 60 == 0:
            found.append(0.5 * integrator.systems.twice_kinetic())
    data = samples_of(argon, stage, kinetic_energy=torch.cat(found).numpy())
    uncorrelated = {"data_is_uncorrelated": True, "verbosity": 0}
    assert kinetic_energy.distribution(data, strict=True, **uncorrelated) > 0.005


def test_langevin_finds_the_width_of_a_well_at_any_timestep(argon):
    """BAOAB samples positions in a well without an error of the timestep, here a fourth of the period."""
    mass = float(Systems.of_states([State.from_atoms(argon)]).masses[0])
    period_fs = 2.0 * np.pi * np.sqrt(mass / SPRING)
    stage = planned("langevin", period_fs / 4.0, temperature_K=300.0, tdamp_fs=period_fs)
    places = [Place(system, stage, State.from_atoms(argon)) for system in range(64)]
    wells = Wells(Systems.of_states([each.state for each in places]))
    integrator = begin_at(places, wells)
    systems, squares = integrator.systems, []
    for step in range(400):
        integrator.step()
        if step > 50:
            squares.append((systems.positions - wells.centres).square().mean())
    width = torch.stack(squares)
    blocks = torch.stack([each.mean() for each in width.chunk(10)])
    error = float(blocks.std() / np.sqrt(len(blocks)))
    assert float(width.mean()) == pytest.approx(BOLTZMANN_EV_PER_K * 300.0 / SPRING, abs=4.0 * error)
    assert error < 0.01 * BOLTZMANN_EV_PER_K * 300.0 / SPRING


@pytest.mark.slow
@pytest.mark.parametrize("name", ["iso", "z", "xy", "flexible"])
def test_pressure_is_held_where_the_cell_may_change(argon, name):
    integrator = begin(argon, [planned(name, 8.0, tdamp_fs=300.0, pdamp_fs=2000.0)] * 32)
    systems, first = integrator.systems, integrator.systems.cell.clone()
    means = []
    for step in range(4000):
        integrator.step()
        if step >= 1000:
            tensor = (systems.kinetic_tensor() + systems.virials) / systems.volumes.view(-1, 1, 1)
            means.append(tensor.diagonal(dim1=1, dim2=2) * EV_PER_A3_IN_GPA)
    of_systems = torch.stack(means).mean(0)  # (32, 3)
    free = {"iso": [0, 1, 2], "z": [2], "xy": [0, 1], "flexible": [0, 1, 2]}[name]
    held = of_systems[:, free].mean(1)
    error = float(held.std() / np.sqrt(len(held)))
    assert float(held.mean()) == pytest.approx(0.05, abs=4.0 * error)
    assert error < 0.003
    for axis in set(range(3)) - set(free):
        assert torch.equal(systems.cell[:, axis], first[:, axis])
    if name == "xy":
        lengths = systems.cell.norm(dim=2)
        assert torch.allclose(lengths[:, 0], lengths[:, 1], rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["iso", "cell_rescaling"])
def test_volumes_fluctuate_as_they_should(argon, name):
    """Two pressures: the ratio of the distributions of the volume is exp(-beta dP V)."""
    data = []
    for pressure in (0.05, 0.09):
        stage = planned(name, 8.0, tdamp_fs=300.0, pdamp_fs=1000.0, pressure_GPa=pressure)
        data.append(samples_of(argon, stage, **sampled(argon, stage, num_steps=5000, between=200)))
    assert_ensembles(data)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["chain", "rescaling"])
def test_potential_energies_fluctuate_as_they_should(argon, name):
    """Two temperatures: the ratio of the distributions of the energy is exp(-d(beta) U)."""
    data = []
    for temperature_K in (40.0, 43.0):
        stage = planned(name, 8.0, temperature_K=temperature_K, tdamp_fs=300.0)
        data.append(samples_of(argon, stage, **sampled(argon, stage, num_steps=3000, between=100)))
    assert_ensembles(data)


def sampled(argon, stage, num_steps, between):
    """Energies and volumes of 32 systems, some picoseconds apart."""
    integrator, samples = begin(argon, [stage] * 32), []
    for step in range(num_steps):
        integrator.step()
        if step >= 1000 and step % between == 0:
            systems = integrator.systems
            samples.append(torch.stack([systems.energies, 0.5 * systems.twice_kinetic(), systems.volumes]))
    potential, kinetic, volume = torch.cat(samples, dim=1).numpy()
    return {
        "potential_energy": potential,
        "kinetic_energy": kinetic,
        "total_energy": potential + kinetic,
        "volume": volume,
    }


def assert_ensembles(data):
    deviations = ensemble.check(*data, data_is_uncorrelated=True, bootstrap_seed=1, verbosity=0)
    assert np.max(np.abs(deviations)) < 3.5  # standard deviations


@pytest.mark.slow
def test_energy_does_not_drift_in_1e5_steps(argon):
    integrator = begin(argon, [planned("nve", 4.0, temperature_K=60.0)] * 4)
    times, energies = [], []
    for step in range(100_000):
        integrator.step()
        if step % 50 == 0:
            times.append(4e-3 * step)
            energies.append(integrator.conserved())
    per_atom = torch.stack(energies).numpy() / len(argon)
    drifts = [stats.linregress(times, each).slope for each in per_atom.T]
    assert np.abs(drifts).max() < 1e-6  # eV/atom/ps
    assert abs(np.mean(drifts)) < 4.0 * np.std(drifts, ddof=1) / np.sqrt(len(drifts))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["chain", "rescaling", "langevin", "flexible"])
def test_every_direction_and_species_has_its_share_of_the_heat(argon, name):
    """Equipartition in a mixture of light and heavy atoms."""
    mixture = argon.copy()
    mixture.set_masses(np.where(np.arange(len(argon)) % 2, 40.0, 7.0))
    integrator = begin(mixture, [planned(name, 4.0, temperature_K=60.0, tdamp_fs=200.0)] * 16)
    systems, samples = integrator.systems, []
    for step in range(5000):
        integrator.step()
        if step >= 1500 and step % 10 == 0:
            samples.append((systems.masses * systems.velocities.square()).view(16, -1, 3))
    mean = torch.stack(samples).mean(0)  # (16, N, 3), m v^2 in eV
    for first in (0, 1):
        atoms = slice(first, None, 2)
        # without motion of the centre of mass an atom has the less the more of the mass it is
        lost = mixture.get_masses()[first] / mixture.get_masses().sum() if name != "langevin" else 0.0
        for axis in range(3):
            of_systems = mean[:, atoms, axis].mean(1) / (BOLTZMANN_EV_PER_K * 60.0)
            error = float(of_systems.std() / 4.0)
            assert float(of_systems.mean()) == pytest.approx(1.0 - lost, abs=max(4.0 * error, 0.01))
