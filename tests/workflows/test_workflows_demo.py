"""The demonstration at its smallest, as a user runs it, and what it does when it is killed."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

DEMO = [sys.executable, "-m", "mlip.cli", "demo", "size=mini", "run_dir=demo"]


@pytest.mark.slow
def test_the_whole_path_survives_a_kill_and_leaves_its_report(tmp_path):
    killed = subprocess.Popen(DEMO, cwd=tmp_path, stderr=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 600
    while not (tmp_path / "demo" / "melt_quench" / "restart.npz").exists():
        assert time.monotonic() < deadline, "the melt-quench never began"
        time.sleep(0.2)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    trained = (tmp_path / "demo" / "train" / "potential.mlip").stat().st_mtime_ns

    again = subprocess.run(DEMO, cwd=tmp_path, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "demo" / "train" / "potential.mlip").stat().st_mtime_ns == trained
    page = (tmp_path / "demo" / "report.html").read_text()
    for chapter in ("Training", "Deployment", "Melt-quench by the ASE", "Ladder of temperatures in LAMMPS"):
        assert chapter in page
    assert page.count("data:image/png") >= 8
    results = json.loads((tmp_path / "demo" / "results.json").read_text())
    ladder = results["ladder"]
    assert {"diffusivity.rung_400K", "diffusivity.rung_300K"} <= ladder.keys()
    assert ladder["diffusivity.rung_400K"]["unit"] == "cm^2/s"
    assert ladder["density.rung_400K"]["value"] == pytest.approx(1.951, abs=1e-3)
