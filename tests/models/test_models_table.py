"""radial=table in whole models: one set of numbers on every back end, near the exact ones; true forces."""

import copy
from types import SimpleNamespace

import pytest
import torch
from architectures import ALLEGRO, NEQUIP
from structures import SPECIES, predict, random_structure, shared_numbers

from mlip.errors import ConfigError
from mlip.models.allegro import AllegroConfig
from mlip.models.build import build_force_field
from mlip.models.nequip import NequIPConfig
from mlip.models.normalization import resolve_normalization
from mlip.nn.kernels.choose import use_kernel

FAST = ("one layer", "per species", "cutoffs per pair", "no radial perceptron")
OPTIONS = [pytest.param(name, marks=() if name in FAST else pytest.mark.slow) for name in NEQUIP]
KINDS = ("triclinic", "slab", "molecule", "small_cell", "atom")


def build(settings, dtype=torch.float64, architecture=NequIPConfig):
    torch.manual_seed(0)
    config = architecture(**settings)
    normalization = resolve_normalization(config, SimpleNamespace(species=SPECIES))
    cutoffs = normalization.edge_cutoffs if config.pair_potential else None
    return build_force_field(config, SPECIES, normalization, dtype, cutoffs).eval().requires_grad_(False)


def assert_near(found, expected, tolerance):
    for mine, other in zip(shared_numbers(found), shared_numbers(expected), strict=True):
        assert mine.dtype == other.dtype
        assert (mine - other).abs().max() <= tolerance * max(float(other.abs().max()), 0.1)


@pytest.mark.parametrize("name", OPTIONS)
def test_one_table_on_every_back_end_near_the_exact_numbers(name):
    exact = build(NEQUIP[name])
    reference = use_kernel(copy.deepcopy(exact), "reference", "table")
    compiled = use_kernel(copy.deepcopy(exact), "cpp", "table")
    for kind in KINDS:
        expected, defined, found = (
            predict(force_field, random_structure(kind)) for force_field in (exact, reference, compiled)
        )
        assert_near(found, defined, 1e-12)
        assert_near(defined, expected, 1e-5)


def test_float32():
    exact = build(NEQUIP["no parity"], torch.float32)
    compiled = use_kernel(copy.deepcopy(exact), "cpp", "table")
    for kind in KINDS:
        atoms = random_structure(kind)
        assert_near(predict(compiled, atoms), predict(exact, atoms), 1e-5)


@pytest.mark.parametrize("kernel", ["reference", "cpp"])
def test_forces_are_those_of_the_interpolated_energy(kernel):
    force_field = use_kernel(build(NEQUIP["cutoffs per pair"]), kernel, "table")
    atoms = random_structure("triclinic")
    forces = predict(force_field, atoms).forces
    step = 1e-5
    for atom, axis in ((0, 0), (4, 1), (9, 2)):
        energies = []
        for sign in (1.0, -1.0):
            moved = atoms.copy()
            moved.positions[atom, axis] += sign * step
            energies.append(predict(force_field, moved).energy)
        difference = float(energies[1] - energies[0]) / (2.0 * step)
        assert difference == pytest.approx(float(forces[atom, axis]), abs=1e-8)


def total_energies(force_field, steps=300, step=0.02):
    """Of a molecule that moves by velocity Verlet, its atoms of unit mass, in eV."""
    atoms = random_structure("molecule")
    torch.manual_seed(0)
    velocities = 0.3 * torch.randn(len(atoms), 3, dtype=torch.float64)
    prediction, energies = predict(force_field, atoms), []
    for _ in range(steps):
        velocities += 0.5 * step * prediction.forces
        atoms.positions += step * velocities.numpy()
        prediction = predict(force_field, atoms)
        velocities += 0.5 * step * prediction.forces
        energies.append(prediction.energy + 0.5 * velocities.square().sum())
    return torch.cat(energies)


def test_dynamics_conserves_the_energy_as_with_the_exact_model():
    exact = build(NEQUIP["one layer"])
    table = use_kernel(copy.deepcopy(exact), "cpp", "table")
    energies = total_energies(exact), total_energies(table)
    spread = float(energies[0].std())
    assert 0.0 < spread < 1e-3
    assert float(energies[1].std()) == pytest.approx(spread, rel=1e-2)
    assert (energies[0] - energies[1]).abs().max() < 0.1 * spread


@pytest.mark.parametrize("kernel", ["reference", "cpp"])
@pytest.mark.filterwarnings("ignore:.*torch.jit.* is deprecated:DeprecationWarning")
def test_torchscript_takes_it(kernel, tmp_path):
    force_field = use_kernel(build(NEQUIP["one layer"]), kernel, "table")
    torch.jit.save(torch.jit.script(force_field), tmp_path / "scripted.pt")
    scripted = torch.jit.load(tmp_path / "scripted.pt")
    atoms = random_structure("triclinic")
    assert_near(predict(scripted, atoms), predict(force_field, atoms), 1e-13)


def test_only_what_sees_lengths_alone_has_a_table():
    allegro = build(next(iter(ALLEGRO.values())), architecture=AllegroConfig)
    with pytest.raises(ConfigError, match="found radial=table for Allegro"):
        use_kernel(allegro, "reference", "table")
    with pytest.raises(ConfigError, match="expected exact or table"):
        use_kernel(build(NEQUIP["one layer"]), "reference", "spline")
