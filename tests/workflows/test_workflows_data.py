"""`mlip data` as a user gives it."""

import ase.io
import pytest
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from cli.cli_process import fork_mlip

from mlip.data.entry import Entry, Provenance
from mlip.data.read import read_frames
from mlip.data.store import Store

XTB = Provenance("xtb", {"method": "GFN1-xTB"}, seconds=36.0)


def frame(number, kind="bulk"):
    atoms = bulk("Li", "bcc", a=3.4 + 0.01 * number, cubic=True)
    atoms.info["config_type"] = kind
    atoms.calc = SinglePointCalculator(atoms, energy=-1.0 - number, forces=[[0.1, 0, 0], [-0.1, 0, 0]])
    return atoms


@pytest.fixture
def folder(tmp_path):
    entries = [Entry(frame(number, "bulk" if number < 12 else "slab"), XTB) for number in range(20)]
    entries.append(Entry(frame(30), XTB, failure="SCF not converged"))
    Store(str(tmp_path / "labels.db"), create=True).add(entries)
    ase.io.write(tmp_path / "frames.extxyz", [frame(number) for number in range(40, 45)])
    return tmp_path


def data(folder, *words):
    return fork_mlip("data", *words, cwd=folder)


def test_list_and_show(folder):
    listed = data(folder, "list", "store=labels.db").stdout.splitlines()
    assert listed[1].split() == [XTB.settings_hash, "bulk", "12", "1", "0", "2", "0.13"]
    assert listed[2].split() == [XTB.settings_hash, "slab", "8", "0", "0", "2", "0.08"]
    shown = data(folder, "show", "store=labels.db").stdout
    assert "method: GFN1-xTB" in shown
    assert "failed (1, first number 21): SCF not converged" in shown
    assert "energy_eV: -4.0" in data(folder, "show", "store=labels.db", "number=4").stdout
    assert "no frame of number 99" in data(folder, "show", "store=labels.db", "number=99").last_line


def test_list_of_what_ships(tmp_path):
    rows = {line.split()[0]: line for line in data(tmp_path, "list").stdout.splitlines()}
    assert rows["lips"].split()[1:3] == ["720", "-"]
    assert "CC BY 4.0" in rows["lips"]
    assert rows["lipon"].split()[2] == "recipe.yaml"


def test_merge_of_files_and_stores(folder):
    unknown = data(folder, "merge", "data=frames.extxyz", "store=all.db")
    assert unknown.code == 1
    assert "give labeler=NAME" in unknown.last_line
    words = ["labeler=xtb", "settings={method: GFN1-xTB}"]
    assert data(folder, "merge", "data=[labels.db,frames.extxyz]", "store=all.db", *words).code == 0
    assert len(read_frames(folder / "all.db")) == 25
    mixed = data(folder, "merge", "data=frames.extxyz", "store=all.db", "labeler=vasp")
    assert mixed.code == 1
    assert "different settings" in mixed.last_line
    assert data(folder, "merge", "data=frames.extxyz", "store=all.db", "labeler=vasp", "mixed=true").code == 0
    assert len(read_frames(folder / "all.db")) == 30


def test_split_export_and_check(folder):
    assert data(folder, "split", "data=labels.db", "out=parts", "valid=0.25", "blocks=2").code == 0
    sides = [ase.io.read(folder / "parts" / f"{name}.extxyz", ":") for name in ("train", "valid")]
    assert [len(side) for side in sides] == [14, 6]  # 4 of 12 in two blocks, 2 of 8
    assert data(folder, "split", "data=labels.db", "out=kinds", "by=config_type", "valid=0.3").code == 0
    valid = read_frames(folder / "kinds" / "valid.extxyz")
    assert len({atoms.info["config_type"] for atoms in valid}) == 1
    assert data(folder, "export", "data=labels.db@config_type=slab", "out=slabs.extxyz").code == 0
    exported = read_frames(folder / "slabs.extxyz")
    assert [atoms.get_potential_energy() for atoms in exported] == [-1.0 - number for number in range(12, 20)]
    assert exported[0].info["settings"] == XTB.settings_hash
    checked = data(folder, "check", "data=labels.db")
    assert (checked.code, "frames" in checked.stdout) == (0, True)


def test_check_ends_with_1_where_training_would_stop(folder):
    Store(str(folder / "labels.db")).add([Entry(frame(50), Provenance("vasp", {}))])
    checked = data(folder, "check", "data=labels.db")
    assert checked.code == 1
    assert "Mixed settings" in checked.last_line


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["lst"], "did you mean list?"),
        (["list", "stroe=a.db"], "found stroe; did you mean store?"),
        (["list", "labels.db"], "expected KEY=VALUE"),
        (["list", "store=none.db"], "found no store none.db"),
        (["split", "data=labels.db", "out=x", "valid=high"], "found valid=high; expected a number"),
        (["export", "data=labels.db@id>99", "out=x.extxyz"], "holds no frames"),
        (["export", "data=labels.db@@", "out=x.extxyz"], "labels.db@"),
    ],
)
def test_errors_are_one_line(folder, words, message):
    ended = data(folder, *words)
    assert ended.code == 1
    assert message in ended.last_line
    assert ended.last_line.startswith("mlip data: ")


def test_help_names_every_action(tmp_path):
    from mlip.workflows.data import ACTIONS

    text = data(tmp_path, "--help").stdout
    assert all(f"mlip data {action}" in text for action in ACTIONS)
