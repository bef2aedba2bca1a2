"""Bad input: one clear line, a non-zero exit code, and nothing that was there is lost or changed."""

import hashlib

import ase.io
import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from cli.cli_process import fork_mlip, run_mlip, start_mlip
from structures import random_structure

from mlip.deploy import deploy_potential

MODEL = ["model.r_max=3", "model.num_layers=1", "model.l_max=0", "model.num_features=2"]
TRAIN = ["train", "data.train=good.extxyz", *MODEL, "trainer.max_epochs=1", "device=cpu"]
EVAL = ["eval", "potential=good.mlip", "data=good.extxyz", "device=cpu"]
DEPLOY = ["deploy", "potential=good.mlip", "device=cpu"]
MD = ["md", "potential=good.mlip", "structure=one.extxyz", "protocol=nvt", "protocol.nvt.duration_ps=0.002"]


ELASTIC = ["analyze", "analysis=elastic", "structure=good.extxyz"]


@pytest.fixture(scope="session")
def inputs(tmp_path_factory, potential_file):
    """A folder of good files and of files that are wrong in one way each."""
    folder = tmp_path_factory.mktemp("inputs")
    frames = [labelled(random_structure("triclinic", seed)) for seed in range(6)]

    def write(name, content):
        ase.io.write(folder / name, content, format="extxyz")

    def spoil(name, change):
        spoilt = [labelled(frame) for frame in frames]
        change(spoilt[3])
        write(name, spoilt)

    write("good.extxyz", frames)
    write("one.extxyz", frames[0])
    (folder / "empty.extxyz").write_text("")
    (folder / "half.extxyz").write_bytes((folder / "good.extxyz").read_bytes()[:-300])
    (folder / "bytes.extxyz").write_bytes(bytes(range(256)) * 20)
    spoil("nan_forces.extxyz", lambda frame: frame.calc.results["forces"].__setitem__((0, 0), np.nan))
    spoil("no_forces.extxyz", lambda frame: frame.calc.results.pop("forces"))
    spoil("zero_cell.extxyz", lambda frame: frame.set_cell(np.zeros((3, 3))))
    spoil("overlap.extxyz", lambda frame: frame.positions.__setitem__(1, frame.positions[0] + 0.1))
    spoil("chlorine.extxyz", lambda frame: frame.symbols.__setitem__(0, "Cl"))
    for name, index, value in (("md_nan", 0, np.nan), ("md_overlap", 0, frames[0].positions[1] + 0.01)):
        atoms = frames[0].copy()
        atoms.positions[index] = value
        write(f"{name}.extxyz", atoms)
    atoms = frames[0].copy()
    atoms.symbols[0] = "Cl"
    write("md_chlorine.extxyz", atoms)
    (folder / "good.mlip").write_bytes(potential_file.read_bytes())
    (folder / "half.mlip").write_bytes(potential_file.read_bytes()[:3000])
    deployed = deploy_potential(potential_file, folder / "good.nequip.pth", device="cpu")
    (folder / "half.nequip.pth").write_bytes(deployed.read_bytes()[:20000])
    (folder / "file").write_text("no folder")
    return folder


def labelled(atoms):
    rng = np.random.default_rng(len(atoms))
    frame = atoms.copy()
    frame.calc = SinglePointCalculator(
        frame, energy=-3.0 * len(atoms), forces=rng.normal(size=(len(atoms), 3))
    )
    return frame


