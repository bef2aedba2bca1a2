"""The parts of fine-tuning: adapters, new species, refitted shifts, replay, what is trained."""

from dataclasses import asdict, replace
from importlib import resources

import numpy as np
import pytest
import torch
import yaml
from architectures import ALLEGRO, NEQUIP
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from scipy.spatial.transform import Rotation
from structures import SPECIES, random_structure
from torch.nn.utils import parametrize

from mlip.data.dataset import GraphDataset
from mlip.data.graph import build_graph
from mlip.data.statistics import compute_statistics
from mlip.deploy import Potential
from mlip.errors import ConfigError
from mlip.models.allegro import AllegroConfig
from mlip.models.nequip import NequIPConfig
from mlip.models.normalization import Normalization
from mlip.nn.linear import EquivariantLinear, SelfConnection
from mlip.nn.mlp import ScalarMLP
from train.adapters import add_adapters, merge_adapters
from train.data import TrainingData
from train.finetune import FinetuneConfig, choose_trained, start_from
from train.new_species import insert, with_species
from train.replay import ReplayedFrames, ReplaySampler, replay_loader
from train.shifts import refit_shifts

CONFIGS = {
    "nequip": NequIPConfig(**NEQUIP["per species"]),
    "nequip parity": NequIPConfig(**NEQUIP["parity"]),
    "nequip deep readout": NequIPConfig(**NEQUIP["deep readout"]),
    "nequip cutoffs": NequIPConfig(**NEQUIP["cutoffs per pair"]),
    "nequip zbl": NequIPConfig(**NEQUIP["repulsion"]),
    "allegro": AllegroConfig(**ALLEGRO["per species"]),
    "allegro spline": AllegroConfig(**ALLEGRO["spline with cutoffs per pair"]),
    "allegro spline zbl": AllegroConfig(**ALLEGRO["spline with repulsion"]),
}
PAIR_CUTOFFS = ((2.4, 2.2, 2.0), (2.2, 2.5, 2.0), (2.0, 2.0, 2.6))
CPU = torch.device("cpu")


def random_potential(config, dtype="float64", neighbors=(12.0, 13.0, 14.0)):
    torch.manual_seed(0)
    potential = Potential(
        config=config,
        species=SPECIES,
        dtype=dtype,
        normalization=Normalization(
            neighbors, (1.0, 2.0, 1.5), (-1.0, 2.0, -3.0), config.edge_cutoffs(SPECIES)
        ),
        weights={},
        reference_structure=random_structure("triclinic"),
        trained_on_stress=True,
        pair_cutoffs=PAIR_CUTOFFS if config.pair_potential else None,
    )
    return replace(potential, weights=potential.untrained_force_field().state_dict())


def predict(potential, atoms, force_field=None):
    cutoffs = potential.normalization.edge_cutoffs
    graph = build_graph(atoms, potential.config.r_max, potential.species, cutoffs)
    return (force_field or potential.force_field())(*graph.inputs)


def labelled(atoms, energy, forces=None):
    frame = atoms.copy()
    forces = np.zeros((len(frame), 3)) if forces is None else forces
    frame.calc = SinglePointCalculator(frame, energy=energy, forces=forces)
    return frame


def dataset_of(potential, frames, species=None):
    species = species or potential.species
    return GraphDataset(frames, potential.config.r_max, species, potential.config.edge_cutoffs(species))


def with_new_elements(seed):
    """Li, P, S with some atoms replaced by O (between them) and H, I (before and after all)."""
    atoms = random_structure("triclinic", seed)
    atoms.symbols[:3] = "HOI"
    return atoms


