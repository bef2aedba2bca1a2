"""Trajectories there and back, and against the readers and writers of ASE and LAMMPS."""

import logging
import shutil
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import ase.io
import ase.units
import numpy as np
import pytest
from ase.build import bulk
from cli.cli_process import fork_mlip
from hydra import compose, initialize_config_module

from md.convert import read_slice, run_convert
from md.protocols.stages import Stage, plan_stages
from md.state import State
from md.storage import Storage
from md.trajectory import Trajectory
from md.trajectory_writer import TrajectoryWriter
from mlip.errors import ConfigError, DataError
from mlip.runs import Run

TRIANGULAR = np.array([[6.0, 0.0, 0.0], [-1.5, 5.5, 0.0], [2.0, 0.5, 7.0]])
LEANING = np.array([[6.0, 0.0, 0.0], [-1.5, 5.5, 0.0], [-1.0, -0.5, 7.0]])
TURNED = np.array([[5.0, 0.7, -0.4], [1.5, 5.5, 0.3], [-0.8, 0.9, 7.0]])
LMP = Path(sys.executable).with_name("lmp")


def write_walk(path, cell, velocities=True, breathing=0.0):
    """20 frames of 12 atoms far across the boundaries: two stages, a frame each 5 fs."""
    hold = Stage(name="hold", ensemble="nvt", temperature_K=300, duration_ps=0.05, every_ps=0.005)
    cool = Stage(name="cool", ensemble="nvt", temperature_K=200, duration_ps=0.05, every_ps=0.005)
    stages = plan_stages([hold, replace(cool, temperature_K=(300, 200))])
    rng = np.random.default_rng(2)
    atoms = bulk("Li2S", "fluorite", a=5.7, cubic=True)
    atoms.set_cell(cell, scale_atoms=True)
    start = State.from_atoms(atoms)
    walk = start.positions + np.cumsum(rng.normal(scale=0.9, size=(20, 12, 3)), axis=0)
    with closing(TrajectoryWriter(path, start, stages, Storage(velocities, ["Li"], 0.005))) as writer:
        for k in range(20):
            stretch = 1 + breathing * np.sin(k)
            motion = rng.normal(scale=0.01, size=(12, 3))
            state = replace(start, positions=walk[k] * stretch, velocities=motion, cell=cell * stretch)
            stage = stages[k // 10]
            writer.append(
                replace(state, stage=stage.index, steps_done=5 * (k % 10 + 1)), stage, -3.0 - 0.1 * k
            )
    return path


def convert(folder, source, out, *overrides):
    with initialize_config_module("mlip.conf", version_base="1.3"):
        config = compose("convert", [f"trajectory={source}", f"out={folder / out}", *overrides])
    run_convert(config, Run(folder, resumed=False, finished=False))
    return folder / out


def assert_same(one, other, frames=slice(None), energies=True, turned=False):
    with Trajectory(one) as first, Trajectory(other) as second:
        assert np.array_equal(first.steps[frames], second.steps)
        assert np.allclose(first.times_ps[frames], second.times_ps, rtol=1e-14)
        assert np.array_equal(first.numbers, second.numbers)
        assert np.allclose(first.masses, second.masses)
        assert np.array_equal(first.images(frames), second.images())
        rotation = np.linalg.solve(first.cells[0], second.cells[0]) if turned else np.eye(3)
        assert np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
        assert np.allclose(first.cells[frames] @ rotation, second.cells, rtol=0, atol=1e-12)
        assert np.allclose(first.positions(frames) @ rotation, second.positions(), rtol=0, atol=1e-6)
        assert np.allclose(
            first.unwrapped(frames) @ rotation, second.unwrapped(), rtol=0, atol=2e-5 if turned else 4e-6
        )
        assert first.has_velocities == second.has_velocities
        if first.has_velocities:
            assert np.allclose(first.velocities(frames) @ rotation, second.velocities(), rtol=1e-6, atol=1e-9)
        if energies:
            assert np.array_equal(first.potential_eV[frames], second.potential_eV, equal_nan=True)
            assert np.array_equal(first.target_temperatures_K[frames], second.target_temperatures_K)
            assert np.array_equal(first.frame_stages[frames], second.frame_stages)
            assert first.stages == second.stages


@pytest.mark.parametrize("breathing", [0.0, 0.03])
@pytest.mark.parametrize("velocities", [True, False])
def test_h5md_to_extxyz_and_back_keeps_everything(tmp_path, velocities, breathing):
    path = write_walk(tmp_path / "t.h5", TURNED, velocities, breathing)
    text = convert(tmp_path, path, "t.extxyz")
    assert_same(path, convert(tmp_path, text, "back.h5"))


@pytest.mark.parametrize(
    ("cell", "turned"),
    [(np.diag([6.0, 5.5, 7.0]), False), (TRIANGULAR, False), (LEANING, False), (TURNED, True)],
)
def test_h5md_to_a_dump_and_back(tmp_path, cell, turned):
    path = write_walk(tmp_path / "t.h5", cell, breathing=0.02)
    text = convert(tmp_path, path, "t.lammpstrj")
    assert_same(path, convert(tmp_path, text, "back.h5"), energies=False, turned=turned)


def test_all_ways_lead_to_the_same_file(tmp_path):
    path = write_walk(tmp_path / "t.h5", TRIANGULAR)
    around = path
    for name in ("a.dump", "b.extxyz", "c.lammpstrj", "d.h5", "e.xyz", "f.h5"):
        around = convert(tmp_path, around, name)
    assert_same(path, around, energies=False)


@pytest.mark.parametrize("frames", ["5:", "::7", "-4:-1", "2:12:3", "-1", "3"])
@pytest.mark.parametrize("through", ["h5", "extxyz", "dump"])
def test_some_frames(tmp_path, frames, through):
    path = write_walk(tmp_path / "t.h5", TRIANGULAR)
    source = path if through == "h5" else convert(tmp_path, path, f"t.{through}")
    out = convert(tmp_path, source, "some.extxyz", f"frames={frames}")
    assert_same(path, convert(tmp_path, out, "some.h5"), read_slice(frames), energies=False)


def test_some_species_and_those_stored_often(tmp_path):
    path = write_walk(tmp_path / "t.h5", TRIANGULAR)
    lithium = convert(tmp_path, path, "li.h5", "species=Li")
    often = convert(tmp_path, path, "often.h5", "particles=often")
    assert_same(lithium, often)
    with Trajectory(path) as trajectory, Trajectory(lithium) as part:
        assert set(part.symbols) == {"Li"}
        assert np.allclose(part.unwrapped(), trajectory.unwrapped()[:, trajectory.numbers == 3], atol=1e-5)
        assert np.isnan(part.potential_eV).all()  # that of all atoms is not that of lithium


def test_ase_reads_what_we_write(tmp_path):
    path = write_walk(tmp_path / "t.h5", TRIANGULAR)
    extxyz = ase.io.read(convert(tmp_path, path, "t.extxyz"), index=":")
    dump = ase.io.read(convert(tmp_path, path, "t.dump"), index=":", format="lammps-dump-text")
    with Trajectory(path) as trajectory:
        for k, (one, other) in enumerate(zip(extxyz, dump, strict=True)):
            for atoms in (one, other):
                assert np.array_equal(atoms.numbers, trajectory.numbers)
                assert np.allclose(atoms.positions, trajectory.positions()[k], atol=1e-6)
                assert np.allclose(atoms.cell, trajectory.cells[k])
                assert atoms.pbc.all()
                motion = atoms.get_velocities() * ase.units.fs
                assert np.allclose(motion, trajectory.velocities()[k], rtol=1e-6, atol=1e-9)
            assert one.get_potential_energy() == pytest.approx(trajectory.potential_eV[k])
            assert one.info["time_ps"] == trajectory.times_ps[k]


def run_lammps(folder, text):
    (folder / "in.lmp").write_text(text)
    ended = subprocess.run(
        [LMP, "-in", "in.lmp", "-log", "none"], cwd=folder, capture_output=True, text=True, timeout=120
    )
    assert ended.returncode == 0, ended.stdout[-2000:]
    return ended.stdout


ARGON = """
units metal
lattice fcc 5.3
region cell prism 0 2 0 2 0 2 0.5 0.3 -0.4
create_box 1 cell
create_atoms 1 region cell
mass 1 39.948
pair_style lj/cut 4.0
pair_coeff 1 1 0.0104 3.4
neighbor 0.3 bin
"""


@pytest.mark.parametrize(
    "positions", ["x y z ix iy iz", "xu yu zu", "xs ys zs ix iy iz", "xsu ysu zsu", "x y z"]
)
def test_a_dump_of_lammps_and_back_to_lammps(tmp_path, positions):
    """LAMMPS's own positions, velocities and times come over, and its energies again from our dump."""
    found = run_lammps(
        tmp_path,
        f"""{ARGON}
        displace_atoms all move 7 -3 2
        velocity all create 400 7
        fix 1 all nve
        timestep 0.004
        dump 1 all custom 20 run.dump id type element {positions} vx vy vz
        dump_modify 1 element Ar sort off time yes units yes format float %.12g
        dump 2 all custom 20 true.dump id xu yu zu vx vy vz
        dump_modify 2 sort id format float %.12g
        compute pe all pe
        variable e equal c_pe
        fix 2 all print 20 "E ${{e}}" screen yes
        thermo 20
        run 100""",
    )
    out = convert(tmp_path, tmp_path / "run.dump", "t.h5")
    truth = [
        np.array([line.split()[1:] for line in block.splitlines()[-32:]], dtype=float)
        for block in (tmp_path / "true.dump").read_text().split("ITEM: TIMESTEP")[1:]
    ]
    with Trajectory(out) as trajectory:
        assert np.array_equal(trajectory.steps, np.arange(0, 101, 20))
        assert np.allclose(trajectory.times_ps, 0.004 * trajectory.steps)
        assert set(trajectory.symbols) == {"Ar"}
        assert np.allclose(
            trajectory.velocities() * 1000.0, [each[:, 3:] for each in truth], rtol=1e-5, atol=1e-6
        )
        moved = trajectory.unwrapped() - trajectory.unwrapped()[0]
        assert np.abs(moved).max() > 1.0
        assert np.allclose(moved, [each[:, :3] - truth[0][:, :3] for each in truth], rtol=0, atol=1e-5)
        if positions != "x y z":  # without image flags the start is taken as wrapped
            assert np.allclose(trajectory.unwrapped(), [each[:, :3] for each in truth], rtol=0, atol=1e-5)
    convert(tmp_path, out, "ours.dump")
    again = run_lammps(
        tmp_path,
        f"""{ARGON}
        compute pe all pe
        variable e equal c_pe
        fix 2 all print 20 "E ${{e}}" screen yes
        thermo 20
        rerun ours.dump dump x y z vx vy vz box yes""",
    )
    energies = [
        [float(line.split()[1]) for line in text.splitlines() if line.startswith("E ")]
        for text in (found, again)
    ]
    assert len(energies[0]) == 6
    assert np.allclose(energies[0][-5:], energies[1][-5:], rtol=1e-5)


def test_types_without_elements(tmp_path):
    run_lammps(tmp_path, f"{ARGON}\ndump 1 all custom 1 run.dump id type x y z\nrun 2")
    with pytest.raises(ConfigError, match=r"does not name elements; give types=\[Li,P,S\]"):
        convert(tmp_path, tmp_path / "run.dump", "t.extxyz")
    with pytest.raises(DataError, match=r"has no time.*give timestep_fs="):
        convert(tmp_path, tmp_path / "run.dump", "t.h5", "types=[Ar]")
    assert not list(tmp_path.glob("t.*"))
    out = convert(tmp_path, tmp_path / "run.dump", "t.h5", "types=[Ar]", "timestep_fs=2")
    with Trajectory(out) as trajectory:
        assert np.allclose(trajectory.times_ps, [0, 0.002, 0.004])
        assert trajectory.masses[0] == pytest.approx(39.948, abs=0.01)


def test_a_dump_that_was_cut_off_gives_its_whole_frames(tmp_path, caplog):
    path = write_walk(tmp_path / "t.h5", TRIANGULAR)
    text = convert(tmp_path, path, "t.dump")
    content = text.read_text()
    for lost in (10, 300, 800):
        text.write_text(content[:-lost])
        with caplog.at_level(logging.WARNING):
            out = convert(tmp_path, text, "back.h5")
        assert "is not complete and is left out" in caplog.text
        with Trajectory(out) as trajectory:
            assert len(trajectory) == 19


def test_a_dump_of_a_general_box_and_in_units_real(tmp_path):
    rows = "".join(" ".join(map(repr, [*row, 1.0])) + "\n" for row in TURNED.tolist())
    atoms = "2 2 7.0 1.0 1.0 0 0 1 0.003 0 0\n1 1 1.5 2.0 3.0 0 -1 0 0 0.001 0\n"
    (tmp_path / "general.dump").write_text(
        f"ITEM: UNITS\nreal\nITEM: TIME\n250.0\nITEM: TIMESTEP\n125\nITEM: NUMBER OF ATOMS\n2\n"
        f"ITEM: BOX BOUNDS abc origin pp pp pp\n{rows}ITEM: ATOMS id type x y z ix iy iz vx vy vz\n{atoms}"
    )
    with Trajectory(convert(tmp_path, tmp_path / "general.dump", "t.h5", "types=[Li,S]")) as trajectory:
        assert trajectory.symbols == ["Li", "S"]
        assert trajectory.times_ps.tolist() == [0.25]
        assert np.array_equal(trajectory.cells[0], TURNED)
        expected = [[0.5, 1.0, 2.0] - TURNED[1], [6.0, 0.0, 0.0] + TURNED[2]]
        assert np.allclose(trajectory.unwrapped()[0], expected, atol=1e-6)
        assert np.allclose(trajectory.velocities()[0], [[0, 0.001, 0], [0.003, 0, 0]])


def test_open_directions_stay_open(tmp_path):
    slab = bulk("Li2S", "fluorite", a=5.7, cubic=True)
    slab.pbc = (True, True, False)
    slab.set_cell(np.diag([5.7, 5.7, 20.0]))
    moved = slab.copy()
    moved.positions += [4.0, -4.0, -3.0]
    ase.io.write(tmp_path / "slab.extxyz", [slab, moved])
    out = convert(tmp_path, tmp_path / "slab.extxyz", "slab.dump", "timestep_fs=1")
    back = convert(tmp_path, out, "slab.h5")
    with Trajectory(back) as trajectory:
        assert trajectory.pbc.tolist() == [True, True, False]
        assert not trajectory.images()[:, :, 2].any()
        assert np.allclose(trajectory.unwrapped()[1, :, 2], moved.positions[:, 2], atol=1e-5)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["frames=a:b"], "found frames=a:b; expected start:stop:step"),
        (["frames=::-1"], "expected start:stop:step"),
        (["frames=50:"], "no frame to convert"),
        (["species=Na"], "found no Na in the trajectory"),
        (["timestep_fs=-1"], "above zero"),
        (["particles=none"], "has no particles none"),
    ],
)
def test_bad_settings_are_one_line_and_leave_nothing(tmp_path, overrides, message):
    path = write_walk(tmp_path / "t.h5", TRIANGULAR)
    with pytest.raises((ConfigError, DataError), match=message):
        convert(tmp_path, path, "out.extxyz", *overrides)
    assert [each.name for each in tmp_path.iterdir()] == ["t.h5"]


