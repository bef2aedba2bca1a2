"""What a run leaves in its directory, what the same command does again, sweeps, help, doctor."""

import hashlib
import json
import subprocess
import sys

import ase.io
import pytest
import yaml
from cli.cli_process import fork_mlip, run_mlip
from structures import random_structure

from mlip.cli import VERBS
from mlip.deploy import Potential

DEPLOY = ["deploy", "potential=random.mlip", "device=cpu"]
TRAIN = [
    "train",
    "data.train=dataset:lips/small_20.extxyz",
    "data.num_train=4",
    "model.num_layers=1",
    "model.l_max=0",
    "model.num_features=2",
    "model.radial_mlp_width=4",
    "trainer.max_epochs=1",
    "device=cpu",
]


@pytest.fixture
def folder(tmp_path, potential_file):
    (tmp_path / "random.mlip").write_bytes(potential_file.read_bytes())
    return tmp_path


def succeed(*command, cwd):
    ended = fork_mlip(*command, cwd=cwd)
    assert ended.code == 0, ended.stderr
    return ended


def content_of(folder):
    return {
        path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()
    }


def test_a_run_says_what_it_was_made_with(folder):
    succeed(*DEPLOY, "seed=7", "run_dir=run", cwd=folder)
    config = yaml.safe_load((folder / "run" / "config.yaml").read_text())
    assert config["potential"] == "random.mlip"
    assert config["seed"] == 7
    assert config["format"] == "torchscript"
    assert "hydra" not in config
    record = json.loads((folder / "run" / "provenance.json").read_text())
    assert record["state"] == "finished"
    assert record["seed"] == 7
    assert record["config"] == config
    digest = hashlib.sha256((folder / "random.mlip").read_bytes()).hexdigest()
    assert record["inputs"] == {"random.mlip": digest}
    (session,) = record["sessions"]
    assert session["command"][1:] == [*DEPLOY[1:], "seed=7", "run_dir=run"]
    assert session["python"] == sys.version.split()[0]
    assert {"host", "started", "platform", "git"} <= session.keys()
    assert all(
        session["versions"][name] for name in ("vitreous", "torch", "e3nn", "ase", "numpy", "lightning")
    )
    log = (folder / "run" / "log.txt").read_text()
    assert "deployed and verified" in log
    assert "INFO" in log


def test_interpolations_in_the_config_are_resolved(folder):
    succeed(*TRAIN, "data.valid_fraction=0.2", "model.r_max=${oc.decode:'3.25'}", "run_dir=run", cwd=folder)
    assert yaml.safe_load((folder / "run" / "config.yaml").read_text())["model"]["r_max"] == 3.25
    assert Potential.load(folder / "run" / "potential.mlip").config.r_max == 3.25


