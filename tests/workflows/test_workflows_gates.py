"""`mlip eval gates=` and what `mlip deploy` says of it, in processes of their own."""

import json
import signal
import time
from dataclasses import asdict

import ase.io
import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from cli.cli_process import fork_mlip, start_mlip
from structures import random_structure

from md.state import State
from mlip.deploy import MLIPCalculator, Potential
from mlip.deploy.gates import GATES, Check, GateResult, read_record, record_file, standing_of, write_record
from mlip.errors import DataError

QUICK = ["gate.dynamics.duration_ps=0.01", "gate.dynamics.timestep_fs=0.1", "gate.dynamics.every_ps=0.0005"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, potential_file):
    """A potential, and frames labelled by itself with some noise."""
    folder = tmp_path_factory.mktemp("gates")
    potential = Potential.load(potential_file)
    potential.save(folder / "good.mlip")
    random = np.random.default_rng(0)
    frames = []
    for seed in range(4):
        atoms = random_structure("triclinic", seed=seed)
        atoms.calc = MLIPCalculator(potential_file, device="cpu", kernel="reference")
        forces = atoms.get_forces() + random.normal(0.0, 0.01, (len(atoms), 3))
        energy = atoms.get_potential_energy()
        atoms.calc = SinglePointCalculator(atoms, energy=energy, free_energy=energy, forces=forces)
        frames.append(atoms)
    ase.io.write(folder / "data.extxyz", frames)
    return folder


def evaluate(folder, *overrides):
    given = ["potential=good.mlip", "data=data.extxyz", "device=cpu", "kernel=reference"]
    return fork_mlip("eval", *given, *overrides, cwd=folder)


def test_gates_leave_a_record_that_deploy_reads(folder):
    ended = evaluate(folder, "gates=[energy,pair_curves]", *QUICK)
    assert ended.code == 0, ended.stderr
    run = folder / "runs" / "eval"
    found = json.loads((run / "gates.json").read_text())
    assert list(found["gates"]) == ["pair_curves", "energy"]  # what takes seconds first
    assert (run / "errors.json").exists()
    assert (run / "gates" / "energy" / "thermo.csv").exists()
    assert (run / "gates" / "pair_curves.png").exists()
    report = (run / "report.html").read_text()
    assert "Conservation of energy" in report
    assert all(line in ended.stderr for line in found["gates"]["pair_curves"]["advice"])
    record = json.loads((folder / "good.gates.json").read_text())
    assert record["sha256"] == found["potential"]["sha256"]
    assert record["gates"] == found["gates"]

    deployed = fork_mlip("deploy", "potential=good.mlip", "device=cpu", cwd=folder)
    assert deployed.code == 0, deployed.stderr
    standing = json.loads((folder / "runs" / "deploy" / "manifest.json").read_text())["gates"]
    assert standing == asdict(standing_of(folder / "good.mlip"))
    assert (
        "has not passed the gates equation_of_state, nvt, npt, rdf, cross_validation: mlip eval"
        in deployed.stderr
    )
    for name in standing["failed"]:
        assert f"failed the gate {name}: " in deployed.stderr


@pytest.mark.slow
def test_the_same_command_with_more_gates_goes_on(folder):
    evaluate(folder, "gates=[energy]", "run_dir=more", *QUICK)
    before = (folder / "more" / "gates" / "energy" / "thermo.csv").read_text()
    ended = evaluate(folder, "gates=[energy,pair_curves]", "run_dir=more", *QUICK)
    assert ended.code == 0, ended.stderr
    assert (folder / "more" / "gates" / "energy" / "thermo.csv").read_text() == before
    assert set(json.loads((folder / "more" / "gates.json").read_text())["gates"]) == {"energy", "pair_curves"}


@pytest.mark.slow
def test_killed_inside_the_run_of_a_gate_it_goes_on(folder):
    """To the last digit as if nothing had happened, from the last checkpoint."""
    longer = ["gates=[nvt]", *QUICK, "gate.dynamics.duration_ps=0.03"]
    given = ["potential=good.mlip", "data=data.extxyz", "device=cpu", "kernel=reference", "run_dir=killed"]
    run = folder / "killed" / "gates" / "nvt"
    process = start_mlip("eval", *given, *longer, cwd=folder, output=folder, checkpoint_every_s=0.05)
    deadline = time.monotonic() + 400.0
    while process.is_alive() and not (run / "restart.npz").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert 0 < State.load(run / "restart.npz").steps_done < 300
    assert not (folder / "killed" / "gates.json").exists()
    assert evaluate(folder, *longer, "run_dir=killed").code == 0
    assert evaluate(folder, *longer, "run_dir=whole").code == 0
    whole = (folder / "whole" / "gates" / "nvt" / "thermo.csv").read_text()
    assert (run / "thermo.csv").read_text() == whole
    found = [json.loads((folder / name / "gates.json").read_text()) for name in ("killed", "whole")]
    values = [[check["value"] for check in each["gates"]["nvt"]["checks"]] for each in found]
    assert values[0] == values[1]


