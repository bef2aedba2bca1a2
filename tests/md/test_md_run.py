"""`mlip md`: configs, inputs, files, and bad input in one line."""

import subprocess
import sys

import ase.io
import numpy as np
import pytest
from ase.build import bulk
from cli.cli_process import fork_mlip
from hydra import compose, initialize_config_module

from md.run import run_md
from md.start import read_structures
from md.state import State
from md.trajectory import Trajectory
from mlip.errors import ConfigError, DataError
from mlip.runs import Run

QUICK = ["protocol=nvt", "protocol.nvt.temperature_K=60", "protocol.nvt.duration_ps=0.2"]


@pytest.fixture
def structure(tmp_path, argon):
    ase.io.write(tmp_path / "argon.extxyz", argon)
    return tmp_path / "argon.extxyz"


@pytest.fixture
def with_lennard_jones(monkeypatch, lennard_jones):
    """`engine=ase` with our analytic potential in the place of a trained one."""
    monkeypatch.setattr("md.run._open_potential", lambda *args: lennard_jones)


def composed(structure, *overrides):
    with initialize_config_module("mlip.conf", version_base="1.3"):
        return compose("md", [f"structure={structure}", f"potential={structure}", *overrides])


def run_in(folder, config, resumed=False):
    folder.mkdir(exist_ok=True)
    run_md(config, Run(folder, resumed=resumed, finished=False))
    return folder


def test_a_protocol_from_the_command_line_becomes_a_trajectory(tmp_path, structure, with_lennard_jones):
    overrides = [
        "protocol.melt.temperature_K=80",
        "protocol.melt.duration_ps=0.2",
        "protocol.quench.temperature_K=20",
        "protocol.quench.rate_K_per_ps=300",
        "protocol.equilibrate.ensemble=npt",
        "protocol.equilibrate.temperature_K=20",
        "protocol.equilibrate.duration_ps=0.2",
    ]
    folder = run_in(tmp_path / "run", composed(structure, *overrides))
    with Trajectory(folder / "trajectory.h5") as trajectory:
        assert [stage.name for stage in trajectory.stages] == ["melt", "quench", "equilibrate"]
        assert np.allclose(trajectory.times_ps, 0.1 * np.arange(7))
        assert trajectory.frame_stages.tolist() == [0, 0, 0, 1, 1, 2, 2]
    header = (folder / "thermo.csv").read_text().splitlines()[0]
    assert header == (
        "step,time_ps,temperature_K,potential_eV,kinetic_eV,conserved_eV,pressure_GPa,volume_A3,density_g_cm3"
    )
    assert len(ase.io.read(folder / "final.extxyz")) == 32
    assert (folder / "restart.npz").exists()


def test_a_run_that_was_stopped_goes_on(tmp_path, structure, with_lennard_jones):
    config = composed(structure, *QUICK)
    whole = run_in(tmp_path / "whole", config)
    run_in(tmp_path / "run", config)
    with (tmp_path / "run" / "thermo.csv").open("a") as stream:
        stream.write("999999,1,1\n77")  # rows after the checkpoint, the last one half written
    again = run_in(tmp_path / "run", config, resumed=True)
    assert (again / "thermo.csv").read_bytes() == (whole / "thermo.csv").read_bytes()


def test_species_stored_often_and_velocities(tmp_path, structure, with_lennard_jones):
    config = composed(structure, *QUICK, "velocities=true", "often.species=Ar", "often.every_ps=0.02")
    folder = run_in(tmp_path / "run", config)
    restart = (folder / "restart.npz").read_bytes()
    with Trajectory(folder / "trajectory.h5", "often") as often:
        assert often.steps.tolist() == list(range(0, 201, 20))
        unbroken = often.unwrapped()
    with Trajectory(folder / "trajectory.h5") as trajectory:
        assert trajectory.steps.tolist() == [0, 100, 200]
        assert np.allclose(trajectory.unwrapped(), unbroken[::5], rtol=0, atol=1e-9)
        (moved,) = trajectory.velocities(slice(2, 3))
        assert np.array_equal(moved, State.load(folder / "restart.npz").velocities.astype(np.float32))
        energies = np.genfromtxt(folder / "thermo.csv", delimiter=",", names=True)["potential_eV"]
        assert trajectory.potential_eV == pytest.approx(energies)
    run_in(tmp_path / "run", config, resumed=True)
    assert (folder / "restart.npz").read_bytes() == restart
    with Trajectory(folder / "trajectory.h5", "often") as often:
        assert np.array_equal(often.unwrapped(), unbroken)


