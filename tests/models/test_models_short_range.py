"""Pair potentials on real data: nothing changes where there are data; beyond, hot atoms stay apart."""

from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest
import torch
from ase import units
from ase.md.langevin import Langevin
from ase.neighborlist import neighbor_list
from ase.optimize import FIRE

from mlip.data.dataset import GraphDataset
from mlip.data.graph import build_graph
from mlip.data.read import read_frames
from mlip.data.statistics import compute_statistics
from mlip.deploy import MLIPCalculator, Potential
from mlip.errors import PotentialError
from mlip.models.build import build_force_field
from mlip.models.nequip import NequIPConfig
from mlip.models.normalization import resolve_normalization
from mlip.nn.short_range import MARGIN, PAIR_POTENTIALS, cutoffs_below_data

CONFIG = NequIPConfig(r_max=4.0, num_layers=2, parity=False, num_features=8, radial_mlp_width=8)
DATA = {"lips": "dataset:lips/small_20.extxyz", "lipon": "dataset:lipon_xtb/lipon_gfn1.extxyz.xz"}
PREDICTIONS = ("energy", "atomic_energies", "forces", "virial")


def load(name, number=30):
    """Frames spread over a shipped data set, as graphs, and their statistics."""
    frames = read_frames(DATA[name])
    dataset = GraphDataset(frames[:: max(1, len(frames) // number)], CONFIG.r_max)
    return dataset, compute_statistics(dataset)


def build(kind, statistics, seed=0, dtype=torch.float64):
    """A force field with seeded random weights, with or without a pair potential."""
    torch.manual_seed(seed)
    config = replace(CONFIG, pair_potential=kind)
    normalization = resolve_normalization(config, statistics)
    edges = normalization.edge_cutoffs
    cutoffs = cutoffs_below_data(statistics.species, statistics.shortest_distances, edges) if kind else None
    return build_force_field(config, statistics.species, normalization, dtype, cutoffs)


def train(force_field, dataset, epochs):
    """Adam on energies per atom and forces, batches of one frame; returns the losses."""
    optimizer = torch.optim.Adam(force_field.train().parameters(), lr=0.02)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * len(dataset))
    order = torch.Generator().manual_seed(0)
    losses = []
    for _ in range(epochs):
        for index in torch.randperm(len(dataset), generator=order).tolist():
            graph = dataset[index]
            found = force_field(*graph.inputs)
            per_atom = (found.energy - graph.energy) / graph.num_atoms
            loss = per_atom.square().mean() + (found.forces - graph.forces).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
    return losses


@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize("kind", PAIR_POTENTIALS)
def test_predictions_on_the_training_frames_do_not_change(kind, name):
    """So labels, statistics and shifts are already what is left without the pair potential."""
    dataset, statistics = load(name)
    bare, guarded = build(None, statistics).eval(), build(kind, statistics).eval()
    for index in range(len(dataset)):
        graph = dataset[index]
        _, species, edge_index, *_ = graph.inputs
        vectors = graph.positions[edge_index[1]] - graph.positions[edge_index[0]]
        vectors = vectors + graph.edge_shift @ graph.cell[0]
        assert (guarded.pair_potential(vectors, species, edge_index) == 0.0).all()
        without, within = bare(*graph.inputs), guarded(*graph.inputs)
        for prediction in PREDICTIONS:
            found, expected = getattr(within, prediction), getattr(without, prediction)
            torch.testing.assert_close(found, expected, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("name", DATA)
def test_each_cutoff_lies_just_below_the_shortest_distance_of_its_pair(name):
    """The frame that holds the shortest pair feels the repulsion as soon as it is squeezed by 0.2 %."""
    dataset, statistics = load(name)
    cutoffs = build("repulsion", statistics).pair_potential.cutoffs
    species = statistics.species
    for pair, shortest in statistics.shortest_distances.items():
        a, b = (species.index(symbol) for symbol in pair.split("-"))
        assert 0.0 < shortest - cutoffs[a, b].item() <= MARGIN + 1e-12
    squeezed = []
    bare, guarded = build(None, statistics).eval(), build("repulsion", statistics).eval()
    for atoms in dataset.frames:
        atoms = atoms.copy()
        atoms.set_cell(0.998 * atoms.cell.array, scale_atoms=True)
        graph = build_graph(atoms, CONFIG.r_max, species)
        squeezed.append((guarded(*graph.inputs).energy - bare(*graph.inputs).energy).item())
    assert min(squeezed) >= 0.0
    assert max(squeezed) > 0.0


@pytest.mark.parametrize("kind", PAIR_POTENTIALS)
def test_training_gives_the_same_weights(kind):
    dataset, statistics = load("lips", number=4)
    bare, guarded = build(None, statistics), build(kind, statistics)
    assert train(bare, dataset, epochs=2) == pytest.approx(train(guarded, dataset, epochs=2), rel=1e-9)
    assert guarded.state_dict().keys() == bare.state_dict().keys()
    for name, weights in guarded.state_dict().items():
        torch.testing.assert_close(weights, bare.state_dict()[name], rtol=1e-8, atol=1e-10)


def test_a_pair_potential_needs_cutoffs_and_cutoffs_a_pair_potential():
    _, statistics = load("lips", number=4)
    normalization = resolve_normalization(CONFIG, statistics)
    for kind, cutoffs in (("zbl", None), (None, normalization.edge_cutoffs)):
        config = replace(CONFIG, pair_potential=kind)
        with pytest.raises(PotentialError, match="expected both or neither"):
            build_force_field(config, statistics.species, normalization, torch.float32, cutoffs)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Potentials with the same weights, without and with each pair potential; and their first frame."""
    folder = tmp_path_factory.mktemp("hot")
    dataset, statistics = load("lips")
    bare = build(None, statistics, dtype=torch.float32)
    losses = train(bare, dataset, epochs=10)
    assert losses[-1] < 0.5 * losses[0]
    for kind in (None, *PAIR_POTENTIALS):
        force_field = build(kind, statistics)
        config = replace(CONFIG, pair_potential=kind)
        Potential(
            config=config,
            species=statistics.species,
            dtype="float32",
            normalization=resolve_normalization(config, statistics),
            weights=bare.state_dict(),
            reference_structure=dataset.frames[0],
            trained_on_stress=False,
            pair_cutoffs=force_field.pair_potential.cutoffs.tolist() if kind else None,
        ).save(folder / f"{kind}.mlip")
    return folder, dataset.frames[0], statistics


def shortest_over_cutoffs(atoms, statistics):
    """Shortest distance of each pair over its shortest distance in the data."""
    shortest = defaultdict(lambda: np.inf)
    i, j, distances = neighbor_list("ijd", atoms, CONFIG.r_max)
    symbols = np.array(atoms.get_chemical_symbols())
    for pair, distance in zip(zip(symbols[i], symbols[j], strict=True), distances, strict=True):
        name = "-".join(sorted(pair))
        shortest[name] = min(shortest[name], distance / statistics.shortest_distances[name])
    return dict(shortest)


def random_packing(atoms, seed):
    """The same atoms in the same cell, anywhere but within 1 A of each other."""
    generator = np.random.default_rng(seed)
    packing = atoms[:0]
    for number in atoms.numbers:
        while True:
            trial = packing + type(atoms)([number], [generator.random(3) @ atoms.cell.array])
            if len(trial) == 1 or trial.get_distances(-1, range(len(trial) - 1), mic=True).min() > 1.0:
                packing = trial
                break
    return packing


def relax(atoms, potential):
    """Follow the forces until none is above 0.5 eV/A; returns whether that was reached."""
    atoms.calc = MLIPCalculator(potential, device="cpu")
    return FIRE(atoms, logfile=None, maxstep=0.1).run(fmax=0.5, steps=400)


@pytest.mark.slow
@pytest.mark.parametrize("kind", PAIR_POTENTIALS)
def test_a_melt_at_2000_K_survives(trained, kind):
    folder, frame, statistics = trained
    atoms = frame.copy()
    atoms.calc = MLIPCalculator(folder / f"{kind}.mlip", device="cpu")
    generator = np.random.default_rng(0)
    spread = np.sqrt(units.kB * 2000 * atoms.get_masses())
    atoms.set_momenta(spread[:, None] * generator.normal(size=(len(atoms), 3)))
    dynamics = Langevin(
        atoms, 1.0 * units.fs, temperature_K=2000, friction=0.01 / units.fs, fixcm=False, rng=generator
    )
    temperatures = []
    for _ in range(120):
        dynamics.run(5)
        temperatures.append(atoms.get_temperature())
        assert min(shortest_over_cutoffs(atoms, statistics).values()) > 0.5
    assert np.mean(temperatures[60:]) == pytest.approx(2000, rel=0.15)


@pytest.mark.slow
@pytest.mark.parametrize("kind", PAIR_POTENTIALS)
def test_a_random_packing_relaxes_without_collapse(trained, kind):
    folder, frame, statistics = trained
    packing = random_packing(frame, seed=0)
    assert min(shortest_over_cutoffs(packing, statistics).values()) < 0.5
    assert relax(packing, folder / f"{kind}.mlip")
    assert min(shortest_over_cutoffs(packing, statistics).values()) > 0.6


@pytest.mark.slow
def test_without_a_pair_potential_the_same_packing_collapses(trained):
    folder, frame, statistics = trained
    packing = random_packing(frame, seed=0)
    relax(packing, folder / "None.mlip")
    assert min(shortest_over_cutoffs(packing, statistics).values()) < 0.5