def test_the_command_converts_again_whatever_it_did_before(tmp_path):
    """Also when the trajectory has grown, or something else is to be converted."""
    path = write_walk(tmp_path / "t.h5", TRIANGULAR)
    for frames in ("0:3", "0:3", ":"):
        ended = fork_mlip("convert", "trajectory=t.h5", "out=some.extxyz", f"frames='{frames}'", cwd=tmp_path)
        assert ended.code == 0, ended.stderr
        assert " frames of t.h5 are in some.extxyz" in ended.stderr
    path.unlink()
    write_walk(path, TURNED)
    ended = fork_mlip("convert", "trajectory=t.h5", "out=some.extxyz", "frames=::10", cwd=tmp_path)
    assert "2 frames of t.h5 are in some.extxyz" in ended.stderr


def test_bad_files_are_one_line(tmp_path):
    path = write_walk(tmp_path / "t.h5", TRIANGULAR)
    with pytest.raises(ConfigError, match="which is the trajectory itself"):
        convert(tmp_path, path, "t.h5")
    with pytest.raises(ConfigError, match=r"ends in \.h5"):
        convert(tmp_path, path, "t.pdb")
    shutil.copy(path, tmp_path / "t.extxyz")
    with pytest.raises(DataError, match="cannot be read"):
        convert(tmp_path, tmp_path / "t.extxyz", "out.h5")
    (tmp_path / "grid.dump").write_text("ITEM: TIMESTEP\n0\nITEM: DIMENSION\n3\n")
    with pytest.raises(DataError, match="expected a text dump of atoms"):
        convert(tmp_path, tmp_path / "grid.dump", "out.h5")
