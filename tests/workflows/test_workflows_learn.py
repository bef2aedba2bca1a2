"""The loop of `mlip learn`: real dynamics, labels and training in small, killed, and told."""

import itertools
import json
import os
import signal
import time

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write
from cli.cli_process import fork_mlip, start_mlip

from mlip.data.fingerprint import fingerprint
from mlip.data.store import Store
from mlip.inputs import sha256
from mlip.workflows.learning.records import PHASES, Generation, generations

LOOP = [
    "learn",
    "data=data.extxyz",
    "valid=valid.extxyz",
    "structure=start.extxyz",
    "labeler=ase",
    "labeler.calculator_class=ase.calculators.emt.EMT",
    "explorer.temperature_K=900",
    "explorer.duration_ps=0.3",
    "explorer.every_ps=0.002",
    'explorer.overrides=["kernel=reference"]',
    'train.overrides=["model.num_features=4","model.num_layers=1","model.l_max=1","model.r_max=3.5",'
    '"model.radial_mlp_width=8","kernel=reference","trainer.max_epochs=10","data.batch_size=4"]',
    "grade.select=1.05",
    "grade.stop=4",
    "workers=1",
    "device=cpu",
    "run_dir=run",
]


@pytest.fixture
def folder(tmp_path):
    """Twelve labelled frames of cold copper, and a start for explorers that are hot."""
    frames = []
    for seed in range(12):
        atoms = bulk("Cu", cubic=True).repeat((2, 1, 1))
        atoms.rattle(0.02 + 0.002 * seed, seed=seed)
        atoms.calc = EMT()
        energy, forces, stress = atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress()
        atoms.calc = SinglePointCalculator(
            atoms, energy=energy, free_energy=energy, forces=forces, stress=stress
        )
        frames.append(atoms)
    write(tmp_path / "data.extxyz", frames[:10])
    write(tmp_path / "valid.extxyz", frames[10:])
    write(tmp_path / "start.extxyz", bulk("Cu", cubic=True).repeat((2, 1, 1)))
    return tmp_path


def kill_after(command, folder, condition, seconds=400.0):
    """Start a loop and kill it as soon as something is so; false if it ended before."""
    process = start_mlip(*command, cwd=folder, output=folder)
    deadline = time.monotonic() + seconds
    while process.is_alive() and not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    if not process.is_alive():
        return False
    os.kill(process.pid, signal.SIGKILL)
    process.join(60)
    return True


def finish(command, folder, timeout=600):
    ended = fork_mlip(*command, cwd=folder, timeout=timeout)
    assert ended.code == 0, ended.stderr[-3000:]
    return ended


def require_sound(run):
    """Every label is paid for once, every record is whole, and the data are what was labelled."""
    store = list(Store(str(run / "labels.db")).entries())
    names = [entry.fingerprint for entry in store]
    assert len(names) == len(set(names)) > 0
    done = generations(run)
    records = {(each.number, phase): each.read(phase) for each in done for phase in PHASES}
    assert sum(records[each.number, "label"]["computed"] for each in done) == len(store)
    chosen = [name for each in done for name in (each.read("select") or {}).get("fingerprints", ())]
    assert len(chosen) == len(set(chosen)) == len(store)
    for record in records.values():
        assert record is None or record["reason"]
    for each in done[1:]:
        if (each.path / "labelled.extxyz").exists():
            parts = [each.path / name for name in ("train.extxyz", "valid.extxyz")]
            divided = [frame for part in parts if part.exists() for frame in read(part, ":")]
            labelled = read(each.path / "labelled.extxyz", ":")
            assert sorted(map(fingerprint, divided)) == sorted(map(fingerprint, labelled))
            assert all(np.isfinite(frame.get_forces()).all() for frame in labelled)