def test_a_finished_run_given_again_returns_and_changes_nothing_but_its_log(folder):
    succeed(*DEPLOY, "run_dir=run", cwd=folder)
    before = content_of(folder)
    for same in ("run", "./run", folder / "run"):
        ended = succeed(*DEPLOY, f"run_dir={same}", cwd=folder)
        assert "holds the finished run of this command" in ended.stderr
    after = content_of(folder)
    changed = {path.name for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    assert changed == {"log.txt"}


def test_resume_never_starts_a_numbered_sibling(folder):
    for number in range(3):
        succeed(*DEPLOY, f"dtype=float{32 if number else 64}", "resume=never", "run_dir=run", cwd=folder)
    assert {path.name for path in folder.iterdir() if path.is_dir()} == {"run", "run-2", "run-3"}
    for name in ("run", "run-2", "run-3"):
        assert (folder / name / "random.nequip.pth").exists()


@pytest.mark.slow
def test_a_sweep_names_its_members_by_what_differs(folder):
    ended = succeed(*TRAIN, "--multirun", "seed=1,2", "run_dir=sweep", cwd=folder)
    assert "Traceback" not in ended.stderr
    members = {path.name for path in (folder / "sweep").iterdir() if path.is_dir()}
    assert members == {"seed=1", "seed=2"}
    weights = [Potential.load(folder / "sweep" / name / "potential.mlip").weights for name in sorted(members)]
    assert any(not weights[0][key].equal(weights[1][key]) for key in weights[0])
    for name in members:
        record = json.loads((folder / "sweep" / name / "provenance.json").read_text())
        assert f"seed={record['seed']}" == name


@pytest.mark.slow
def test_a_finished_sweep_given_again_changes_nothing(folder):
    sweep = [*DEPLOY, "-m", "dtype=float32,float64", "run_dir=sweep"]
    succeed(*sweep, cwd=folder)
    before = content_of(folder)
    ended = succeed(*sweep, cwd=folder)
    assert ended.stderr.count("holds the finished run") == 2
    changed = {path.name for path, content in content_of(folder).items() if before[path] != content}
    assert changed <= {"log.txt", "multirun.yaml"}


def test_a_users_own_model_and_protocol(folder):
    """`--config-dir` brings YAML of one's own into the groups; options may stand anywhere."""
    for group in ("model", "protocol"):
        (folder / "mine" / group).mkdir(parents=True)
    (folder / "mine" / "model" / "tiny.yaml").write_text(
        "_target_: mlip.models.nequip.NequIPConfig\nr_max: 3.5\nnum_layers: 1\nl_max: 0\nnum_features: 2\n"
    )
    (folder / "mine" / "protocol" / "touch.yaml").write_text(
        "warm: {ensemble: nvt, temperature_K: 50, duration_ps: 0.004, every_ps: 0.002}\n"
        "cool: {ensemble: nvt, temperature_K: 20, rate_K_per_ps: 5000, every_ps: 0.002}\n"
    )
    plain = [word for word in TRAIN if not word.startswith("model.")]
    succeed(*plain, "--config-dir", "mine", "model=tiny", "run_dir=run", cwd=folder)
    architecture = Potential.load(folder / "run" / "potential.mlip").config
    assert (architecture.r_max, architecture.num_layers, architecture.parity) == (3.5, 1, True)
    ase.io.write(folder / "cell.extxyz", random_structure("triclinic"))
    command = ["md", "potential=run/potential.mlip", "structure=cell.extxyz", "--config-dir=mine"]
    ended = succeed(*command, "protocol=touch", "device=cpu", "run_dir=md", cwd=folder)
    assert "stage warm done" in ended.stderr
    assert "stage cool done" in ended.stderr


@pytest.mark.parametrize("broken", ["_target_: [a\nb: {", "r_max: 4", "_target_: no.such.Class\n"])
def test_a_broken_yaml_of_a_user_is_one_line(folder, broken):
    (folder / "mine" / "model").mkdir(parents=True)
    (folder / "mine" / "model" / "own.yaml").write_text(broken)
    ended = fork_mlip("train", "model=own", "--config-dir", "mine", *TRAIN[1:3], "run_dir=run", cwd=folder)
    assert ended.code == 1
    assert "Traceback" not in ended.stderr
    assert ended.last_line.startswith("mlip train: ")


@pytest.mark.parametrize("verb", [*VERBS, None])
def test_help(tmp_path, verb):
    ended = fork_mlip(*([verb] if verb else []), "--help", cwd=tmp_path)
    assert ended.code == 0, ended.stderr
    assert ended.stderr == ""
    assert f"mlip {verb or ''}".strip() in ended.stdout
    assert not list(tmp_path.iterdir())
    if verb not in ("data", "lammps", "doctor", "status", None):
        assert "run_dir: runs/" in ended.stdout
        assert "--multirun" in ended.stdout
        assert "???" in ended.stdout or verb in ("demo", "build", "learn", "analyze")


def test_help_is_quick_because_nothing_is_imported(tmp_path):
    ended = run_mlip("--help", cwd=tmp_path, PYTHONPROFILEIMPORTTIME="1")
    assert ended.code == 0
    assert all(verb in ended.stdout for verb in VERBS)
    imported = {line.split("|")[-1].strip() for line in ended.stderr.splitlines() if "|" in line}
    assert "mlip.cli" in imported
    assert not imported & {"torch", "hydra", "numpy", "ase", "lightning", "matplotlib"}


def test_cfg_prints_the_config_and_writes_nothing(tmp_path):
    ended = fork_mlip(*TRAIN, "--cfg", "job", cwd=tmp_path)
    assert ended.code == 0
    assert yaml.safe_load(ended.stdout)["model"]["num_features"] == 2
    assert not list(tmp_path.iterdir())


def test_version(tmp_path):
    ended = run_mlip("--version", cwd=tmp_path)
    assert ended.code == 0
    assert ended.stdout.startswith("vitreous ")


@pytest.mark.slow
def test_doctor(tmp_path):
    ended = run_mlip("doctor", cwd=tmp_path)
    assert ended.code == 0, ended.stdout
    assert "owns the import name mlip" in ended.stdout
    assert "ok  torch" in ended.stdout
    assert "ok  kernel=auto is kernel=cpp on cpu" in ended.stdout
    assert "BAD" not in ended.stdout


def test_help_may_be_cut_off_by_a_reader():
    shell = f"{sys.executable} -m mlip.cli deploy --help | true"
    shown = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, timeout=120)
    assert shown.stderr == ""
