"""Trajectories that users bring: unwrapped right, timed right, refused in one line."""

import ase.io
import numpy as np
import pytest
from ase import Atoms

from md.analysis import load_frames
from mlip.errors import ConfigError, DataError

CELL = np.array([[6.0, 0.0, 0.0], [1.5, 5.5, 0.0], [-1.0, 0.5, 5.0]])


@pytest.fixture
def walk():
    """Unwrapped positions of 3 atoms that leave the cell, shape (40, 3, 3)."""
    return np.cumsum(np.random.default_rng(0).normal(scale=0.4, size=(40, 3, 3)), axis=0) + 2.0


def wrapped_images(walk):
    images = [Atoms("Li2S", positions=frame, cell=CELL, pbc=True) for frame in walk]
    for image in images:
        image.wrap()
    return images


@pytest.mark.parametrize("name", ["run.extxyz", "run.traj", "XDATCAR", "run.extxyz.xz"])
def test_wrapped_files_are_unwrapped(tmp_path, walk, name):
    path = tmp_path / name
    images = wrapped_images(walk)
    ase.io.write(path, images, format="vasp-xdatcar") if name == "XDATCAR" else ase.io.write(path, images)
    (frames,) = load_frames(path, timestep_fs=20.0)
    moved = (frames.fractional - frames.fractional[0]) @ CELL
    np.testing.assert_allclose(moved, walk - walk[0], atol=1e-5)
    np.testing.assert_allclose(frames.times_ps, 0.02 * np.arange(40))
    assert frames.species == ["Li", "S"]


def test_lammps_dump_carries_steps_and_types(tmp_path, walk):
    cell = np.diag([6.0, 5.5, 5.0])
    path = tmp_path / "run.lammpstrj"
    with path.open("w") as stream:
        for number, frame in enumerate(walk):
            scaled = (frame / np.diag(cell)) % 1.0
            stream.write(
                f"ITEM: TIMESTEP\n{50 * number}\nITEM: NUMBER OF ATOMS\n3\nITEM: BOX BOUNDS pp pp pp\n"
            )
            stream.writelines(f"0.0 {length}\n" for length in np.diag(cell))
            stream.write("ITEM: ATOMS id type xs ys zs\n")
            for atom in (2, 0, 1):  # unsorted, as LAMMPS writes them
                x, y, z = scaled[atom]
                stream.write(f"{atom + 1} {1 if atom < 2 else 2} {x} {y} {z}\n")
    (frames,) = load_frames(path, timestep_fs=2.0, types=["Li", "S"])
    assert frames.numbers.tolist() == [3, 3, 16]
    np.testing.assert_allclose(frames.times_ps, 0.1 * np.arange(40))
    np.testing.assert_allclose((frames.fractional - frames.fractional[0]) @ cell, walk - walk[0], atol=1e-4)
    with pytest.raises(ConfigError, match="types="):
        load_frames(path, timestep_fs=2.0, types=["Li"])


def test_jumps_that_cannot_be_told_from_wrapping_are_noted(tmp_path):
    rng = np.random.default_rng(1)
    path = tmp_path / "shuffled.extxyz"
    ase.io.write(
        path, [Atoms("Li4", positions=rng.uniform(0, 5, (4, 3)), cell=CELL, pbc=True) for _ in range(9)]
    )
    (frames,) = load_frames(path, timestep_fs=1.0)
    assert "not to be trusted" in frames.notes[0]
    (untimed,) = load_frames(path)
    assert untimed.notes == ()


def test_bad_files_get_one_line(tmp_path):
    with pytest.raises(DataError, match="found no file"):
        load_frames(tmp_path / "missing.extxyz")
    (tmp_path / "empty.extxyz").touch()
    with pytest.raises(DataError):
        load_frames(tmp_path / "empty.extxyz")
    (tmp_path / "text.extxyz").write_text("this is no trajectory\n")
    with pytest.raises(DataError, match="cannot be read"):
        load_frames(tmp_path / "text.extxyz")
    mixed = [Atoms("Li", cell=CELL, pbc=True), Atoms("S", cell=CELL, pbc=True)]
    ase.io.write(tmp_path / "mixed.extxyz", mixed)
    with pytest.raises(DataError, match="different atoms"):
        load_frames(tmp_path / "mixed.extxyz")
    ase.io.write(tmp_path / "molecule.extxyz", Atoms("Li2", positions=np.eye(3)[:2]))
    with pytest.raises(DataError, match="lattice vectors"):
        load_frames(tmp_path / "molecule.extxyz")
