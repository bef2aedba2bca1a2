"""Batches: nothing is paid for twice, what fails is kept with the reason."""

from concurrent.futures import Future

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones

from mlip.data.read import read_frames
from mlip.data.store import Store
from mlip.errors import SimulationError
from mlip.labelers.ase import AseLabeler
from mlip.labelers.batch import label_frames
from mlip.labelers.workers import ProcessDeathError

LABELER = AseLabeler(calculator_class="test_labelers_batch.Fragile", charge_argument="charge")


class Fragile(LennardJones):
    """A calculator that refuses cells of gold and forgets forces of silver."""

    def __init__(self, charge):
        super().__init__()
        self.charge = charge

    def calculate(self, atoms, properties, system_changes):
        if "Au" in atoms.symbols:
            raise RuntimeError("cycle did\nnot converge")
        super().calculate(atoms, properties, system_changes)
        self.results["free_energy"] = self.results["energy"] + self.charge - 0.125
        if "Ag" in atoms.symbols:
            self.results["forces"] = self.results["forces"] * np.nan


class Submitted:
    """Calls in this process, counted."""

    def __init__(self, error=None):
        self.calls, self.error = 0, error

    def __call__(self, function, labeler, atoms, folder):
        self.calls += 1
        future = Future()
        if self.error is not None:
            future.set_exception(self.error)
        else:
            future.set_result(function(labeler, atoms, folder))
        return future


@pytest.fixture
def labeler(monkeypatch, request):
    monkeypatch.setitem(__import__("sys").modules, "test_labelers_batch", __import__("sys").modules[__name__])
    return LABELER


def frame(symbol="Cu", a=3.6, **info) -> Atoms:
    atoms = bulk(symbol, "fcc", a=a)
    atoms.info |= info
    return atoms


def label(frames, labeler, folder, submit=None, **settings):
    submit = submit or Submitted()
    with_store = Store(str(folder / "labels.db"), create=True)
    entries, tally = label_frames(frames, labeler, with_store, submit, folder / "work", **settings)
    return entries, tally, submit.calls


def test_energy_is_the_force_consistent_one(labeler, tmp_path):
    (entry,), _, _ = label([frame(config_type="bulk")], labeler, tmp_path)
    alone = frame()
    alone.calc = LennardJones()
    assert entry.atoms.calc.results["free_energy"] == alone.get_potential_energy() - 0.125
    (read,) = read_frames(str(tmp_path / "labels.db"))
    assert read.calc.results["energy"] == alone.get_potential_energy() - 0.125
    assert read.info["config_type"] == "bulk"
    assert not list((tmp_path / "work").iterdir())


def test_duplicates_are_paid_for_once(labeler, tmp_path):
    moved = frame()
    moved.positions += 1.0
    entries, tally, calls = label([frame(), frame(a=3.7), moved, frame(charge=1)], labeler, tmp_path)
    assert calls == tally.labelled == 3
    assert [entry.atoms.info.get("charge", 0) for entry in entries] == [0, 0, 1]
    assert [entry.atoms.cell.cellpar()[0] < 2.6 for entry in entries] == [True, False, True]
    energies = [entry.atoms.calc.results["energy"] for entry in entries]
    assert energies[2] == energies[0] + 1
    entries, tally, calls = label([frame(a=3.8), frame(a=3.7)], labeler, tmp_path)
    assert calls == tally.labelled == 1
    assert len(entries) == 2


def test_other_settings_are_other_labels(labeler, tmp_path):
    other = AseLabeler(calculator_class="ase.calculators.emt.EMT")
    (one,), _, _ = label([frame()], labeler, tmp_path)
    (two,), _, calls = label([frame()], other, tmp_path)
    assert calls == 1
    assert one.provenance.settings_hash != two.provenance.settings_hash
    alone = frame()
    alone.calc = EMT()
    assert two.atoms.calc.results["energy"] == alone.get_potential_energy(force_consistent=True)


def test_failed_frames_keep_the_reason_and_never_train(labeler, tmp_path):
    frames = [frame(), frame("Au"), frame("Ag")]
    entries, tally, _ = label(frames, labeler, tmp_path)
    assert (tally.labelled, tally.failed) == (1, 2)
    assert entries[1].failure == "RuntimeError: cycle did not converge"
    assert entries[2].failure == "found numbers that are not finite in its forces"
    assert entries[1].provenance.seconds > 0
    assert (tmp_path / "work" / entries[1].atoms.info["files"]).is_dir()
    assert [each.get_chemical_formula() for each in read_frames(str(tmp_path / "labels.db"))] == ["Cu"]
    assert label(frames, labeler, tmp_path)[2] == 0
    assert label(frames, labeler, tmp_path, retry_failed=True)[2] == 2
    assert len(list((tmp_path / "work").iterdir())) == 2


def test_failures_one_and_all_stop_the_batch(labeler, tmp_path):
    frames = [frame("Au", a) for a in np.linspace(4.0, 4.6, 7)]
    with pytest.raises(SimulationError, match="retry_failed"):
        label(frames, labeler, tmp_path)
    assert len(list(Store(str(tmp_path / "labels.db")).entries())) == 5


def test_frame_whose_process_died_failed(labeler, tmp_path):
    (entry,), _, _ = label([frame()], labeler, tmp_path, Submitted(ProcessDeathError("killed by a signal")))
    assert entry.failure == "killed by a signal"


def test_frame_that_a_cluster_lost_is_computed_next_time(labeler, tmp_path):
    with pytest.raises(SimulationError, match=r"1 frames were lost .*node went away"):
        label([frame()], labeler, tmp_path, Submitted(RuntimeError("node went away")))
    (entry,), _, calls = label([frame()], labeler, tmp_path)
    assert calls == 1
    assert entry.failure is None