@pytest.mark.parametrize("name", CONFIGS)
def test_new_species_change_nothing_for_the_old_ones(name):
    old = random_potential(CONFIGS[name])
    species = ("H", "Li", "O", "P", "S", "I")
    frames = [labelled(with_new_elements(seed), 0.0, np.full((12, 3), 0.3)) for seed in range(3)]
    new = with_species(old, species, compute_statistics(dataset_of(old, frames, species)))
    assert new.species == species
    for kind in ("triclinic", "slab", "molecule", "small_cell"):
        before, after = (predict(each, random_structure(kind)) for each in (old, new))
        for quantity in ("atomic_energies", "forces", "virial"):
            a, b = getattr(before, quantity), getattr(after, quantity)
            assert float((a - b).abs().max()) <= 1e-12 * max(1.0, float(a.abs().max())), quantity
    strange = predict(new, with_new_elements(0))
    assert torch.isfinite(strange.forces).all()
    assert not torch.allclose(strange.forces, predict(old, random_structure("triclinic", 0)).forces)


def test_numbers_of_new_species_come_from_the_data_and_old_ones_stay():
    old = random_potential(CONFIGS["nequip zbl"])
    species = ("H", "Li", "P", "S")
    atoms = random_structure("triclinic")
    atoms.symbols[:4] = "H"
    statistics = compute_statistics(dataset_of(old, [labelled(atoms, 0.0, np.full((12, 3), 0.3))], species))
    new = with_species(old, species, statistics).normalization
    assert new.avg_num_neighbors == (statistics.num_neighbors_by_species["H"], 12.0, 13.0, 14.0)
    assert new.energy_scales == pytest.approx((0.3, 1.0, 2.0, 1.5))
    cutoffs = np.array(with_species(old, species, statistics).pair_cutoffs)
    np.testing.assert_array_equal(cutoffs[1:, 1:], PAIR_CUTOFFS)
    assert cutoffs[0, 1] == pytest.approx(statistics.shortest_distances["H-Li"], abs=2e-3)
    same = replace(old, normalization=replace(old.normalization, avg_num_neighbors=(9.0, 9.0, 9.0)))
    assert with_species(same, species, statistics).normalization.avg_num_neighbors == (9.0,) * 4


def test_rows_and_pairs_go_to_the_places_of_their_species():
    """Three species become five: each row and each pair is found where its species now are."""
    places = [1, 2, 4]
    old, fresh = torch.randn(3, 2), torch.randn(5, 2)
    rows = insert(old, fresh, places, 5)
    old_pairs, fresh_pairs = torch.randn(9, 4, 2), torch.randn(25, 4, 2)
    pairs = insert(old_pairs, fresh_pairs, places, 5)
    for new in range(5):
        expected = old[places.index(new)] if new in places else fresh[new]
        assert torch.equal(rows[new], expected)
        for other in range(5):
            both = new in places and other in places
            where = 3 * places.index(new) + places.index(other) if both else None
            expected = fresh_pairs[5 * new + other] if where is None else old_pairs[where]
            assert torch.equal(pairs[5 * new + other], expected)


def adapted(potential, rank, seed=1):
    """A force field with adapters that were moved away from zero."""
    force_field = potential.untrained_force_field()
    force_field.load_state_dict(dict(potential.weights))
    add_adapters(force_field.model, rank)
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in force_field.parameters():
            if parameter.requires_grad:
                parameter += 0.1 * torch.randn_like(parameter)
    return force_field


