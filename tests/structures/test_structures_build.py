"""The frame around builders: names, options, seeds, lineage, and the command."""

import json

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms
from cli.cli_process import fork_mlip

from mlip.data.read import read_frames
from mlip.errors import ConfigError, DataError
from mlip.structures.build import read_parents, write_structures
from mlip.structures.builders import BUILDERS, build, find_builder
from mlip.structures.lineage import hash_structure, read_lineage, record_file


@pytest.fixture
def crystal():
    return bulk("LiCl", "rocksalt", 5.13)


def test_every_builder_is_there():
    for name in BUILDERS:
        assert find_builder(name).__name__.startswith("build_")


def test_hash_survives_a_file_and_tells_structures_apart(crystal, tmp_path):
    rattled = next(build("rattled", {}, [crystal]))
    ase.io.write(tmp_path / "one.extxyz", rattled)
    assert hash_structure(ase.io.read(tmp_path / "one.extxyz")) == hash_structure(rattled)
    moved, swapped, open_ = rattled.copy(), rattled.copy(), rattled.copy()
    moved.positions[0, 0] += 1e-7
    swapped.numbers[0] = 11
    open_.pbc = False
    hashes = {hash_structure(atoms) for atoms in (crystal, rattled, moved, swapped, open_)}
    assert len(hashes) == 5


def test_lineage_is_a_chain_through_files_and_builders(crystal, tmp_path):
    crystal.info["charge"] = -1.0
    record_file(crystal, 'a "strange"\\name', 7)
    for step in range(3):
        structures = list(build("rattled", {"count": 2}, [crystal], seed=step))
        write_structures(iter(structures), tmp_path / f"{step}.extxyz")
        crystal = read_parents([str(tmp_path / f"{step}.extxyz")], "-1")[0]
    steps = read_lineage(crystal)
    assert [next(iter({"file", "builder"} & each.keys())) for each in steps] == ["file"] + [
        "builder",
        "file",
    ] * 3
    assert steps[0]["file"] == "a 'strange'/name"
    assert steps[0]["frame"] == 7
    assert steps[1]["options"] == {"deviation_A": 0.1, "count": 2}
    assert [each["index"] for each in steps if "index" in each] == [1, 1, 1]
    assert [each["parents"] for each in steps] == [[], *([each["hash"]] for each in steps[:-1])]
    assert crystal.info["charge"] == -1.0
    assert steps[-1]["hash"] == hash_structure(crystal)


def test_lineage_says_how_to_build_it_again(crystal):
    last = list(build("rattled", {"count": 3}, [crystal, crystal], seed=5))[-1]
    (step,) = read_lineage(last)
    assert step["parents"] == [hash_structure(crystal)]
    again = list(find_builder(step["builder"])(crystal, **step["options"], seed=step["seed"]))[step["index"]]
    assert hash_structure(again) == step["hash"] == hash_structure(last)


def test_seeds_differ_from_parent_to_parent_and_repeat(crystal):
    def positions(seed):
        return [atoms.positions for atoms in build("rattled", {"count": 1}, [crystal, crystal], seed)]

    first, second = positions(0)
    assert not np.allclose(first, second)
    assert np.array_equal(positions(0), [first, second])
    assert not np.allclose(positions(1)[0], first)


def test_nothing_of_a_parent_that_is_not_its_child_s(crystal):
    crystal.calc = SinglePointCalculator(crystal, energy=1.0, forces=np.zeros((2, 3)))
    crystal.set_constraint(FixAtoms([0]))
    crystal.set_velocities(np.ones((2, 3)))
    crystal.info |= {"energy": 1.0, "config_type": "old", "charge": 2}
    (child,) = build("rattled", {"count": 1}, [crystal])
    assert child.calc is None
    assert child.constraints == []
    assert set(child.arrays) == {"numbers", "positions"}
    assert set(child.info) == {"config_type", "charge", "lineage"}
    assert child.info["config_type"] == "rattled"
    assert crystal.calc is not None


@pytest.mark.parametrize(
    ("name", "options", "parents", "kind", "message"),
    [
        ("ratled", {}, 1, ConfigError, "did you mean rattled"),
        ("rattled", {"deviation": 0.1}, 1, ConfigError, "found builder.deviation; did you mean deviation_A"),
        ("rattled", {"count": "many"}, 1, ConfigError, "builder.count=many; expected a whole number"),
        ("rattled", {"seed": 1}, 1, ConfigError, "found builder.seed"),
        ("pairs", {}, 0, ConfigError, "found no builder.species; expected a list, each text"),
        ("pairs", {"species": ["Li"]}, 1, DataError, "found 1 structures .* expected no structure"),
        ("rattled", {}, 0, DataError, "found 0 structures .* expected at least one"),
    ],
)
def test_refusals(crystal, name, options, parents, kind, message):
    with pytest.raises(kind, match=message):
        next(build(name, options, [crystal] * parents))


def test_a_package_that_is_not_there_is_named(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(f"No module named {name}", name="pymatgen")

    monkeypatch.setattr("mlip.structures.builders.importlib.import_module", missing)
    with pytest.raises(ConfigError, match=r"needs the package pymatgen.*vitreous\[structures\]"):
        find_builder("rattled")


def test_parents_of_a_file_by_index(tmp_path):
    file = str(tmp_path / "three.extxyz")
    ase.io.write(file, [Atoms("Li", positions=[[x, 0, 0]]) for x in range(3)])
    assert [atoms.positions[0, 0] for atoms in read_parents([file, file], "1:")] == [1, 2, 1, 2]
    assert read_lineage(read_parents([file], -1)[0])[0]["frame"] == 2
    with pytest.raises(DataError, match="holds 3 frames; found index=3"):
        read_parents([file], 3)
    with pytest.raises(ConfigError, match="expected a frame or a range"):
        read_parents([file], "first")


def test_build_command(crystal, tmp_path):
    ase.io.write(tmp_path / "cell.vasp", crystal)
    command = ("build", "builder=rattled", "structure=cell.vasp", "builder.count=3", "run_dir=out", "seed=4")
    first = fork_mlip(*command, cwd=tmp_path)
    assert first.code == 0, first.stderr
    assert "rattled       3  LiCl" in first.stderr
    assert "3 structures are in out/structures.extxyz" in first.stderr
    frames = read_frames(tmp_path / "out" / "structures.extxyz")
    assert [read_lineage(frame)[-1]["index"] for frame in frames] == [0, 1, 2]
    assert read_lineage(frames[0])[0]["file"] == "cell.vasp"
    assert json.loads((tmp_path / "out/provenance.json").read_text())["state"] == "finished"
    assert {"config.yaml", "log.txt"} <= {path.name for path in (tmp_path / "out").iterdir()}
    other = fork_mlip(*command, "builder.deviation_A=0.3", cwd=tmp_path)
    assert other.code == 1
    assert "builder.deviation_A=0.1" in other.last_line