@pytest.mark.slow
def test_lammps_runs_gates_as_ase_does(folder):
    """Without a thermostat both follow the same path, and judge it alike."""
    found = {}
    for engine in ("ase", "lammps"):
        ended = evaluate(folder, f"engine={engine}", "gates=[energy]", *QUICK, f"run_dir={engine}")
        assert ended.code == 0, ended.stderr
        content = json.loads((folder / engine / "gates.json").read_text())
        found[engine] = [check["value"] for check in content["gates"]["energy"]["checks"]]
        table = np.genfromtxt(folder / engine / "gates" / "energy" / "thermo.csv", delimiter=",", names=True)
        found[f"{engine} energies"] = table["potential_eV"]
    np.testing.assert_allclose(found["lammps energies"], found["ase energies"], rtol=1e-6)
    np.testing.assert_allclose(found["lammps"], found["ase"], rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("gates=[rdf]", "cannot try the gate rdf: it needs reference dynamics, gate.rdf.trajectory=FILE"),
        ("gates=[pair_curve]", "found gates=pair_curve; did you mean pair_curves?"),
        ("gates=[cross_validation]", "gate.cross_validation.train={trainer.max_epochs:100}"),
        ("gate.energy.drift_meV_atom_ps=low", "expected a number"),
    ],
)
def test_what_cannot_be_tried_is_said_in_a_line(folder, override, said):
    gates = [] if override.startswith("gates") else ["gates=[energy]", *QUICK]
    ended = evaluate(folder, override, *gates, "run_dir=refused")
    assert ended.code == 1
    assert said in ended.last_line


@pytest.mark.slow
def test_a_committee_stands_beside_the_grade(folder, graded_file):
    """Of the same weights, so it never disagrees, which tells nothing of errors; the last layer does."""
    overrides = [f"potential={graded_file}", "data=data.extxyz", "committee=[good.mlip]", "run_dir=together"]
    ended = fork_mlip("eval", *overrides, "device=cpu", "kernel=reference", cwd=folder)
    assert ended.code == 0, ended.stderr
    found = json.loads((folder / "together" / "uncertainty.json").read_text())["calibration"]
    assert found["committee"]["rank_of_deviation"] is None
    assert found["last layer"]["rank_of_deviation"] is not None
    assert found["committee"]["rank_of_grade"] == found["last layer"]["rank_of_grade"]
    assert (folder / "together" / "grade_calibration.png").exists()


@pytest.mark.slow
def test_gates_that_label_and_train(folder):
    """Each verb in a run directory of its own: volumes labelled by Lennard-Jones, two parts trained."""
    ase.io.write(folder / "crystal.extxyz", bulk("Li", "fcc", a=1.55, cubic=True))
    label = "{labeler:ase,labeler.calculator_class:ase.calculators.lj.LennardJones}"
    ended = evaluate(
        folder,
        "gates=[equation_of_state,cross_validation]",
        "gate.equation_of_state.crystals=crystal.extxyz",
        f"gate.equation_of_state.label={label}",
        "gate.cross_validation.folds=2",
        "gate.cross_validation.train={trainer.max_epochs:1,data.valid_fraction:0.5,kernel:reference}",
        "run_dir=dear",
    )
    assert ended.code == 0, ended.stderr
    found = json.loads((folder / "dear" / "gates.json").read_text())["gates"]
    assert found["equation_of_state"]["checks"][0]["name"] == "Li4 volume off by"
    assert len(found["cross_validation"]["checks"]) == 2
    for fold in "01":
        trained = Potential.load(folder / "dear" / "gates" / "cross_validation" / fold / "potential.mlip")
        assert trained.config == Potential.load(folder / "good.mlip").config
    parts = [folder / "dear" / "gates" / "cross_validation" / f"test_{k}.extxyz" for k in range(2)]
    assert sum(len(ase.io.read(part, ":")) for part in parts) == 4


def result(name, value):
    return GateResult(name, (Check("number", value, "eV", 1.0, f"add more for {name}"),), "as ever")


def test_a_record_belongs_to_the_bytes_of_a_potential(tmp_path):
    potential = tmp_path / "a.mlip"
    potential.write_bytes(b"one")
    write_record(potential, [result("pair_curves", 0.5), result("nvt", float("nan"))])
    write_record(potential, [result("energy", 2.0)])
    standing = standing_of(potential)
    assert standing.passed == ["pair_curves"]
    assert standing.failed == {"energy": ["add more for energy"], "nvt": ["add more for nvt"]}
    assert standing.untried == [name for name in GATES if name not in ("pair_curves", "energy", "nvt")]
    potential.write_bytes(b"another")
    assert standing_of(potential).untried == list(GATES)
    write_record(potential, [result("energy", 0.0)])
    assert list(read_record(potential)) == ["energy"]


def test_a_damaged_record_is_said_in_a_line(tmp_path):
    potential = tmp_path / "a.mlip"
    potential.write_bytes(b"one")
    record_file(potential).write_text("{")
    with pytest.raises(DataError, match=r"unreadable .*; delete it"):
        standing_of(potential)


def test_limits_from_both_sides():
    assert Check("n", 1.0, "", 1.0, "").passed
    assert not Check("n", 1.1, "", 1.0, "").passed
    assert Check("n", 1.1, "", 1.0, "", at_least=True).passed
    assert not Check("n", 0.9, "", 1.0, "", at_least=True).passed
    assert Check("n", np.float64(1.0), "", 1.0, "").passed is True  # what JSON takes
    assert not Check("n", float("nan"), "", 1.0, "", at_least=True).passed