def weights_in(force_field):
    """The weights that the layers compute with, adapters included."""
    for module in force_field.modules():
        if isinstance(module, ScalarMLP):
            yield from module.weights
        elif isinstance(module, EquivariantLinear | SelfConnection):
            yield module.weight


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", ["nequip parity", "nequip deep readout", "allegro"])
def test_adapters_change_nothing_at_first_and_merge_into_ordinary_weights(name, dtype):
    potential = random_potential(CONFIGS[name], dtype)
    atoms = random_structure("triclinic")
    before = predict(potential, atoms)
    plain, fresh = potential.force_field(), potential.untrained_force_field()
    fresh.load_state_dict(dict(potential.weights))
    add_adapters(fresh.model, 2)
    assert all(torch.equal(a, b) for a, b in zip(weights_in(fresh), weights_in(plain), strict=True))
    tolerance = 1e-13 if dtype == "float64" else 1e-5
    scale = float(before.forces.abs().max())
    assert (
        float((predict(potential, atoms, fresh.eval()).forces - before.forces).abs().max())
        <= tolerance * scale
    )
    changed = adapted(potential, 2).eval()
    with_adapters = predict(potential, atoms, changed)
    assert not torch.allclose(with_adapters.forces, before.forces, rtol=1e-2)
    merge_adapters(changed)
    assert not any(parametrize.is_parametrized(module) for module in changed.modules())
    merged = replace(potential, weights=changed.state_dict())
    assert merged.weights.keys() == potential.weights.keys()
    after = predict(merged, atoms)
    scale = float(with_adapters.forces.abs().max())
    assert float((after.forces - with_adapters.forces).abs().max()) <= tolerance * scale
    assert float((after.energy - with_adapters.energy).abs().max()) <= tolerance * scale * len(atoms)


@pytest.mark.parametrize("name", ["nequip parity", "allegro"])
def test_adapted_models_are_equivariant(name):
    potential = random_potential(CONFIGS[name])
    force_field = adapted(potential, 2).eval()
    atoms = random_structure("triclinic")
    turned = atoms.copy()
    rotation = Rotation.random(random_state=3).as_matrix()
    turned.set_cell(atoms.cell.array @ rotation.T)
    turned.positions = atoms.positions @ rotation.T
    a, b = predict(potential, atoms, force_field), predict(potential, turned, force_field)
    torch.testing.assert_close(b.atomic_energies, a.atomic_energies, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(b.forces, a.forces @ torch.from_numpy(rotation).T, rtol=1e-10, atol=1e-10)


def test_the_change_of_each_irrep_has_the_rank_asked_for():
    config = NequIPConfig(r_max=4.0, num_layers=2, l_max=1, parity=False, num_features=[12, 8])
    potential = random_potential(config)
    model = adapted(potential, 2).model
    for linear, attributes in (
        (model.layers[0].linear_after, 1),
        (model.layers[1].linear_before, 1),
        (model.layers[1].self_connection, 12),
    ):
        change = (linear.weight - linear.parametrizations.weight.original).detach()
        for _, n_in, n_out, _, start in linear.blocks:
            block = change[start : start + n_in * attributes * n_out].view(n_in * attributes, n_out)
            assert torch.linalg.matrix_rank(block, rtol=1e-9) == 2
    readout = model.readout.weights
    assert readout.parametrizations["0"][0].right[0].shape == (12, 1)  # smaller than two factors: as a whole


def test_adapters_train_little():
    potential = random_potential(NequIPConfig(r_max=4.0, num_features=32, l_max=2))
    force_field = potential.untrained_force_field()
    total = sum(p.numel() for p in force_field.parameters())
    choose_trained(force_field.model, potential, potential, FinetuneConfig(lora_rank=2))
    assert sum(p.numel() for p in force_field.parameters() if p.requires_grad) < 0.15 * total


def test_the_section_of_train_says_what_its_dataclass_says():
    text = resources.files("mlip.conf").joinpath("train.yaml").read_text()
    assert yaml.safe_load(text)["finetune"] == asdict(FinetuneConfig())


def test_frozen_parameters_take_no_gradient_and_others_do():
    potential = random_potential(CONFIGS["nequip"])
    model = potential.untrained_force_field().model
    choose_trained(model, potential, potential, FinetuneConfig(freeze=["species_embedding", "layers.0.*"]))
    for name, parameter in model.named_parameters():
        frozen = name == "species_embedding" or name.startswith("layers.0.") or "frequencies" in name
        assert parameter.requires_grad != frozen, name


def test_adapters_leave_frozen_matrices_alone_and_new_species_are_trained():
    potential = random_potential(CONFIGS["nequip"])
    atoms = with_new_elements(0)
    species = ("H", "Li", "O", "P", "S", "I")
    data = dataset_of(potential, [labelled(atoms, 0.0, np.ones((12, 3)))], species)
    larger = with_species(potential, species, compute_statistics(data))
    model = larger.untrained_force_field().model
    choose_trained(model, potential, larger, FinetuneConfig(lora_rank=1, freeze=["layers.0.radial_mlp.*"]))
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert "species_embedding" in trained
    assert not any(name.startswith("layers.0.radial_mlp") for name in trained)
    assert all("parametrizations" in name for name in trained - {"species_embedding"})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"freeze": ["layer.0"]}, "species_embedding, .*layers.0.linear_before.weight"),
        ({"freeze": ["*"]}, "nothing to train"),
        ({"freeze": ["*"], "lora_rank": 2}, "nothing to train"),
    ],
)
def test_what_cannot_be_trained_is_one_line(settings, message):
    potential = random_potential(CONFIGS["nequip"])
    model = potential.untrained_force_field().model
    with pytest.raises(ConfigError, match=message):
        choose_trained(model, potential, potential, FinetuneConfig(**settings))


