"""Which frames the loop chooses, whichever engine explored; what it cuts of them; which labels it counts."""

from dataclasses import asdict, replace
from functools import partial

import numpy as np
import pytest
from ase.io import write
from hydra import compose
from omegaconf import OmegaConf
from structures import random_structure

from md.run import run_md
from mlip.data.fingerprint import fingerprint
from mlip.labelers.ase import AseLabeler
from mlip.runs import Run
from mlip.workflows.learning.choose import SELECTED, select
from mlip.workflows.learning.legs import Leg
from mlip.workflows.learning.plan import Subcells, Thresholds
from mlip.workflows.learning.records import (
    Generation,
    read_frames_of,
    write_frames,
)
from mlip.workflows.learning.teach import label


@pytest.fixture
def explored(tmp_path, graded_file, plan):
    """Selection after a short run of an engine, in a folder of its own."""
    dense = random_structure("triclinic", seed=20)  # none of those that the grade was fitted to
    dense.set_cell(0.93 * dense.cell.array, scale_atoms=True)
    write(tmp_path / "disordered.extxyz", dense)

    def run(engine, plan=plan):
        generation = Generation(tmp_path / engine, 1)
        folder = generation.path / "explorers" / "x"
        folder.mkdir(parents=True)
        before = Generation(tmp_path / engine, 0)
        before.path.mkdir()
        before.potential.write_bytes(graded_file.read_bytes())
        words = [f"engine={engine}", f"structure={tmp_path}/disordered.extxyz", f"potential={graded_file}"]
        words += ["protocol=nve", "protocol.nve.temperature_K=2000", "protocol.nve.duration_ps=0.02"]
        words += ["protocol.nve.every_ps=0.002", "protocol.nve.timestep_fs=0.5", "kernel=reference"]
        words += ["device=cpu", "grade.stop=null", "grade.mark=0.1"]
        run_md(compose("md", words), Run(folder, resumed=False, finished=False))
        leg = Leg("broke", 0, 0, 0.0, 0.0, 1.0, frames=0, highest_grade=0.0, restart="", reason="")
        record = {"potential": 0, "explorers": {"x": asdict(leg)}}
        as_explored = replace(plan, grade=Thresholds(select=0.1))
        return generation, select(as_explored, generation, record, None)

    return run


@pytest.mark.usefixtures("composing")
def test_the_same_frames_are_selected_whichever_engine_explored(explored):
    generation, record = explored("ase")
    assert record["candidates"] > 3
    assert record["supplied"] > 0
    for engine in ("torch", "lammps"):
        other_generation, other_record = explored(engine)
        assert other_record["fingerprints"] == record["fingerprints"]
        assert other_record["supplied"] == record["supplied"]
        assert [each["step"] for each in other_record["chosen"]] == [
            each["step"] for each in record["chosen"]
        ]
        frames = [read_frames_of(each.path / SELECTED) for each in (generation, other_generation)]
        for one, other in zip(*frames, strict=True):
            np.testing.assert_allclose(one.positions, other.positions, atol=1e-6)
            assert one.info["explorer"] == "x"


@pytest.mark.parametrize(
    ("grades", "threshold", "taken"),
    [
        ([2.0, 7.0, 30.0], 0.1, [2.0, 7.0]),
        ([30.0], 0.1, [30.0]),
        ([2.0, 7.0, 30.0], 1e9, [2.0, 7.0, 30.0]),  # nothing is new below: then beyond
    ],
)
def test_what_is_beyond_the_stop_is_labelled_only_if_there_is_nothing_else(
    tmp_path, graded_file, plan, grades, threshold, taken
):
    before, generation = (Generation(tmp_path, number) for number in (0, 1))
    before.path.mkdir()
    before.potential.write_bytes(graded_file.read_bytes())
    frames = [random_structure("triclinic", seed=20 + number) for number in range(len(grades))]
    for frame, grade in zip(frames, grades, strict=True):
        frame.set_cell(0.8 * frame.cell.array, scale_atoms=True)  # nothing like what trained
        frame.info["max_grade"] = grade
    folder = generation.path / "explorers" / "x"
    folder.mkdir(parents=True)
    write(folder / "extrapolating.extxyz", frames)
    leg = Leg("stopped", 0, 0, 0.0, 0.0, 1.0, frames=len(frames), highest_grade=30.0, restart="", reason="")
    record = {"potential": 0, "explorers": {"x": asdict(leg)}}
    plan = replace(plan, grade=Thresholds(select=threshold, stop=10.0))
    assert select(plan, generation, record, None)["candidate_grades"] == taken


@pytest.mark.usefixtures("composing")
def test_large_frames_are_cut_around_the_atom_of_the_highest_grade(explored, plan):
    generation, record = explored("ase", replace(plan, subcells=Subcells(above=6, num_atoms=3)))
    pieces = read_frames_of(generation.path / SELECTED)
    assert len(pieces) == len(record["chosen"]) > 0
    for piece, said in zip(pieces, record["chosen"], strict=True):
        assert 1 <= len(piece) < 12
        assert piece.arrays["extrapolation_grade"].max() == pytest.approx(said["max_grade"])
        assert said["element"] in piece.symbols


def test_labels_of_another_loop_are_not_counted(tmp_path, plan, graded_file):
    """Two loops with one store, in the same generation: each counts what it has paid for."""
    labeler = AseLabeler(calculator_class="ase.calculators.lj.LennardJones")
    config = OmegaConf.create({"store": str(tmp_path / "shared.db"), "workers": 1})
    shared, new = (random_structure("triclinic", seed=seed) for seed in (30, 31))
    records = []
    for name, frames in (("one", [shared]), ("two", [shared, new])):
        before, generation = (Generation(tmp_path / name, number) for number in (0, 1))
        before.path.mkdir(parents=True)
        generation.path.mkdir()
        before.potential.write_bytes(graded_file.read_bytes())
        write_frames(generation.path / SELECTED, frames)
        records.append(generation.once("label", partial(label, config, plan, generation, labeler)))
    assert [(record["labelled"], record["computed"]) for record in records] == [(1, 1), (2, 1)]
    assert set(records[1]["before"]["frames"]) == {fingerprint(shared), fingerprint(new)}
    (generation.path / "label.json").unlink()  # killed after its labels were paid for, before the record
    assert generation.once("label", partial(label, config, plan, generation, labeler))["computed"] == 1