def test_what_cannot_be_stored_is_one_line(tmp_path, structure, with_lennard_jones):
    for wrong, message in (
        ("often.species=Li", "species of the structure"),
        ("often.every_ps=0.03", "fraction"),
    ):
        with pytest.raises(ConfigError, match=message):
            run_in(tmp_path / "run", composed(structure, *QUICK, "often.species=Ar", wrong))


def test_a_run_killed_before_its_first_checkpoint_starts_anew(tmp_path, structure, with_lennard_jones):
    config = composed(structure, *QUICK)
    whole = run_in(tmp_path / "whole", config)
    run_in(tmp_path / "run", config)
    (tmp_path / "run" / "restart.npz").unlink()
    again = run_in(tmp_path / "run", config, resumed=True)
    assert (again / "thermo.csv").read_bytes() == (whole / "thermo.csv").read_bytes()
    with Trajectory(again / "trajectory.h5") as trajectory:
        assert trajectory.steps.tolist() == [0, 100, 200]


@pytest.mark.parametrize(
    "protocol", ["melt_quench", "ladder", "interface", "growth", "nvt", "npt", "nve", "relax"]
)
@pytest.mark.parametrize("engine", ["ase", "lammps"])
def test_every_config_composes_and_instantiates(structure, protocol, engine):
    from hydra.utils import instantiate

    config = composed(structure, f"protocol={protocol}", f"engine={engine}")
    assert callable(instantiate(config.engine).open)


def test_wrong_engine_settings_are_one_line(tmp_path, structure):
    with pytest.raises(ConfigError, match=r"engine\.ranks=-1"):
        run_in(tmp_path / "run", composed(structure, *QUICK, "engine=lammps", "engine.ranks=-1"))


def test_a_file_of_many_frames_needs_an_index(tmp_path):
    frames = [bulk("Cu", a=3.6), bulk("Cu", a=3.7)]
    ase.io.write(tmp_path / "two.extxyz", frames)
    with pytest.raises(ConfigError, match=r"holds 2 frames; say which one with index=0 \.\.\. 1"):
        read_structures(tmp_path / "two.extxyz", None, False)
    assert read_structures(tmp_path / "two.extxyz", 1, False)[0].cell[0, 1] == pytest.approx(1.85)
    assert len(read_structures(tmp_path / "two.extxyz", None, True)) == 2
    with pytest.raises(DataError, match="index=5"):
        read_structures(tmp_path / "two.extxyz", 5, True)


@pytest.mark.parametrize("content", ["", "nonsense\n", "2\nLattice\nCu 0 0 0\n"])
def test_an_unreadable_structure_is_one_line(tmp_path, content):
    (tmp_path / "bad.xyz").write_text(content)
    with pytest.raises(DataError) as refusal:
        read_structures(tmp_path / "bad.xyz", None, False)
    assert "\n" not in str(refusal.value)