def test_random_rows_of_new_species_may_not_be_frozen():
    potential = random_potential(CONFIGS["allegro spline"])
    species = ("H", *SPECIES)
    frames = [
        labelled(Atoms("HLiPS", positions=np.diag([0, 2.0, 2.5, 3.0])[:, :3] + 0.1), 0.0, np.ones((4, 3)))
    ]
    larger = with_species(potential, species, compute_statistics(dataset_of(potential, frames, species)))
    model = larger.untrained_force_field().model
    with pytest.raises(ConfigError, match=r"edge_embedding\.weight in finetune\.freeze .* new species"):
        choose_trained(model, potential, larger, FinetuneConfig(freeze=["edge_embedding.*"]))


def relabelled(potential, frames, changes):
    """Frames labelled with the potential's own energies, moved per species."""
    force_field = potential.force_field()
    for atoms in frames:
        moved = sum(changes.get(symbol, 0.0) for symbol in atoms.get_chemical_symbols())
        yield labelled(atoms, float(predict(potential, atoms, force_field).energy) + moved)


def refitted(potential, frames, free=(True, True, True)):
    new = refit_shifts(potential, dataset_of(potential, frames), np.array(free), 2, CPU)
    old = np.array(potential.normalization.energy_shifts)
    assert new.weights["model.scale_shift.shifts"].tolist() == list(new.normalization.energy_shifts)
    return np.array(new.normalization.energy_shifts) - old


def test_shifts_move_by_what_the_new_level_of_theory_does():
    potential = random_potential(CONFIGS["nequip"])
    frames = [random_structure(kind, seed) for kind in ("triclinic", "slab") for seed in range(6)]
    changes = {"Li": -190.0, "P": 3.5, "S": 0.25}
    found = refitted(potential, relabelled(potential, frames, changes))
    np.testing.assert_allclose(found, [-190.0, 3.5, 0.25], rtol=0, atol=1e-7)


def test_one_composition_moves_all_shifts_alike_and_the_energy_fits(caplog):
    potential = random_potential(CONFIGS["nequip"])
    frames = []
    for seed in range(3):
        atoms = random_structure("triclinic", seed)
        atoms.symbols = "Li6P2S4"
        frames.append(atoms)
    found = refitted(potential, relabelled(potential, frames, {"Li": 1.0, "P": -2.0, "S": 4.0}))
    np.testing.assert_allclose(found, (6 * 1.0 - 2 * 2.0 + 4 * 4.0) / 12, atol=1e-9)
    assert "1 of the 3" in caplog.text