@pytest.mark.slow
def test_killed_twice_the_loop_learns_and_tells(folder):
    """Given data train a potential, an explorer stops, its frames are labelled and trained on."""
    command, run = [*LOOP, "budget.generations=1"], folder / "run"
    first = Generation(run, 1)
    assert kill_after(command, folder, lambda: (first.path / "explorers").exists())
    assert kill_after(command, folder, lambda: (run / "labels.db").exists())
    finish(command, folder)
    require_sound(run)
    explored = first.read("explore")["explorers"]["explorer"]
    assert explored["ended"] == "stopped"
    assert 0.0 <= explored["known_ps"] < explored["total_ps"] == pytest.approx(0.3)
    assert first.read("train")["start"] == "fine-tuned"
    assert (run / "potential.mlip").read_bytes() == first.potential.read_bytes()
    assert json.loads((run / "end.json").read_text())["reason"] == "budget.generations=1 are done"
    told = fork_mlip("learn", "status", "run", cwd=folder).stdout
    for word in ("generation 1", "stopped", "enlarge the active sets", "fine-tuned", "budget.generations=1"):
        assert word in told
    assert "generation 1" in fork_mlip("status", "run", cwd=folder).stdout
    assert "time_to_extrapolation" in (run / "report.html").read_text() or (run / "figures").is_dir()
    assert "holds the finished run" in finish(command, folder).stderr


@pytest.mark.slow
def test_explorers_of_every_engine_run_at_once_and_as_jobs(folder):
    """Beside each other, in fixed cells and at pressure, two and training as jobs; gates at the end."""
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="pip install 'vitreous[slurm]'")
    job = "job:{launcher:submitit_local}"
    explorers = f"explorers={{ase:{{{job}}},torch:{{engine:torch}},lammps:{{engine:lammps,{job}}}}}"
    placed = ["explorer=nvt_npt", explorers, "at_once=3", f"train.{job.replace(':', '=', 1)}"]
    command = [*LOOP, *placed, "gates={gates:[pair_curves]}", "budget.generations=1"]
    finish(command, folder, timeout=900)
    run, first = folder / "run", Generation(folder / "run", 1)
    require_sound(run)
    legs = first.read("explore")["explorers"]
    assert set(legs) == {"ase", "torch", "lammps"}
    assert all(leg["total_ps"] == pytest.approx(0.6) for leg in legs.values())
    assert any(leg["ended"] == "stopped" for leg in legs.values())
    as_jobs = {path.parent.name for path in run.glob("generation_*/**/.submitit")}
    assert as_jobs == {"ase", "lammps", "train"}
    found = json.loads((first.path / "gates" / "gates.json").read_text())
    record = json.loads((run / "potential.gates.json").read_text())
    assert record["gates"] == found["gates"]
    assert record["sha256"] == sha256(run / "potential.mlip")
    page = (run / "report.html").read_text()
    assert "Gates of the newest potential" in page
    assert "Was the grade right?" in page


@pytest.mark.slow
def test_killed_ten_times_at_random_it_pays_for_no_label_twice(folder):
    command, run = [*LOOP, "budget.generations=3"], folder / "run"
    rng = np.random.default_rng(0)
    kills = 0
    while kills < 10:
        until = time.monotonic() + rng.exponential(6.0)
        if not kill_after(command, folder, lambda until=until: time.monotonic() > until):
            break
        kills += 1
    finish(command, folder)
    require_sound(run)
    assert kills >= 5
    legs = [each.read("explore")["explorers"]["explorer"] for each in generations(run)[1:]]
    for before, leg in itertools.pairwise(legs):  # none repeats what an earlier one has done
        assert leg["from_ps"] == (before["known_ps"] if before["restart"] else 0.0)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["data=null"], "found neither data nor potential"),
        (["structure=null"], "found no structure; expected one to explore from"),
        (["gates={gate.nothing:1}"], "found gates= with gate.nothing=1"),
        (["explorer.protocol=nvtt"], "found an explorer with protocol=nvtt"),
        (["grade.stop=[]"], "found grade.stop=[]; expected auto"),
        (["explorers={hot:{temperatur_K:900}}"], "did you mean temperature_K?"),
        (["at_once=0"], "found at_once=0"),
    ],
)
def test_mistakes_become_one_line_before_anything_is_paid(folder, words, message):
    ended = fork_mlip(*LOOP, *words, cwd=folder)
    assert ended.code == 1
    assert message in ended.last_line
    assert "Traceback" not in ended.stderr
    assert not (folder / "run" / "labels.db").exists()