def fingerprint(folder):
    """Content and time of change of every file, but for the logs, which may grow."""
    return {
        path: (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "log.txt"
    }


def assert_one_line(ended, verb, *words):
    """The error is the last line, the only one of its kind, and names what was found."""
    assert ended.code not in (0, None), ended.stderr
    assert "Traceback" not in ended.stderr
    assert [line for line in ended.stderr.splitlines() if line.startswith("mlip ")] == [ended.last_line]
    assert ended.last_line.startswith(f"mlip {verb}: ")
    for word in words:
        assert word in ended.last_line


# what is wrong -> the command, and what the line must say
FILES = {
    "missing data": ([*TRAIN, "data.train=none.extxyz"], "found no file none.extxyz", "check the path"),
    "no data": (["train"], "found no data.train", "data.train=..."),
    "folder for data": ([*TRAIN, "data.train=."], "found the folder .", "expected a file"),
    "empty data": ([*TRAIN, "data.train=empty.extxyz"], "empty.extxyz is empty", "at least one frame"),
    "half of a file": ([*TRAIN, "data.train=half.extxyz"], "half.extxyz cannot be read"),
    "binary data": ([*TRAIN, "data.train=bytes.extxyz"], "bytes.extxyz cannot be read"),
    "missing shipped data": ([*TRAIN, "data.train=dataset:lips/none"], "dataset:lips/none", "small_20"),
    "NaN forces": ([*TRAIN, "data.train=nan_forces.extxyz"], "NaN", "1 frame (3)", "leave these frames out"),
    "no forces": ([*TRAIN, "data.train=no_forces.extxyz"], "No forces in 1 frame (3)"),
    "zero cell": ([*TRAIN, "data.train=zero_cell.extxyz"], "zero or flat cell", "1 frame (3)"),
    "overlap": ([*TRAIN, "data.train=overlap.extxyz"], "closer than 0.5 A in 1 frame (3)"),
    "too few frames": ([*TRAIN, "data.train=one.extxyz"], "cannot be taken from 1 frames"),
    "new species to validate": ([*TRAIN, "data.valid=chlorine.extxyz"], "contains Cl", "knows only Li, P, S"),
    "species the potential lacks": ([*EVAL, "data=chlorine.extxyz"], "contains Cl", "Li, P, S"),
    "half of a potential": ([*EVAL, "potential=half.mlip"], "half.mlip is not a whole .mlip file"),
    "text for a potential": ([*DEPLOY, "potential=file"], "file is not a whole .mlip file"),
    "deployed file to deploy": ([*DEPLOY, "potential=good.nequip.pth"], "not a whole .mlip file"),
    "half of a deployed file": ([*MD, "potential=half.nequip.pth"], "not a whole TorchScript file", "deploy"),
    "structure for a potential": (
        [*MD, "potential=one.extxyz"],
        "expected a .mlip, .nequip.pth or .nequip.pt2",
    ),
    "structure missing": ([*MD, "structure=none.cif"], "found no file none.cif"),
    "structure empty": ([*MD, "structure=empty.extxyz"], "cannot read empty.extxyz"),
    "structure of NaN": ([*MD, "structure=md_nan.extxyz"], "not finite"),
    "structure that overlaps": ([*MD, "structure=md_overlap.extxyz"], "atoms 0 and 1", "0.5 A"),
    "structure of other species": ([*MD, "structure=md_chlorine.extxyz"], "contains Cl", "Li, P, S"),
    "which frame": ([*MD, "structure=good.extxyz"], "holds 6 frames", "index=0"),
    "frame that is not there": ([*MD, "structure=good.extxyz", "index=6"], "index=6"),
    "trajectory missing": (["analyze", "trajectory=none.h5"], "found no file none.h5"),
}
SETTINGS = {
    "unknown key": ([*TRAIN, "model.rmax=4"], "found no setting model.rmax", "did you mean model.r_max?"),
    "unknown group": ([*TRAIN, "modle.r_max=4"], "found no setting modle.r_max"),
    "added key": ([*TRAIN, "+model.rmax=4"], "found model.rmax", "did you mean r_max?"),
    "text for a number": ([*TRAIN, "model.r_max=abc"], "found model.r_max=abc", "expected a number"),
    "null for a number": ([*TRAIN, "model.r_max=null"], "found model.r_max=null", "expected a number"),
    "negative": ([*TRAIN, "model.r_max=-1"], "found model.r_max=-1", "expected a positive number"),
    "infinite": ([*TRAIN, "model.r_max=inf"], "found model.r_max=inf", "expected a number"),
    "half a layer": ([*TRAIN, "model.num_layers=1.5"], "model.num_layers=1.5", "a whole number"),
    "no boolean": ([*TRAIN, "model.parity=perhaps"], "model.parity=perhaps", "true or false"),
    "channels": ([*TRAIN, "model.num_features=[4,4]"], "model.num_features=[4, 4]", "l_max + 1 = 1"),
    "embedding": ([*TRAIN, "model.type_embed_num_features=-2"], "type_embed_num_features=-2"),
    "no such model": ([*TRAIN, "model=mace"], "'model/mace'", "nequip"),
    "no such logger": ([*TRAIN, "logger=paper"], "'logger/paper'", "csv; wandb"),
    "batch of none": ([*TRAIN, "data.batch_size=0"], "data.batch_size=0", "1 or more"),
    "batch of some": ([*TRAIN, "data.batch_size=some"], "data.batch_size=some", "a whole number"),
    "more frames than there are": ([*TRAIN, "data.num_train=99"], "data.num_train=99", "5 after the split"),
    "all to validate": ([*TRAIN, "data.valid_fraction=1"], "data.valid_fraction=1", "between 0 and 1"),
    "half an epoch": ([*TRAIN, "trainer.max_epochs=0.5"], "trainer.max_epochs=0.5", "a whole number"),
    "time": ([*TRAIN, "trainer.max_time=1h"], "trainer.max_time=1h", "DD:HH:MM:SS"),
    "patience": ([*TRAIN, "trainer.patience=0"], "trainer.patience=0", "1 or more, or null"),
    "clip": ([*TRAIN, "trainer.gradient_clip=-1"], "trainer.gradient_clip=-1"),
    "average": ([*TRAIN, "trainer.ema_decay=1"], "trainer.ema_decay=1", "below 1"),
    "learning rate": ([*TRAIN, "optimizer.lr=0"], "lr > 0"),
    "loss": ([*TRAIN, "loss.forces=-1"], "loss weights"),
    "deltas": (
        [*TRAIN, "loss=huber", "loss.forces_delta=[[5,0.1]]"],
        "loss.forces_delta=[[5",
        "beginning at 0",
    ),
    "energy to nothing": ([*TRAIN, "loss.final_energy=0"], "loss.final_energy=0", "above zero"),
    "schedule-free": ([*TRAIN, "optimizer=schedule_free", "optimizer.beta_1=1"], "optimizer.beta_1=1"),
    "unknown loss": ([*TRAIN, "+loss.dipole=1"], "found loss.dipole", "energy, forces, stress"),
    "dtype": ([*TRAIN, "dtype=float16"], "dtype=float16", "float32 or float64"),
    "device": ([*TRAIN, "device=abacus"], "device=abacus", "auto, cpu, cuda"),
    "seed": ([*TRAIN, "seed=-1"], "seed=-1", "whole number from 0"),
    "resume": ([*TRAIN, "resume=perhaps"], "resume=perhaps", "auto or never"),
    "no folder": ([*TRAIN, "run_dir=null"], "run_dir=None", "path of a folder"),
    "broken list": ([*TRAIN, "data.valid=[a"], "[a"),
    "no value": ([*TRAIN, "seed"], "seed", "EQUAL"),
    "no such config folder": ([*TRAIN, "--config-dir", "none"], "none", "not found"),
    "eval batch": ([*EVAL, "batch_size=0"], "batch_size=0", "from 1"),
    "target": ([*DEPLOY, "target=[gromacs]"], "target=gromacs", "ase, lammps"),
    "format": ([*DEPLOY, "format=onnx"], "format=onnx", "torchscript"),
    "temperature": ([*MD, "protocol.nvt.temperature_K=-5"], "temperature_K=-5", "above zero"),
    "ensemble": ([*MD, "protocol.nvt.ensemble=nph"], "ensemble=nph", "nve, nvt, npt"),
    "stage key": ([*MD, "protocol.nvt.temprature_K=5"], "did you mean protocol.nvt.temperature_K?"),
    "protocol": ([*MD, "protocol=anneal"], "'protocol/anneal'", "melt_quench"),
    "no trajectory": (["analyze"], "found no trajectory for analysis=[protocol", "trajectory=FILE"),
    "no potential": ([*ELASTIC], "found potential=null and calculator=null", "expected one of them"),
    "no calculator": ([*ELASTIC, "calculator=ase.Nothing"], "found calculator=ase.Nothing", "EMT"),
    "several crystals": ([*ELASTIC, "calculator=ase.calculators.emt.EMT"], "found 6 frames in structure="),
    "index": ([*MD, "structure=good.extxyz", "index=first"], "index=first", "a whole number"),
}
PLACES = {
    "below a file": ([*TRAIN, "run_dir=file/run"], "cannot write into run_dir file/run", "another run_dir="),
    "a file": ([*TRAIN, "run_dir=file"], "cannot write into run_dir file", "another run_dir="),
    "no file system": ([*TRAIN, "run_dir=/proc/run"], "cannot write into run_dir /proc/run"),
    "deployed below a file": ([*DEPLOY, "out=file/x"], "cannot write file/x/good.nequip.pth", "another out="),
    "deployed nowhere": ([*DEPLOY, "out=/proc/x.nequip.pth"], "cannot write /proc/x.nequip.pth"),
}


def table(cases, slow=()):
    marks = dict.fromkeys(slow, pytest.mark.slow)
    rows = [pytest.param(c, w, id=name, marks=marks.get(name, ())) for name, (c, *w) in cases.items()]
    return pytest.mark.parametrize(("command", "words"), rows)


@table(FILES | SETTINGS | PLACES)
def test_one_line_and_nothing_touched(inputs, tmp_path, command, words):
    before = fingerprint(inputs)
    if not any(word.startswith("run_dir=") for word in command):
        command = [*command, f"run_dir={tmp_path}/run"]
    assert_one_line(fork_mlip(*command, cwd=inputs), command[0], *words)
    assert fingerprint(inputs) == before
    results = {
        "potential.mlip",
        "errors.json",
        "trajectory.h5",
        "final.extxyz",
        "manifest.json",
        "restart.npz",
    }
    assert not results & {path.name for path in tmp_path.rglob("*")}


REAL = ["missing data", "NaN forces", "half of a potential", "structure that overlaps", "text for a number"]


@table({name: (FILES | SETTINGS)[name] for name in REAL}, slow=REAL[1:])
def test_the_console_script_says_the_same(inputs, tmp_path, command, words):
    assert_one_line(run_mlip(*command, f"run_dir={tmp_path}/run", cwd=inputs), command[0], *words)


def test_an_unknown_verb(inputs):
    ended = run_mlip("trian", cwd=inputs)
    assert ended.code == 1
    assert ended.stderr.startswith("mlip: found the verb 'trian'; expected one of demo, build, label, data")
    assert len(ended.stderr.splitlines()) == 1


def test_an_unknown_option(inputs):
    ended = fork_mlip(*TRAIN, "--frobnicate", cwd=inputs)
    assert ended.code == 2
    assert ended.last_line == "mlip train: error: unrecognized arguments: --frobnicate"


@pytest.fixture
def finished(inputs, tmp_path):
    """A finished evaluation on a copy of the data, so that the copy may be changed."""
    data = tmp_path / "data.extxyz"
    data.write_bytes((inputs / "good.extxyz").read_bytes())
    command = [*EVAL, f"data={data}", f"run_dir={tmp_path}/run"]
    ended = fork_mlip(*command, cwd=inputs)
    assert ended.code == 0, ended.stderr
    return command, data


def test_another_config_in_the_same_run_dir(inputs, finished, tmp_path):
    before = fingerprint(tmp_path)
    ended = fork_mlip(*finished[0], "batch_size=2", cwd=inputs)
    assert_one_line(ended, "eval", "holds a run with batch_size=5", "asks batch_size=2", "resume=never")
    assert fingerprint(tmp_path) == before


def test_another_verb_in_the_same_run_dir(inputs, finished, tmp_path):
    before = fingerprint(tmp_path)
    assert_one_line(fork_mlip(*DEPLOY, f"run_dir={tmp_path}/run", cwd=inputs), "deploy", "holds a run with")
    assert fingerprint(tmp_path) == before


def test_a_changed_input_in_the_same_run_dir(inputs, finished, tmp_path):
    command, data = finished
    data.write_bytes((inputs / "one.extxyz").read_bytes())
    before = fingerprint(tmp_path)
    assert_one_line(fork_mlip(*command, cwd=inputs), "eval", "another content of", "data.extxyz")
    assert fingerprint(tmp_path) == before


def test_a_broken_record_in_the_run_dir(inputs, finished, tmp_path):
    record = tmp_path / "run" / "provenance.json"
    record.write_text(record.read_text()[:100])
    before = fingerprint(tmp_path)
    assert_one_line(fork_mlip(*finished[0], cwd=inputs), "eval", "unreadable", "provenance.json")
    assert fingerprint(tmp_path) == before


def test_a_run_dir_in_use(inputs, tmp_path):
    command = [*TRAIN, "trainer.max_epochs=100000", "trainer.patience=null", f"run_dir={tmp_path}/run"]
    process = start_mlip(*command, cwd=inputs, output=tmp_path)
    try:
        while process.is_alive() and not (tmp_path / "run" / "checkpoints" / "last.ckpt").exists():
            process.join(0.05)
        assert process.is_alive(), (tmp_path / "stderr").read_text()
        ended = fork_mlip(*command, cwd=inputs)
        assert_one_line(ended, "train", "another process is running in", "another run_dir=")
        assert process.is_alive()
    finally:
        process.kill()
        process.join()


def test_a_mended_command_may_use_the_run_dir_of_the_bad_one(inputs, tmp_path):
    """A run that stopped at its input holds nothing that a mended command could spoil."""
    bad = [*EVAL, "data=nan_forces.extxyz", f"run_dir={tmp_path}/run"]
    assert_one_line(fork_mlip(*bad, cwd=inputs), "eval", "NaN")
    ended = fork_mlip(*bad, "data=good.extxyz", cwd=inputs)
    assert ended.code == 0, ended.stderr
    log = (tmp_path / "run" / "log.txt").read_text()
    assert "stopped: Energy, forces or stress are NaN" in log
    assert (tmp_path / "run" / "errors.json").exists()


def test_a_bad_member_does_not_stop_a_sweep(inputs, tmp_path):
    ended = fork_mlip(*TRAIN, "--multirun", "model.l_max=-1,1", f"run_dir={tmp_path}/sweep", cwd=inputs)
    assert ended.code == 1
    assert "Traceback" not in ended.stderr
    assert "found model.l_max=-1" in ended.last_line
    assert not (tmp_path / "sweep" / "model.l_max=-1" / "potential.mlip").exists()
    assert (tmp_path / "sweep" / "model.l_max=1" / "potential.mlip").exists()
