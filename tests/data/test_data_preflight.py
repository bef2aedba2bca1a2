import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from mlip.data.labels import KeysRead, Labels
from mlip.data.preflight import run_preflight
from mlip.data.read import read_frames
from mlip.errors import DataError


@pytest.fixture
def frames():
    return read_frames("dataset:lips/small_20.extxyz")


@pytest.fixture(scope="module")
def metal():
    return read_frames("dataset:li_metal/train.extxyz.xz")


def without(atoms, *names):
    results = {key: value for key, value in atoms.calc.results.items() if key not in names}
    atoms.calc = SinglePointCalculator(atoms, **results)


def relabelled(atoms, keys):
    copy = atoms.copy()
    copy.positions[0] += 0.3
    copy.calc = Labels(copy, keys, **atoms.calc.results)
    return copy


def nan_forces(frames):
    frames[3].calc.results["forces"][5, 1] = np.nan


def infinite_energy(frames):
    frames[3].calc.results.update(energy=np.inf, free_energy=np.inf)


def nan_stress(frames):
    frames[3].calc.results["stress"] = np.full(6, np.nan)


def nan_position(frames):
    frames[3].positions[2, 0] = np.nan


def zero_cell(frames):
    frames[3].cell = np.zeros((3, 3))


def flat_cell(frames):
    frames[3].cell[2] = frames[3].cell[0] + frames[3].cell[1]


def no_forces(frames):
    without(frames[3], "forces")


def no_energy(frames):
    without(frames[3], "energy", "free_energy")


def overlap(frames):
    frames[3].positions[1] = frames[3].positions[0] + [0.3, 0.0, 0.0]


def mixed_energies(frames):
    frames[3] = relabelled(frames[3], KeysRead("free_energy", "forces", None))


def mixed_levels(frames):
    for number, frame in enumerate(frames):
        frame.info["functional"] = "PBE" if number else "PBEsol"


def two_energies_of_one_structure(frames):
    twin = frames[0].copy()
    twin.calc = SinglePointCalculator(
        twin, energy=frames[0].get_potential_energy() + 1.0, forces=frames[0].get_forces()
    )
    frames.append(twin)


def two_levels_of_energy(frames):
    frames[3].calc.results["energy"] -= 10_000.0
    frames[3].calc.results["free_energy"] -= 10_000.0


def dummy_atom(frames):
    frames[3].numbers[0] = 0


def nothing(frames):
    frames.clear()


STOPS = {
    nan_forces: "NaN or infinite in 1 frame (3)",
    infinite_energy: "NaN or infinite in 1 frame (3)",
    nan_stress: "NaN or infinite in 1 frame (3)",
    nan_position: "Positions or cell are NaN",
    zero_cell: "zero or flat cell: 1 frame (3)",
    flat_cell: "zero or flat cell: 1 frame (3)",
    no_forces: "No forces in 1 frame (3)",
    no_energy: "No energy in 1 frame (3)",
    overlap: "closer than 0.5 A in 1 frame (3)",
    mixed_energies: "'energy' (19 frames) and 'free_energy' (1 frames)",
    mixed_levels: "functional",
    two_energies_of_one_structure: "Frames 0 and 20 are the same structure",
    two_levels_of_energy: "two levels",
    dummy_atom: "no element",
    nothing: "no frames",
}


@pytest.mark.parametrize("spoil", STOPS, ids=lambda function: function.__name__)
def test_stops_on_what_would_train_garbage(spoil, frames):
    run_preflight(frames).raise_on_errors()
    spoil(frames)
    preflight = run_preflight(frames)
    assert any(STOPS[spoil] in error for error in preflight.errors), preflight.errors
    assert "ERROR" in str(preflight)
    assert "stop" in str(preflight)
    with pytest.raises(DataError) as error:
        preflight.raise_on_errors()
    assert "\n" not in str(error.value)
    assert "expected" in str(error.value) or "leave" in str(error.value) or "name" in str(error.value)


def test_the_stress_of_lithium_has_the_right_sign(metal):
    preflight = run_preflight(metal)
    assert preflight.errors == ()
    assert "Li AIMD-NVT 15" in str(preflight)


def test_a_flipped_stress_stops(metal):
    flipped = [atoms.copy() for atoms in metal]
    for copy, atoms in zip(flipped, metal, strict=True):
        copy.calc = SinglePointCalculator(
            copy, **{**atoms.calc.results, "stress": -atoms.calc.results["stress"]}
        )
    with pytest.raises(DataError, match=r"flipped: pressure rises with volume in Li AIMD-NVT, Li Elastic"):
        run_preflight(flipped).raise_on_errors()


def test_warnings_do_not_stop(frames):
    frames[2].calc.results["forces"][0, 0] = 300.0
    frames.append(frames[0])
    preflight = run_preflight(frames)
    preflight.raise_on_errors()
    assert any("Forces above" in text and "1 frame (2)" in text for text in preflight.warnings)
    assert any("1 pairs of frames are the same" in text for text in preflight.warnings)
    assert "look  forces" in str(preflight)


def test_stress_on_some_frames_is_a_warning(metal):
    some = [atoms.copy() for atoms in metal]
    for number, (copy, atoms) in enumerate(zip(some, metal, strict=True)):
        left_out = {"stress"} if number < 5 else set()
        results = {key: value for key, value in atoms.calc.results.items() if key not in left_out}
        copy.calc = SinglePointCalculator(copy, **results)
    assert any("Stress on 236 of 241" in text for text in run_preflight(some).warnings)


def test_molecules_with_isolated_atoms_pass():
    files = ["dataset:acac/train_300K.extxyz.xz", "dataset:acac/isolated_atoms.extxyz"]
    preflight = run_preflight(read_frames(files))
    assert preflight.errors == preflight.warnings == ()


def test_the_table_says_what_there_is(frames):
    table = str(run_preflight(frames))
    for text in (
        "20 of 83 atoms",
        "Li27P12S44 20",
        "TTT 20",
        "Li-S 2.",
        "energy from 'energy'",
        "20.19 A^3/atom",
    ):
        assert text in table
    assert max(map(len, table.splitlines())) <= 110


def test_hand_made_frames_pass():
    atoms = Atoms("Li2", positions=[[0, 0, 0], [0, 0, 2.7]])
    atoms.calc = SinglePointCalculator(atoms, energy=-3.0, forces=np.zeros((2, 3)))
    assert run_preflight([atoms]).errors == ()
