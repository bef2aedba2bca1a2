"""Recipes of training sets: what ships can be made, counts are honest, a kill loses one subset at most."""

import csv
import os
import signal
import time

import ase.io
import pytest
from cli.cli_process import fork_mlip, start_mlip
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from md.protocols.read import read_protocol
from md.protocols.stages import plan_stages
from mlip.data.fingerprint import fingerprint
from mlip.data.store import Store
from mlip.errors import ConfigError
from mlip.inputs import datasets_folder, resolve_input
from mlip.settings import check_options
from mlip.structures.builders import find_builder
from mlip.structures.lineage import read_lineage
from mlip.workflows.recipe_plan import find_recipe, read_recipe

SHIPPED = sorted(path.parent.name for path in datasets_folder().glob("*/recipe.yaml"))
SIZES = [(name, size) for name in SHIPPED for size in ("full", "mini")] + [("lipon", "small")]

SMALL = """
source: nobody
missing: everything else
parents:
  Li: {file: dataset:crystals/Li.extxyz, repeat: [2, 1, 1]}
  large: {file: dataset:crystals/Li.extxyz, repeat: [2, 2, 2]}
subsets:
  volumes:
    builder: volumes
    parents: [Li]
    options: {count: 5, relative_volumes: [0.9, 1.1]}
    paper: 20
    paper_parents: 4
  again: {builder: volumes, parents: [Li], options: {count: 3, relative_volumes: [0.9, 1.1]}}
  rattled: {builder: rattled, of: volumes, options: {count: 4}, count: 7}
  moved:
    protocol: nvt
    parents: [large]
    overrides:
      - kernel=reference
      - protocol.nvt.temperature_K=300
      - protocol.nvt.duration_ps=0.02
      - protocol.nvt.every_ps=0.005
    count: 3
sizes:
  mini: {subsets: {rattled: {options: {count: 1}, count: 2}, moved: null}}
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "small.yaml").write_text(SMALL)
    return tmp_path


def counts_of(run):
    with (run / "counts.csv").open(newline="") as stream:
        return {row["subset"]: row for row in csv.DictReader(stream)}


def test_counts_say_what_was_asked_made_and_kept(folder):
    ended = fork_mlip("build", "dataset=small.yaml", "run_dir=out", cwd=folder)
    assert ended.code == 0, ended.stderr
    rows = counts_of(folder / "out")
    found = {
        name: [row[key] for key in ("asked", "made", "duplicates", "kept")] for name, row in rows.items()
    }
    assert found == {
        "volumes": ["5", "5", "0", "5"],  # 20 of 4 parents in the paper, 1 here
        "again": ["", "3", "3", "0"],
        "rattled": ["7", "20", "0", "7"],
        "moved": ["3", "0", "0", "0"],
    }
    assert rows["volumes"]["note"] == "1 of 4 parents"
    assert rows["moved"]["note"] == "needs potential=FILE"
    assert "not here: everything else" in ended.stderr
    assert "no energy" not in ended.stderr  # parents are structures, not data
    frames = ase.io.read(folder / "out" / "structures.extxyz", ":")
    assert len({fingerprint(atoms) for atoms in frames}) == len(frames) == 12
    assert {atoms.info["recipe"] for atoms in frames} == {"small/volumes", "small/rattled"}
    assert [step.get("builder") for step in read_lineage(frames[-1])] == [
        None,
        "repeat",
        "volumes",
        "rattled",
    ]


def test_labels_by_a_labeler(folder):
    """Its settings go with it; labels asked for later are added to what was built."""
    small = ["build", "dataset=small.yaml", "size=mini", "run_dir=out"]
    assert fork_mlip(*small, cwd=folder).code == 0
    lj = ["labeler=ase", "labeler.calculator_class=ase.calculators.lj.LennardJones"]
    ended = fork_mlip(*small, *lj, "+labeler.arguments.sigma=2.7", cwd=folder)
    assert ended.code == 0, ended.stderr
    assert "volumes" in ended.stderr
    frames = ase.io.read(folder / "out" / "structures.extxyz", ":")
    store = Store(str(folder / "out" / "label" / "labels.db"))
    assert len(store.read()) == len(frames) == 7
    assert {entry.provenance.settings["arguments"]["sigma"] for entry in store.entries()} == {2.7}
    assert {atoms.info["recipe"] for atoms in store.read()} == {"small/volumes", "small/rattled"}
    refused = fork_mlip(*small, "labeler=xtb", "labeler.method=GFN9", cwd=folder)
    assert refused.code == 1
    assert "labeler.method=GFN9" in refused.last_line


@pytest.mark.slow
def test_structures_of_one_builder_are_labelled_too(folder):
    lj = ["labeler=ase", "labeler.calculator_class=ase.calculators.lj.LennardJones"]
    built = ["build", "builder=volumes", "structure=dataset:crystals/Li.extxyz", "builder.count=3"]
    ended = fork_mlip(*built, *lj, "run_dir=out", cwd=folder)
    assert ended.code == 0, ended.stderr
    assert len(Store(str(folder / "out" / "label" / "labels.db")).read()) == 3


def test_a_seed_gives_the_same_set_and_another_seed_another(folder):
    texts = []
    for run, seed in (("a", 0), ("b", 0), ("c", 1)):
        command = ["build", "dataset=small.yaml", "size=mini", f"seed={seed}", f"run_dir={run}"]
        assert fork_mlip(*command, cwd=folder).code == 0
        texts.append((folder / run / "structures.extxyz").read_text())
    assert texts[0] == texts[1] != texts[2]


def test_killed_it_goes_on_with_what_was_made(folder):
    command = ["build", "dataset=lbo", "size=mini"]
    assert fork_mlip(*command, "run_dir=whole", cwd=folder).code == 0
    process = start_mlip(*command, "run_dir=killed", cwd=folder, output=folder)
    first = folder / "killed" / "subsets" / "glass.extxyz"
    deadline = time.monotonic() + 100
    while not first.exists() and time.monotonic() < deadline:
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.join(60)
    written = first.stat().st_mtime_ns
    (folder / "killed" / "subsets" / "rattled.extxyz.tmp").write_text("half a fra")
    assert fork_mlip(*command, "run_dir=killed", cwd=folder).code == 0
    assert first.stat().st_mtime_ns == written
    texts = [(folder / run / "structures.extxyz").read_text() for run in ("whole", "killed")]
    assert texts[0] == texts[1]


@pytest.mark.slow
def test_dynamics_with_a_potential(folder, potential_file):
    """Frames of a trajectory, as many as asked for, with their lineage and no labels of the potential."""
    command = ["build", "dataset=small.yaml", f"potential={potential_file}", "run_dir=out"]
    ended = fork_mlip(*command, cwd=folder, timeout=300)
    assert ended.code == 0, ended.stderr[-2000:]
    assert counts_of(folder / "out")["moved"]["kept"] == "3"
    frames = ase.io.read(folder / "out" / "structures.extxyz", ":")
    moved = [atoms for atoms in frames if atoms.info["recipe"] == "small/moved"]
    assert [step.get("builder") for step in read_lineage(moved[-1])] == [None, "repeat", "md nvt"]
    assert [read_lineage(atoms)[-1]["index"] for atoms in moved] == [1, 2, 4]  # 0 is the parent
    assert moved[-1].calc is None
    assert "momenta" not in moved[-1].arrays


@pytest.mark.parametrize(("name", "size"), SIZES)
def test_what_ships_makes_sense(name, size):
    """Parents are there, builders know their options, dynamics its stages."""
    recipe = read_recipe(find_recipe(name), size)
    assert recipe.name == name
    assert recipe.source
    for parent in recipe.parents.values():
        assert resolve_input(parent.file).is_file()
    for subset in recipe.subsets.values():
        if subset.builder is not None:
            for variant in subset.variants:
                check_options(find_builder(subset.builder), {**subset.options, **variant}, "builder")
        else:
            with initialize_config_module("mlip.conf", version_base="1.3"):
                words = [f"protocol={subset.protocol}", *subset.overrides, "potential=x", "structure=y"]
                config = compose("md", words)
            assert plan_stages(read_protocol(OmegaConf.to_container(config.protocol)))


def test_lipon_asks_for_what_the_paper_has():
    subsets = read_recipe(find_recipe("lipon")).subsets
    asked = {name: subset.asked for name, subset in subsets.items()}
    assert [asked[name] for name in ("strained", "oxygen_to_nitrogen", "phosphorus_to_lithium", "slabs")] == [
        886,
        256,
        74,
        1219,
    ]
    assert sum(count for name, count in asked.items() if name.startswith("quenched")) == 11000


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("parents: [large]", "parents: [huge]", "found huge in subsets.moved.parents"),
        ("of: volumes", "of: moved", "expected an earlier subset"),
        ("protocol: nvt", "protocol: nvt\n    builder: rattled", "expected one of them"),
        ("source: nobody", "sorce: nobody", "found sorce"),
        ("count: 7", "count: many", "subsets.rattled.count=many"),
        ("missing: everything else", "missing: [", "cannot be read"),
    ],
)
def test_mistakes_in_a_recipe_are_named(folder, old, new, message):
    assert old in SMALL
    (folder / "small.yaml").write_text(SMALL.replace(old, new))
    with pytest.raises(ConfigError, match=message):
        read_recipe(folder / "small.yaml")


def test_unknown_names(folder):
    with pytest.raises(ConfigError, match="did you mean lipon"):
        find_recipe("lipo")
    with pytest.raises(ConfigError, match="expected one of full, mini"):
        read_recipe(folder / "small.yaml", "tiny")
