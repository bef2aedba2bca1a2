import gzip
import logging
import lzma
import re
from pathlib import Path

import ase.db
import numpy as np
import pytest
from ase.build import bulk, molecule
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms
from ase.io import write

from mlip.data.labels import frame_labels
from mlip.data.read import keys_read, read_frames
from mlip.errors import DataError

VASP = Path(ase.__file__).parent / "test" / "testdata" / "vasp"
ENERGY, FREE_ENERGY = -3.0, -3.25
STRESS = np.array([0.01, 0.02, 0.03, 0.004, 0.005, 0.006])


@pytest.fixture
def frame():
    atoms = bulk("Li", "bcc", a=3.4, cubic=True)
    atoms.info["config_type"] = "bulk"
    atoms.calc = SinglePointCalculator(
        atoms,
        energy=ENERGY,
        free_energy=FREE_ENERGY,
        forces=[[0.1, 0.2, 0.3], [-0.1, -0.2, -0.3]],
        stress=STRESS,
    )
    return atoms


def check(frames, frame, count=2):
    assert len(frames) == count
    for atoms in frames:
        labels = frame_labels(atoms)
        assert labels.energy == FREE_ENERGY
        assert atoms.get_potential_energy() == FREE_ENERGY
        np.testing.assert_allclose(labels.forces, [[0.1, 0.2, 0.3], [-0.1, -0.2, -0.3]])
        np.testing.assert_allclose(atoms.get_stress(), STRESS)
        np.testing.assert_allclose(atoms.positions, frame.positions)
        np.testing.assert_allclose(atoms.cell.array, frame.cell.array)
        assert atoms.info["config_type"] == "bulk"


@pytest.mark.parametrize("name", ["a.extxyz", "a.extxyz.xz", "a.extxyz.gz", "a.xyz", "a.traj"])
def test_formats(name, frame, tmp_path):
    write(tmp_path / name, [frame, frame])
    check(read_frames(tmp_path / name), frame)
    check(read_frames([tmp_path / name, str(tmp_path / name)], index="1:"), frame)
    check(read_frames(tmp_path / name, index=-1), frame, count=1)


def test_ase_database(frame, tmp_path):
    with ase.db.connect(tmp_path / "a.db") as rows:
        rows.write(frame, config_type="bulk")
        rows.write(frame, config_type="bulk")
    check(read_frames(tmp_path / "a.db"), frame)


@pytest.mark.skipif(not VASP.is_dir(), reason="this ASE comes without its test data")
@pytest.mark.parametrize("name", ["vasprun_pstress.xml", "OUTCAR_example_1"])
def test_vasp_gives_the_force_consistent_energy(name):
    (atoms,) = read_frames(VASP / name)
    (keys,) = keys_read([atoms])
    assert (keys.energy, keys.forces, keys.stress) == ("free_energy", "forces", "stress")
    # The energy of the last electronic step: that of the ionic step, after it in the XML, is an enthalpy.
    text = (VASP / name).read_text()
    if name.startswith("OUTCAR"):
        totals = re.findall(r"free  energy   TOTEN\s*=\s*(\S+)", text)
    else:
        totals = re.findall(r'"e_fr_energy">\s*(\S+)', text)[:-1]
    assert frame_labels(atoms).energy == pytest.approx(float(totals[-1]), abs=1e-7)
    assert frame_labels(atoms).forces.shape == (len(atoms), 3)


def write_text(path, comment, columns=""):
    properties = "species:S:1:pos:R:3" + columns
    lattice = "4 0 0 0 4 0 0 0 4"
    numbers = " 0.5 0 0" if columns else ""
    path.write_text(
        f'1\nLattice="{lattice}" pbc="T T T" Properties={properties} {comment}\nLi 0 0 0{numbers}\n'
    )
    return read_frames(path)[0]


def test_reference_keys_win_over_bare_ones(tmp_path):
    atoms = write_text(tmp_path / "a.extxyz", "REF_energy=-7 energy=5", ":REF_forces:R:3")
    assert frame_labels(atoms).energy == -7.0
    assert frame_labels(atoms).forces.tolist() == [[0.5, 0.0, 0.0]]
    assert "REF_energy" not in atoms.info
    assert "REF_forces" not in atoms.arrays
    (keys,) = keys_read([atoms])
    assert (keys.energy, keys.forces, keys.stress) == ("REF_energy", "REF_forces", None)


