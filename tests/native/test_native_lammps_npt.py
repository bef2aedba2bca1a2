"""Under fix npt a trained potential holds the pressure, and LAMMPS's pressure is the one that ASE finds."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.io import read
from ase.units import GPa
from native_lammps_runs import command_of, run_lmp, write_input

from mlip.deploy import MLIPCalculator, deploy_potential

MLIP = Path(sys.executable).parent / "mlip"
BAR = 1e-4 * GPa
COLUMNS = ["step", "temp", "press", "pxx", "pyy", "pzz", "pxy", "pxz", "pyz", "econserve"]
EVERY_PS, SETTLE_PS = 0.02, 2.0
LEARN = "model.num_layers=2 model.num_features=8 model.l_max=1 model.radial_mlp_width=8 model.r_max=4.5"


@pytest.fixture(scope="module")
def lithium(tmp_path_factory) -> Path:
    """A small NequIP of lithium, trained for some seconds on energies, forces and stresses of DFT."""
    folder = tmp_path_factory.mktemp("lithium")
    data = ["data.train=dataset:li_metal/train.extxyz.xz", "data.num_train=60", "data.batch_size=2"]
    schedule = ["optimizer.lr=0.02", "optimizer.warmup_epochs=0.2", "trainer.max_epochs=8"]
    command = [MLIP, "train", *data, *LEARN.split(), "model.pair_potential=zbl", *schedule, "run_dir=run"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=600)
    return deploy_potential(folder / "run" / "potential.mlip", folder, device="cpu", dtype="float64")


# Barostat, its pressures in bar, ranks.
CASES = {
    "iso": ("iso 10000 10000 0.5", {"press": 10000.0}, 2),
    "z": ("z 5000 5000 0.5", {"pzz": 5000.0}, 1),
    "aniso": ("aniso 3000 3000 0.5", {"pxx": 3000.0, "pyy": 3000.0, "pzz": 3000.0}, 2),
}


def standard_error(values: np.ndarray) -> float:
    """Of the mean of a correlated series: the largest that blocks of 0.25 to 2 ps give."""
    errors = []
    for length in (round(ps / EVERY_PS) for ps in (0.25, 0.5, 1.0, 2.0)):
        blocks = values[: len(values) // length * length].reshape(-1, length).mean(1)
        errors.append(blocks.std(ddof=1) / np.sqrt(len(blocks)))
    return max(errors)


def thermo_of(output: str) -> dict[str, np.ndarray]:
    """The columns of the run."""
    rows = [words for words in map(str.split, output.splitlines()) if len(words) == len(COLUMNS)]
    table = np.array([[float(word) for word in words] for words in rows if words[0].isdigit()])
    return dict(zip(COLUMNS, table.T, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_npt_holds_the_pressure(tmp_path, plugin, lithium, name):
    barostat, targets, ranks = CASES[name]
    atoms = bulk("Li", "bcc", a=3.44, cubic=True) * (4, 4, 4)
    after = f"""velocity all create 600 7 loop geom
fix 1 all npt temp 300 300 0.1 {barostat}
timestep 0.002
thermo {round(EVERY_PS / 0.002)}
thermo_style custom {" ".join(COLUMNS)}
thermo_modify format float %.12g
dump frames all custom 600 frames.dump id element x y z vx vy vz
dump_modify frames element Li sort id format float %.17g
run 6000"""
    write_input(tmp_path, atoms, lithium, types="Li", specorder=["Li"], after=after)
    finished = run_lmp(tmp_path, command=command_of(ranks), timeout=600)
    assert finished.returncode == 0, finished.stdout[-2000:] + finished.stderr
    thermo = thermo_of(finished.stdout)
    settled = thermo["step"] * 0.002 >= SETTLE_PS
    for column, target in targets.items():
        pressure = thermo[column][settled]
        error = standard_error(pressure)
        assert error < 300.0
        assert abs(pressure.mean() - target) < 4 * error, f"{column} {pressure.mean():.0f} +- {error:.0f} bar"
    if name != "iso":  # there LAMMPS's econserve wanders with any pair style, by some meV an atom
        # What the barostat does by the virial is what the potential does by its energy.
        assert np.ptp(thermo["econserve"][settled]) / len(atoms) < 5e-4
    assert_pressure_is_that_of_ase(tmp_path / "frames.dump", thermo, lithium)


def assert_pressure_is_that_of_ase(frames: Path, thermo: dict[str, np.ndarray], model: Path) -> None:
    """Virial and kinetic part, each component, on the frames of the dump."""
    trajectory = read(frames, ":", format="lammps-dump-text")
    assert len(trajectory) == 11
    calculator = MLIPCalculator(model, device="cpu")
    for number, frame in enumerate(trajectory):
        frame.calc = calculator
        expected = -frame.get_stress(include_ideal_gas=True)[[0, 1, 2, 5, 4, 3]] / BAR
        row = np.searchsorted(thermo["step"], 600 * number)
        found = [thermo[column][row] for column in COLUMNS[3:9]]
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=0.05)
        assert thermo["press"][row] == pytest.approx(expected[:3].mean(), rel=1e-6, abs=0.05)
