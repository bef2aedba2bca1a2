"""The store keeps every number, pays for nothing twice, loses nothing to many writers, in both databases."""

import os
import signal
import time
from itertools import count

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms
from forks import FORKS
from postgresql_server import running_server

from mlip.data.entry import Entry, Provenance, settings_hash
from mlip.data.fingerprint import fingerprint
from mlip.data.merge import merge
from mlip.data.preflight import run_preflight
from mlip.data.read import read_frames
from mlip.data.store import Store
from mlip.database import hash_rows, split_selection, writing_alone
from mlip.errors import DataError
from mlip.inputs import hash_input

PBE = Provenance("vasp", {"xc": "PBE", "encut_eV": 520, "kpts": (2, 2, np.int64(1))}, 3, 1.25, 99.5)
SCAN = Provenance("vasp", {"xc": "SCAN", "encut_eV": 520})
_numbers = count()


@pytest.fixture(scope="module")
def server():
    with running_server() as create:
        yield create


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request, tmp_path):
    if request.param == "sqlite":
        return str(tmp_path / "labels.db")
    return request.getfixturevalue("server")(f"labels{next(_numbers)}")


def labelled(seed, **info):
    """Eight atoms with numbers of all 53 bits."""
    random = np.random.default_rng(seed)
    atoms = bulk("LiCl", "rocksalt", a=5.13, cubic=True)
    atoms.positions += random.normal(scale=0.1, size=(8, 3))
    atoms.calc = SinglePointCalculator(
        atoms,
        energy=random.normal() * 1e3,
        free_energy=random.normal() * 1e3,
        forces=random.normal(size=(8, 3)) / 3.0,
        stress=random.normal(size=6) / 7.0,
    )
    atoms.info.update(info)
    return atoms


def test_round_trip_is_exact(place):
    atoms = labelled(
        0, config_type="300", kpts=[2, 2, 2], lineage='[{"builder": "x"}]', share=np.float64(0.1)
    )
    atoms.set_array("force_mask", np.arange(8) % 2 == 0)
    atoms.set_constraint(FixAtoms([0]))
    Store(place, create=True).add([Entry(atoms, PBE)])
    (entry,) = Store(place).entries()
    for name, value in atoms.calc.results.items():
        np.testing.assert_array_equal(entry.atoms.calc.results[name], value, strict=False)
    (frame,) = read_frames(place)
    assert frame.get_potential_energy() == atoms.calc.results["free_energy"]
    np.testing.assert_array_equal(frame.get_forces(), atoms.calc.results["forces"])
    np.testing.assert_array_equal(frame.get_stress(), atoms.calc.results["stress"])
    for mine, theirs in ((frame.positions, atoms.positions), (frame.cell.array, atoms.cell.array)):
        np.testing.assert_array_equal(mine, theirs)
    assert frame.arrays["force_mask"].dtype == bool
    np.testing.assert_array_equal(frame.arrays["force_mask"], atoms.arrays["force_mask"])
    assert {key: frame.info[key] for key in atoms.info} == dict(atoms.info)
    assert (frame.info["labeler"], frame.info["settings"]) == ("vasp", PBE.settings_hash)
    assert entry.provenance == Provenance(
        "vasp", {"xc": "PBE", "encut_eV": 520, "kpts": [2, 2, 1]}, 3, 1.25, 99.5
    )
    assert (entry.number, entry.failure, entry.fingerprint) == (1, None, fingerprint(atoms))


def test_nothing_is_paid_for_twice(place):
    store = Store(place, create=True)
    first, turned = labelled(0), labelled(0)[::-1]
    turned.positions = turned.positions @ np.diag([-1, 1, 1]) + 0.3
    turned.cell = turned.cell.array @ np.diag([-1, 1, 1])
    turned.calc = first.calc
    assert store.add([Entry(first, PBE), Entry(labelled(1), PBE)]) == 2
    assert store.add([Entry(turned, PBE), Entry(labelled(1), SCAN)]) == 1
    assert store.find(fingerprint(turned), PBE.settings_hash).number == 1
    assert store.find(fingerprint(first), SCAN.settings_hash) is None
    assert store.known(PBE.settings_hash) == {fingerprint(labelled(seed)): True for seed in (0, 1)}


def test_failed_frames_are_kept_and_never_trained_on(place):
    store = Store(place, create=True)
    store.add([Entry(labelled(0), PBE), Entry(labelled(1), PBE, failure="SCF not converged in 60 steps")])
    store.add([Entry(labelled(1), PBE, failure="again")])
    assert [entry.failure for entry in store.entries()] == [None, "SCF not converged in 60 steps"]
    assert len(read_frames(place)) == 1
    assert "energy" not in store.find(fingerprint(labelled(1)), PBE.settings_hash).atoms.__dict__
    assert store.known(PBE.settings_hash)[fingerprint(labelled(1))] is False
    assert store.add([Entry(labelled(1), PBE)]) == 1  # labelled after all
    assert [entry.number for entry in store.entries()] == [1, 2]
    assert len(read_frames(place)) == 2
    store.add([Entry(labelled(1), PBE, failure="too late")])
    assert len(read_frames(place)) == 2


def test_selections(place):
    store = Store(place, create=True)
    store.add(
        Entry(labelled(seed, config_type=kind), PBE) for seed, kind in enumerate(("slab", "slab", "bulk"))
    )
    store.add([Entry(labelled(9, config_type="bulk"), SCAN)])
    assert len(read_frames(f"{place}@config_type=slab")) == 2
    assert len(read_frames(f"{place}@config_type=bulk,generation<2")) == 1
    assert len(read_frames([f"{place}@settings={PBE.settings_hash}", place])) == 7
    assert len(read_frames(place, index="-2:")) == 2
    assert len(read_frames(place, index=-1)) == 1
    with pytest.raises(DataError, match="energy=low"):
        read_frames(f"{place}@energy=low")
    with pytest.raises(DataError, match="no frames"):
        read_frames(f"{place}@config_type=glass")


