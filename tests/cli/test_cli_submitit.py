"""Sweeps whose members are jobs: by submitit's local launcher, also beside files of a user with our names."""

import json

import ase.io
import pytest
from cli.cli_process import run_mlip
from structures import random_structure

pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="pip install 'vitreous[slurm]'")

MD = [
    "md",
    "--multirun",
    "hydra/launcher=submitit_local",
    "potential=random.mlip",
    "structure=cell.extxyz",
    "protocol=nvt",
    "protocol.nvt.temperature_K=2000",
    "protocol.nvt.timestep_fs=0.2",
    "protocol.nvt.every_ps=0.002",
    "protocol.nvt.duration_ps=0.004",
    "kernel=reference",
    "device=cpu",
    "run_dir=sweep",
]


@pytest.fixture
def folder(tmp_path, potential_file):
    """A user's folder, with modules of the names of ours."""
    (tmp_path / "random.mlip").write_bytes(potential_file.read_bytes())
    ase.io.write(tmp_path / "cell.extxyz", random_structure("triclinic", seed=1))
    for name in ("train", "md", "mlip"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('a user shadows the package')\n")
    return tmp_path


@pytest.mark.slow
def test_members_of_a_sweep_are_jobs(folder):
    ended = run_mlip(*MD, "seed=1,2", cwd=folder)
    assert ended.code == 0, ended.stderr
    tables = []
    for seed in (1, 2):
        member = folder / "sweep" / f"seed={seed}"
        record = json.loads((member / "provenance.json").read_text())
        assert record["state"] == "finished"
        assert record["sessions"][0]["command"][0] == "mlip md"
        tables.append((member / "thermo.csv").read_text())
    assert tables[0] != tables[1]
    assert len(list((folder / "sweep" / ".submitit").glob("*/*_result.pkl"))) == 2
    shown = run_mlip("status", "sweep", cwd=folder)
    assert shown.stdout.count("mlip md, finished") == 2


@pytest.mark.slow
def test_a_member_that_fails_is_one_line(folder):
    ended = run_mlip(*MD, "protocol.nvt.ensemble=nvt,npx", cwd=folder)
    assert ended.code == 1
    assert "ensemble=npx; expected one of nve, nvt, npt" in ended.last_line
    record = json.loads((folder / "sweep" / "protocol.nvt.ensemble=nvt" / "provenance.json").read_text())
    assert record["state"] == "finished"
