"""`mlip status`: what a run has reached, for runs that are going on, killed, failed, finished, or no run."""

import json
import os
import time

import pytest
from ase.io import write
from cli.cli_process import fork_mlip, start_mlip
from structures import random_structure

from md.thermo import last_thermo_row

MD = [
    "md",
    "potential=random.mlip",
    "structure=cell.extxyz",
    "device=cpu",
    "kernel=reference",
    "protocol=nvt",
]
HOT = ["protocol.nvt.temperature_K=2000", "protocol.nvt.timestep_fs=0.2", "protocol.nvt.every_ps=0.002"]
HEADER = (
    "step,time_ps,temperature_K,potential_eV,kinetic_eV,conserved_eV,pressure_GPa,volume_A3,density_g_cm3\n"
)


@pytest.fixture
def folder(tmp_path, potential_file):
    (tmp_path / "random.mlip").write_bytes(potential_file.read_bytes())
    write(tmp_path / "cell.extxyz", random_structure("triclinic", seed=1))
    return tmp_path


def status(folder, *words):
    ended = fork_mlip("status", *words, cwd=folder)
    assert ended.code == 0, ended.stderr
    return ended.stdout


def wait_for(path, seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if path.exists() and last_thermo_row(path) is not None and last_thermo_row(path).step > 20:
            return
        time.sleep(0.02)
    raise TimeoutError(path)


@pytest.mark.slow
def test_a_run_that_goes_on_is_killed_and_done(folder):
    (folder / "output").mkdir()
    command = [*MD, *HOT, "run_dir=run"]
    process = start_mlip(
        *command, "protocol.nvt.duration_ps=0.3", cwd=folder, output=folder / "output", checkpoint_every_s=0.1
    )
    wait_for(folder / "run" / "thermo.csv")
    living = status(folder, "run")
    process.kill()
    process.join(60)
    before = {path: path.stat().st_mtime_ns for path in (folder / "run").iterdir()}
    (dead,) = json.loads(status(folder, "run_dir=run", "--json"))
    assert {path: path.stat().st_mtime_ns for path in (folder / "run").iterdir()} == before
    assert "mlip md, running on" in living
    assert "stage nvt: step " in living
    assert " of 1500; " in living
    assert "ns/day, about " in living
    assert "last checkpoint" in living
    assert dead["state"] == "dead"
    (system,) = dead["systems"]
    row = last_thermo_row(folder / "run" / "thermo.csv")
    assert (system["step"], system["num_steps"]) == (row.step, 1500)
    assert system["temperature_K"] == row.temperature_K
    assert system["target_K"] == 2000
    assert "not running and not finished" in status(folder, "run")
    ended = fork_mlip(*command, "protocol.nvt.duration_ps=0.3", cwd=folder)
    assert ended.code == 0, ended.stderr
    done = status(folder, "run")
    assert "run: mlip md, finished" in done
    assert "step 1500 of 1500; 1500 of 1500 in all" in done
    assert "0.3 of 0.3 ps simulated, " in done


def test_speed_is_that_of_the_clock(folder):
    """20 steps of 1 fs in 10 s of the log are 20 fs in 10 s."""
    fake_run(folder / "run", {"nvt": {"ensemble": "nvt", "temperature_K": 300, "duration_ps": 0.2}})
    begun = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(time.time() - 110))
    line = "stage nvt: nvt 300 K, 0.2 ps, 200 steps, going on at step 100"
    (folder / "run" / "log.txt").write_text(f"{begun},000 INFO    md.engines.loop: {line}\n")
    thermo = folder / "run" / "thermo.csv"
    thermo.write_text(HEADER + "0,0,300,1,1,1,1,1,1\n120,0.12,310,1,1,1,1,1,1\n200,0.2")  # half a row
    at = int(time.time()) - 100
    os.utime(thermo, (at, at))
    (found,) = json.loads(status(folder, "run", "--json"))
    (system,) = found["systems"]
    assert system["step"] == 120
    assert system["ns_per_day"] == pytest.approx(20e-6 * 86400 / 10, rel=0.2)
    assert system["seconds_left"] == pytest.approx(40, rel=0.2)
    assert system["frame_age_s"] == pytest.approx(100, abs=20)