def test_help_teaches_and_does_not_load_torch():
    script = (
        "import sys\n"
        "sys.argv = ['mlip', 'md', '--help']\n"
        "from mlip.cli import main\n"
        "try:\n    main()\n"
        "finally:\n    assert 'torch' not in sys.modules and 'lammps' not in sys.modules\n"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert shown.returncode == 0, shown.stderr
    assert "protocol=melt_quench" in shown.stdout
    assert "Examples:" in shown.stdout


def command(folder, *arguments):
    return fork_mlip("md", *arguments, cwd=folder)


def test_a_species_the_potential_lacks_is_one_line(tmp_path, potential):
    ase.io.write(tmp_path / "cu.extxyz", bulk("Cu", cubic=True))
    ended = command(
        tmp_path,
        f"potential={potential}",
        f"structure={tmp_path}/cu.extxyz",
        f"run_dir={tmp_path}/run",
        *QUICK,
    )
    assert ended.code == 1
    assert "Cu" in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr


def test_a_pressure_without_stress_labels_warns(tmp_path, potential, argon):
    argon.symbols[::4] = "Li"
    ase.io.write(tmp_path / "a.extxyz", argon)
    ended = command(
        tmp_path,
        f"potential={potential}",
        f"structure={tmp_path}/a.extxyz",
        f"run_dir={tmp_path}/run",
        "protocol=npt",
        "protocol.npt.duration_ps=0.002",
        "protocol.npt.every_ps=0.001",
    )
    assert ended.code == 0, ended.stderr
    assert "stages npt hold a pressure, but no stress was in the training data" in ended.stderr


def test_overlapping_atoms_are_one_line(tmp_path, potential, argon):
    argon.positions[1] = argon.positions[0]
    ase.io.write(tmp_path / "a.extxyz", argon)
    ended = command(
        tmp_path,
        f"potential={potential}",
        f"structure={tmp_path}/a.extxyz",
        f"run_dir={tmp_path}/run",
        *QUICK,
    )
    assert ended.code == 1
    assert "atoms 0 and 1 are 0.000 A apart" in ended.stderr.splitlines()[-1]


@pytest.mark.slow
def test_ase_and_lammps_run_the_same_config_with_a_potential(tmp_path, potential, argon):
    argon.symbols[::4] = "Li"
    argon.rattle(0.05, seed=1)
    ase.io.write(tmp_path / "a.extxyz", argon)
    short = ["protocol=nve", "protocol.nve.temperature_K=60", "protocol.nve.duration_ps=0.1", "device=cpu"]
    tables = {}
    for engine in ("ase", "lammps"):
        folder = tmp_path / engine
        ended = command(
            tmp_path,
            f"potential={potential}",
            f"structure={tmp_path}/a.extxyz",
            f"run_dir={folder}",
            f"engine={engine}",
            *short,
        )
        assert ended.code == 0, ended.stderr
        tables[engine] = np.genfromtxt(folder / "thermo.csv", delimiter=",", names=True)
    for column in tables["ase"].dtype.names:
        assert np.allclose(tables["ase"][column], tables["lammps"][column], rtol=1e-5, atol=1e-7), column


@pytest.mark.slow
def test_a_builder_packs_a_start_of_its_own_for_each_replica(tmp_path, potential_file):
    """The packing at the head of a melt and quench, from the command line; it ends once."""
    words = [f"potential={potential_file}", "protocol=nvt", "protocol.nvt.duration_ps=0.01", "replicas=2"]
    words += ["builder=glass", "builder.num_atoms=24", "builder.density_g_cm3=1.0", "engine=torch"]
    words += [f"run_dir={tmp_path / 'run'}"]
    ended = command(tmp_path, *words)
    assert ended.code == 0, ended.stderr
    starts = []
    for k in range(2):
        with Trajectory(tmp_path / "run" / "systems" / f"{k:03d}" / "trajectory.h5") as trajectory:
            starts.append(trajectory.atoms(0))
    assert [atoms.get_chemical_formula() for atoms in starts] == ["Li9P3S12"] * 2
    assert np.abs(starts[0].positions - starts[1].positions).max() > 1.0
    assert "finished run" in command(tmp_path, *words).stderr


def test_without_a_structure_or_a_builder_the_way_to_give_one_is_said(tmp_path, potential_file):
    ended = command(tmp_path, f"potential={potential_file}", "protocol=nvt", f"run_dir={tmp_path / 'run'}")
    assert ended.code == 1
    assert "structure=FILE, or builder=glass" in ended.stderr.splitlines()[-1]