@pytest.mark.parametrize("key", ["TotEnergy", "dft_energy", "free_energy", "energy"])
def test_names_of_the_energy(key, tmp_path):
    atoms = write_text(tmp_path / "a.extxyz", f"{key}=-2.5", ":force:R:3")
    assert frame_labels(atoms).energy == -2.5
    assert frame_labels(atoms).forces.tolist() == [[0.5, 0.0, 0.0]]


def test_virial_is_minus_volume_times_stress(tmp_path):
    stress = write_text(tmp_path / "s.extxyz", 'energy=0 REF_stress="1 2 3 2 4 5 3 5 6"')
    virial = write_text(tmp_path / "v.extxyz", 'energy=0 virial="64 128 192 128 256 320 192 320 384"')
    np.testing.assert_allclose(frame_labels(stress).stress, [[1, 2, 3], [2, 4, 5], [3, 5, 6]])
    np.testing.assert_allclose(frame_labels(virial).stress, -frame_labels(stress).stress)


def test_the_log_says_which_keys_were_read(frame, tmp_path, caplog):
    write(tmp_path / "a.extxyz", frame)
    with caplog.at_level(logging.INFO):
        read_frames(tmp_path / "a.extxyz")
    assert "energy from 'free_energy', forces from 'forces', stress from 'stress'" in caplog.text


def test_forces_on_fixed_atoms_are_kept(frame, tmp_path):
    frame.set_constraint(FixAtoms([0]))
    write(tmp_path / "a.traj", frame)
    (atoms,) = read_frames(tmp_path / "a.traj")
    np.testing.assert_allclose(atoms.get_forces()[0], [0.1, 0.2, 0.3])


def test_a_lone_atom_needs_no_forces(tmp_path):
    atoms = write_text(tmp_path / "a.extxyz", "energy=-1")
    assert frame_labels(atoms).forces.tolist() == [[0.0, 0.0, 0.0]]


def test_a_slab_has_no_stress(frame):
    frame.pbc = [True, True, False]
    assert frame_labels(frame).stress is None


def test_shipped_data_are_found_by_name():
    frames = read_frames("dataset:lips/small_20.extxyz")
    assert len(frames) == 20
    assert set(frames[0].get_chemical_symbols()) == {"Li", "P", "S"}
    with pytest.raises(DataError, match=r"expected one of acac/isolated_atoms\.extxyz"):
        read_frames("dataset:nothing.extxyz")


def bad_files(folder):
    good = "1\nProperties=species:S:1:pos:R:3 energy=0\nLi 0 0 0\n"
    (folder / "empty.extxyz").write_text("")
    (folder / "truncated.extxyz").write_text(good + good[:-8])
    (folder / "words.extxyz").write_text("not a structure\n")
    (folder / "vasprun.xml").write_text("<modeling><generator>")
    (folder / "a.extxyz.gz").write_bytes(gzip.compress(good.encode())[:-12])
    (folder / "a.extxyz.xz").write_bytes(lzma.compress(good.encode())[:-12])
    (folder / "shape.extxyz").write_text(good.replace("energy=0", 'energy="0 1 2"'))
    (folder / "stress.extxyz").write_text(good.replace("energy=0", 'pbc="T T T" REF_stress="0 1 2"'))
    return sorted(folder.iterdir())


def test_bad_files_give_one_clear_line(tmp_path):
    for path in [*bad_files(tmp_path), tmp_path / "missing.extxyz", tmp_path]:
        with pytest.raises(DataError) as error:
            read_frames(path)
        assert path.name in str(error.value)
        assert "expected" in str(error.value)
        assert "\n" not in str(error.value)


def test_no_frames_at_an_index(tmp_path):
    write(tmp_path / "a.extxyz", molecule("H2O"))
    with pytest.raises(DataError, match="no frames"):
        read_frames(tmp_path / "a.extxyz", index="5:")
