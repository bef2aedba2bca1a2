import json

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator

from mlip.data.dataset import GraphDataset, data_hash, species_of
from mlip.data.graph import collate
from mlip.data.isolated import find_isolated_energies
from mlip.data.read import read_frames
from mlip.data.statistics import Statistics, compute_statistics
from mlip.errors import DataError

ENERGIES = {"Li": -2.0, "P": -5.5, "S": -4.25}


def labelled(atoms, energy, scale=1.0, seed=0):
    atoms.calc = SinglePointCalculator(
        atoms, energy=energy, forces=scale * np.random.default_rng(seed).normal(size=(len(atoms), 3))
    )
    return atoms


def synthetic(formulas):
    """Frames whose energies are sums over their atoms, exactly."""
    frames = []
    for number, formula in enumerate(formulas):
        atoms = Atoms(formula)
        atoms.positions = np.random.default_rng(number).uniform(0, 4, size=(len(atoms), 3))
        frames.append(labelled(atoms, sum(ENERGIES[symbol] for symbol in atoms.get_chemical_symbols())))
    return frames


def test_linear_energies_are_recovered():
    statistics = compute_statistics(GraphDataset(synthetic(["Li3P", "Li2S", "P2S5", "Li4P2S6"]), 5.0))
    assert statistics.species == ("Li", "P", "S")
    np.testing.assert_allclose(statistics.isolated_energies, list(ENERGIES.values()), atol=1e-9)
    assert statistics.isolated_energies_from == "least squares"
    assert statistics.energy_residual_rms == pytest.approx(0.0, abs=1e-9)


def test_lone_atoms_win_over_least_squares():
    frames = synthetic(["Li3P", "Li2S", "P2S5", "Li", "P", "S"])
    for frame in frames[:3]:
        frame.calc.results["energy"] -= 3.0 * len(frame)
    statistics = compute_statistics(GraphDataset(frames, 5.0))
    np.testing.assert_allclose(statistics.isolated_energies, list(ENERGIES.values()))
    assert statistics.isolated_energies_from == "frames"
    assert statistics.energy_residual_rms == pytest.approx(0.0, abs=1e-9)


def test_some_lone_atoms_leave_the_rest_to_least_squares():
    statistics = compute_statistics(GraphDataset(synthetic(["Li3P", "Li2S", "Li"]), 5.0))
    np.testing.assert_allclose(statistics.isolated_energies, list(ENERGIES.values()), atol=1e-9)


def test_one_composition_gives_equal_energies_and_a_warning(caplog):
    found = find_isolated_energies([[27, 12, 44]] * 2, [-357.0, -357.2], [False] * 2, ("Li", "P", "S"))
    np.testing.assert_allclose(found.energies, [-357.1 / 83] * 3)
    assert found.source == "minimum-norm least squares"
    assert "determine 1 of the 3" in caplog.text


def test_underdetermined_compositions_still_fit():
    counts = np.array([[4, 0, 2], [2, 0, 1], [3, 1, 0]])
    energies = counts @ np.array([-2.0, -5.5, -4.25])
    found = find_isolated_energies(counts, energies, [False] * 3, ("Li", "P", "S"))
    np.testing.assert_allclose(counts @ found.energies, energies)


def test_neighbors_forces_and_distances():
    crystal = labelled(bulk("Li", "bcc", a=3.5), -1.9)
    crystal.calc.results["forces"][:] = [[3.0, 0.0, 0.0]]
    statistics = compute_statistics(GraphDataset([crystal, *synthetic(["Li"])], 3.6))
    assert statistics.avg_num_neighbors == 14.0
    assert statistics.forces_rms == pytest.approx(np.sqrt(3.0))
    assert statistics.shortest_distances == {"Li-Li": pytest.approx(3.5 * np.sqrt(3) / 2)}


def test_real_data():
    frames = read_frames("dataset:lips/small_20.extxyz")
    statistics = compute_statistics(GraphDataset(frames, 4.5))
    every = np.concatenate([frame.get_forces() for frame in frames])
    assert statistics.forces_rms == pytest.approx(np.sqrt(np.mean(every**2)))
    assert statistics.avg_num_neighbors == pytest.approx(18.5, abs=0.2)
    assert statistics.num_frames == 20


def test_json_round_trip():
    statistics = compute_statistics(GraphDataset(synthetic(["Li3P", "Li2S", "P2S5"]), 5.0))
    assert Statistics.from_dict(json.loads(json.dumps(statistics.to_dict()))) == statistics
    with pytest.raises(DataError, match="forces_rms"):
        Statistics.from_dict(
            {key: value for key, value in statistics.to_dict().items() if key != "forces_rms"}
        )


def test_cache_is_used_and_keyed_by_data_and_cutoff(tmp_path, monkeypatch):
    frames = synthetic(["Li3P", "Li2S", "P2S5"])
    first = compute_statistics(GraphDataset(frames, 5.0), tmp_path)
    (file,) = tmp_path.iterdir()
    marked = first.to_dict() | {"forces_rms": 123.0}
    file.write_text(json.dumps(marked))
    assert compute_statistics(GraphDataset(frames, 5.0), tmp_path).forces_rms == 123.0
    assert compute_statistics(GraphDataset(frames, 4.0), tmp_path).forces_rms == first.forces_rms
    frames[0].calc.results["forces"][0, 0] += 1e-9
    assert compute_statistics(GraphDataset(frames, 5.0), tmp_path).forces_rms == pytest.approx(
        first.forces_rms
    )
    assert len(list(tmp_path.iterdir())) == 3


def test_no_neighbors_is_an_error():
    with pytest.raises(DataError, match="neighbor"):
        compute_statistics(GraphDataset(synthetic(["Li", "S"]), 5.0))


def test_hash_sees_structures_labels_and_order():
    frames = synthetic(["Li3P", "Li2S"])
    hashes = {data_hash(frames), data_hash(frames[::-1])}
    for change in ("positions", "energy", "pbc"):
        changed = synthetic(["Li3P", "Li2S"])
        if change == "positions":
            changed[1].positions[0, 0] += 1e-12
        elif change == "energy":
            changed[1].calc.results["energy"] += 1e-12
        else:
            changed[1].pbc = [True, False, False]
        hashes.add(data_hash(changed))
    assert len(hashes) == 5
    assert data_hash(synthetic(["Li3P", "Li2S"])) == data_hash(frames)


def test_dataset_gives_the_graphs_of_its_frames():
    frames = synthetic(["S2Li", "Li3P"])
    dataset = GraphDataset(frames, 5.0)
    assert dataset.species == species_of(frames) == ("Li", "P", "S")
    assert len(dataset) == 2
    assert dataset[0] is dataset[0]
    batch = collate([dataset[0], dataset[1]])
    assert batch.energy.tolist() == [frame.calc.results["energy"] for frame in frames]
    assert batch.species.tolist() == [2, 2, 0, 0, 0, 0, 1]