def test_lone_atoms_go_before_least_squares_and_absent_species_stay():
    potential = random_potential(CONFIGS["nequip"])
    bulk = Atoms("Li8S4", positions=random_structure("triclinic").positions, cell=[7, 7, 7], pbc=True)
    frames = list(relabelled(potential, [bulk], {"Li": 1.0, "S": 1.0}))
    lone = labelled(Atoms("Li"), -1.0 + 0.4)  # its shift is -1
    found = refitted(potential, [*frames, lone])
    np.testing.assert_allclose(found, [0.4, 0.0, (8 * 1.0 + 4 * 1.0 - 8 * 0.4) / 4], atol=1e-9)


def test_only_free_species_move():
    potential = random_potential(CONFIGS["nequip"])
    frames = [random_structure("triclinic", seed) for seed in range(5)]
    changes = {"Li": 1.0, "P": 3.5, "S": 2.0}
    found = refitted(potential, relabelled(potential, frames, changes), free=(False, True, False))
    assert found[0] == found[2] == 0.0
    assert found[1] > 3.5  # for the others


@pytest.mark.parametrize(("share", "replayed"), [(0.5, 10), (0.25, 3), (0.9, 90), (0.01, 1)])
def test_each_epoch_has_all_new_frames_and_the_share_of_old_ones(share, replayed):
    sampler = ReplaySampler(10, 7, share, seed=4)
    seen = []
    for epoch in range(14):
        sampler.set_epoch(epoch)
        order = list(sampler)
        assert len(order) == len(sampler) == 10 + replayed
        assert sorted(index for index in order if index < 10) == list(range(10))
        old = [index for index in order if index >= 10]
        assert max(old) < 17
        assert order == list(sampler)  # of seed and epoch alone: a resumed run repeats it
        seen += old
    counts = np.bincount(seen, minlength=17)[10:]
    assert counts.max() - counts.min() <= 1  # none a second time before all have come once
    sampler.set_epoch(0)
    assert list(sampler) != order


def test_replayed_energies_move_with_the_shifts_and_forces_stay():
    potential = random_potential(CONFIGS["nequip"])
    frames = [labelled(random_structure("triclinic", seed), 5.0, np.ones((12, 3))) for seed in range(3)]
    old = dataset_of(potential, frames)
    replayed = ReplayedFrames(old, (1.0, 20.0, 300.0), 0.5)
    for graph, frame in zip([replayed[i] for i in range(3)], frames, strict=True):
        symbols = frame.get_chemical_symbols()
        moved = symbols.count("Li") + 20 * symbols.count("P") + 300 * symbols.count("S")
        assert float(graph.energy) == pytest.approx(5.0 + moved)
        assert torch.equal(graph.forces, torch.ones(12, 3, dtype=torch.float64))
    batch = next(iter(replay_loader(old, replayed, batch_size=6, seed=0)))
    assert batch.num_structures == 6
    assert int((batch.energy == 5.0).sum()) == 3


def test_the_architecture_says_the_numbers_that_hold_now():
    """What was given per species names all species, and the shifts after the refit."""
    potential = random_potential(CONFIGS["nequip"])
    species = ("Li", "O", "P", "S")
    frames = [with_oxygen(seed) for seed in range(5)]
    data = dataset_of(potential, frames, species)
    data = TrainingData(data, data, data, compute_statistics(data))
    start, _ = start_from(potential, FinetuneConfig(), data, 2, CPU)
    shifts = dict(zip(species, start.normalization.energy_shifts, strict=True))
    assert start.config.per_type_energy_shifts == shifts
    assert abs(shifts["O"] - shifts["Li"]) > 10.0
    assert list(start.config.avg_num_neighbors) == list(species)
    graph = data.train[0]
    assert float(start.force_field()(*graph.inputs).energy) == pytest.approx(float(graph.energy), rel=0.05)
    assert start.errors["energy"]["mae"] < 5.0


def with_oxygen(seed):
    atoms = random_structure("triclinic", seed)
    atoms.symbols[: seed + 1] = "O"
    return labelled(atoms, -400.0 * (seed + 1), np.ones((12, 3)))