def test_training_refuses_mixed_settings(place):
    store = Store(place, create=True)
    store.add([Entry(labelled(0), PBE), Entry(labelled(1), SCAN)])
    errors = " ".join(run_preflight(read_frames(place)).errors)
    assert PBE.settings_hash in errors
    assert SCAN.settings_hash in errors


def test_merge_joins_what_belongs_together(place, tmp_path):
    one, other = str(tmp_path / "one.db"), str(tmp_path / "other.db")
    Store(one, create=True).add([Entry(labelled(0), PBE), Entry(labelled(1), PBE, failure="crashed")])
    Store(other, create=True).add([Entry(labelled(1), PBE), Entry(labelled(2), SCAN)])
    assert merge(place, [one]) == 2
    with pytest.raises(DataError, match="different settings"):
        merge(place, [other])
    assert len(list(Store(place).entries())) == 2
    assert merge(place, [f"{other}@settings={PBE.settings_hash}"]) == 1
    assert merge(place, [other], mixed=True) == 1
    np.testing.assert_array_equal(
        [entry.atoms.get_potential_energy() for entry in Store(place).entries()],
        [labelled(seed).calc.results["energy"] for seed in (0, 1, 2)],
    )


def add_one_by_one(place, seeds):
    store = Store(place, create=True)
    for seed in seeds:
        store.add([Entry(labelled(seed, config_type=f"kind{seed}"), PBE)])


def add_in_step(place, number, barrier):
    """Make the tables, then add a frame that all add and one of its own, each time when all are ready."""
    barrier.wait(60)
    store = Store(place, create=True)
    for turn in range(8):
        frames = [labelled(seed, config_type=f"kind{seed}") for seed in (turn, 8 * number + turn)]
        entries = [Entry(frame, PBE) for frame in frames]
        barrier.wait(60)
        store.add(entries)


def test_writers_at_once_lose_nothing(place):
    """Also those that write the same, and those that all make the tables."""
    barrier = FORKS.Barrier(4)
    writers = [FORKS.Process(target=add_in_step, args=(place, number, barrier)) for number in (1, 2, 3, 4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(timeout=240)
    assert [writer.exitcode for writer in writers] == [0] * 4
    entries = {entry.fingerprint: entry for entry in Store(place).entries()}
    assert len(list(Store(place).entries())) == 40
    for seed in range(40):
        entry = entries[fingerprint(labelled(seed))]
        assert entry.atoms.calc.results["energy"] == labelled(seed).calc.results["energy"]
        (selected,) = Store(place).entries(f"config_type=kind{seed}")  # rows and their keys go together
        assert selected.number == entry.number


def hold(place, ready):
    with writing_alone(place):
        ready.set()
        time.sleep(600)


def test_a_killed_writer_locks_nobody_out(place):
    Store(place, create=True)
    ready = FORKS.Event()
    writer = FORKS.Process(target=hold, args=(place, ready))
    writer.start()
    assert ready.wait(60)
    os.kill(writer.pid, signal.SIGKILL)
    writer.join(60)
    add_one_by_one(place, [0])
    assert len(read_frames(place)) == 1


def test_what_a_database_cannot_hold_changes_nothing(place):
    store = Store(place, create=True)
    with pytest.raises(DataError, match="expected text, numbers"):
        store.add([Entry(labelled(0), PBE), Entry(labelled(1, model=object()), PBE)])
    assert list(store.entries()) == []


def test_the_hash_of_an_input_follows_its_content(place):
    store = Store(place, create=True)
    store.add([Entry(labelled(0), PBE)])
    before = hash_input(f"{place}@labeler=vasp"), hash_rows(place)
    assert (hash_input(place), hash_rows(place)) == before
    store.add([Entry(labelled(1), PBE)])
    assert hash_input(place) != before[0]
    assert hash_rows(place) != before[1]


def test_names():
    assert split_selection("a.db@labeler=xtb,id<3") == ("a.db", "labeler=xtb,id<3")
    assert split_selection("postgresql://me:pw@host/name") == ("postgresql://me:pw@host/name", "")
    assert split_selection("postgresql://me@host/name@id<3") == ("postgresql://me@host/name", "id<3")
    assert split_selection("a.db@recipe=lipon/slabs") == ("a.db", "recipe=lipon/slabs")
    named = "postgresql://me@host/name"
    assert split_selection(f"{named}@recipe=lipon/slabs") == (named, "recipe=lipon/slabs")
    assert split_selection("frames@300K.extxyz") == ("frames@300K.extxyz", "")
    assert settings_hash("xtb", {"a": 1, "b": [2]}) == settings_hash("xtb", {"b": (2,), "a": 1})
    assert settings_hash("xtb", {"a": 1}) != settings_hash("xtb", {"a": 2})


def test_errors_say_what_to_do(tmp_path):
    with pytest.raises(DataError, match="expected one, looking from"):
        Store(str(tmp_path / "none.db"))
    with pytest.raises(DataError, match=r"ends in \.db"):
        Store("frames.extxyz")
    (tmp_path / "text.db").write_text(
        "no database at all, but text that is long enough to be read as one" * 20
    )
    with pytest.raises(DataError, match="cannot be used"):
        Store(str(tmp_path / "text.db"))
    with pytest.raises(DataError, match="without energy"):
        Entry(Atoms("Li", pbc=False), PBE)
    with pytest.raises(DataError) as error:
        Store("postgresql://me:secret@127.0.0.1:1/none")
    assert "secret" not in str(error.value)
