"""The entry point that runs in everyone's lmp, and LAMMPS as a module beside torch."""

import os
import subprocess
import sys

import pytest
from ase import Atoms
from native_lammps_runs import LMP, evaluate_lammps, evaluate_reference, run_lmp, write_input

ATOMS = Atoms("LiPS", [[1, 1, 1], [3, 1, 1], [1, 3.2, 1]], cell=[8, 8, 8], pbc=True)


def run_python(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", script]
    env = {**os.environ, **environment}
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=120)


def test_imports_nothing_heavy(plugin):
    script = """
import sys
from mlip.native.plugin_path import plugin_folder
print(plugin_folder())
heavy = {"torch", "hydra", "numpy", "ase", "omegaconf", "lammps"} & set(sys.modules)
assert not heavy, heavy
"""
    finished = run_python(script)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.strip() == str(plugin.parent)


def test_is_the_registered_entry_point():
    from importlib.metadata import entry_points

    from mlip.native.plugin_path import plugin_folder

    (entry,) = [entry for entry in entry_points(group="lammps.plugins") if entry.name == "vitreous"]
    assert entry.load() is plugin_folder


@pytest.mark.parametrize("broken", ["mlip.native.library", "mlip.native.lammps_plugin"])
def test_never_raises(broken):
    script = f"""
import os, sys
sys.modules[{broken!r}] = None
from mlip.native.plugin_path import plugin_folder
assert plugin_folder() == os.devnull
"""
    finished = run_python(script)
    assert finished.returncode == 0, finished.stderr


def test_lmp_starts_without_a_built_plugin(tmp_path):
    (tmp_path / "in.lmp").write_text('print "alive"\n')
    finished = run_lmp(
        tmp_path, environment={"VITREOUS_CACHE": str(tmp_path / "nothing"), "LAMMPS_PLUGIN_PATH": ""}
    )
    assert finished.returncode == 0
    assert "alive" in finished.stdout
    assert not (tmp_path / "nothing").exists()


def test_plain_lmp_has_the_pair_style(tmp_path, plugin, toy):
    write_input(tmp_path, ATOMS, toy)
    finished = run_lmp(tmp_path, environment={"LAMMPS_PLUGIN_PATH": ""})
    assert finished.returncode == 0, finished.stdout
    assert f"Loaded 1 plugins from {plugin.parent}" in finished.stdout
    assert LMP.exists()


def test_open_lammps_beside_torch(tmp_path, plugin, toy):
    """Beside torch, twice, with gradients off; torch keeps its threads."""
    write_input(tmp_path, ATOMS, toy)
    script = f"""
import os
import torch
from mlip.native.lammps_library import open_lammps
os.chdir({str(tmp_path)!r})
torch.set_num_threads(2)
torch.set_grad_enabled(False)
for _ in range(2):
    engine = open_lammps(["-log", "none", "-screen", "none"])
    engine.file("in.lmp")
    print(repr(engine.get_thermo("pe")))
    engine.close()
assert torch.get_num_threads() == 2
torch.set_grad_enabled(True)
weight = torch.ones(3, requires_grad=True)
(weight ** 2).sum().backward()
"""
    finished = run_python(script)
    assert finished.returncode == 0, finished.stderr
    energies = [float(line) for line in finished.stdout.split()]
    assert energies == pytest.approx([evaluate_reference(ATOMS).energy] * 2, abs=1e-9)


def test_errors_reach_python_as_exceptions(tmp_path, plugin):
    write_input(tmp_path, ATOMS, "missing.nequip.pth")
    script = f"""
import os
from mlip.native.lammps_library import open_lammps
os.chdir({str(tmp_path)!r})
engine = open_lammps(["-log", "none", "-screen", "none"])
try:
    engine.file("in.lmp")
except Exception as error:
    assert "cannot open model file" in str(error)
else:
    raise SystemExit("no exception")
"""
    finished = run_python(script)
    assert finished.returncode == 0, finished.stderr


def test_threads_do_not_change_the_numbers(tmp_path, plugin, toy, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    evaluate_lammps(tmp_path, ATOMS, toy).assert_same(evaluate_reference(ATOMS))