def test_a_run_that_failed_says_why(folder):
    ended = fork_mlip(
        *MD, "protocol.nvt.temperature_K=300", "protocol.nvt.timestep_fs=20", "run_dir=run", cwd=folder
    )
    assert ended.code == 1
    text = status(folder, "run")
    assert "the last good structure, of step 0 (stage nvt), is in run/final.extxyz" in text
    assert "not running" in text
    (found,) = json.loads(status(folder, "run", "--json"))
    assert found["systems"][0]["state"] == "failed"


def fake_run(path, protocol, state="unfinished"):
    path.mkdir(parents=True)
    session = {"command": ["mlip md"], "host": "here", "started": "2026-11-21T00:00:00+0000"}
    config = {"protocol": protocol, "structure": "cell.extxyz"}
    (path / "provenance.json").write_text(
        json.dumps({"state": state, "config": config, "inputs": {}, "sessions": [session]})
    )


def test_systems_of_a_batch(folder):
    protocol = {
        "melt": {"ensemble": "nvt", "temperature_K": 900, "duration_ps": 0.1},
        "cool": {"ensemble": "nvt", "temperature_K": [900, 300], "duration_ps": 0.3},
    }
    fake_run(folder / "run", protocol)
    rows = {"000": 400, "001": 200, "002": 100, "003": None}
    for name, step in rows.items():
        system = folder / "run" / "systems" / name
        system.mkdir(parents=True)
        if step is not None:
            (system / "thermo.csv").write_text(HEADER + f"{step},{step / 1000},500,1,1,1,1,1,1\n")
    for name in ("000", "002"):
        (folder / "run" / "systems" / name / "final.extxyz").touch()
    text = status(folder, "run")
    assert "4 systems: 1 done, 1 begun, 1 failed, 1 waiting" in text
    assert "000 done: cool 400 of 400 steps" in text
    assert "002 failed: melt 100 of 400 steps" in text
    (found,) = json.loads(status(folder, "run", "--json"))
    assert found["systems"][1]["stage_step"] == 100
    assert found["systems"][1]["target_K"] == pytest.approx(700)


def test_a_protocol_that_made_no_sense(folder):
    fake_run(folder / "sweep" / "a", {"nvt": {"ensemble": "npx", "duration_ps": 0.2}})
    fake_run(folder / "sweep" / "b", {"nvt": {"ensemble": "nvt", "temperature_K": 300, "duration_ps": 0.2}})
    text = status(folder, "sweep")
    assert "ensemble=npx; expected one of" in text
    assert "no frame yet" in text


def test_training_and_members_of_a_sweep(folder):
    for seed, losses in ((1, [3.0, 1.0, 2.0]), (2, [])):
        path = folder / "sweep" / f"seed={seed}"
        fake_run(path, {})
        record = json.loads((path / "provenance.json").read_text())
        record["config"] = {"trainer": {"max_epochs": 7}}
        record["sessions"][0]["command"] = ["mlip train"]
        (path / "provenance.json").write_text(json.dumps(record))
        table = [f"{epoch},1e-3,{loss},0.5" for epoch, loss in enumerate(losses)]
        if table:
            (path / "metrics.csv").write_text(
                "\n".join(["epoch,lr,valid/loss,valid/forces_rmse", *table]) + "\n"
            )
    text = status(folder, "sweep")
    assert "sweep/seed=1: mlip train, not running" in text
    assert "epoch 3 of 7" in text
    assert "best validation in epoch 2: loss 1, forces_rmse 0.5" in text
    assert "no epoch done yet" in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["empty"], "empty holds no run"),
        (["missing"], "missing is no folder"),
        (["a", "b"], "expected one run directory"),
        (["key=1"], "expected one run directory"),
    ],
)
def test_what_is_no_run_is_one_line(tmp_path, words, message):
    (tmp_path / "empty").mkdir()
    ended = fork_mlip("status", *words, cwd=tmp_path)
    assert ended.code == 1
    assert message in ended.last_line
    assert len(ended.stderr.splitlines()) == 1
