"""`mlip import` on the command line, and what comes after it: deploy and eval."""

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
from ase.io import read
from cli.cli_process import fork_mlip

from mlip.deploy import MLIPCalculator, Potential

CHECKPOINT = Path(__file__).parent / "files" / "lips.ckpt"


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("import")
    ended = fork_mlip("import", f"nequip={CHECKPOINT}", "out=models/lips.mlip", cwd=folder)
    assert ended.code == 0, ended.stderr
    return folder / "models" / "lips.mlip", ended


def test_it_says_what_it_took(imported):
    file, ended = imported
    for text in ("nequip 0.19.1", "Li P S", "moving average of decay 0.9", "zbl", "mlip deploy potential="):
        assert text in ended.stderr
    potential = Potential.load(file)
    assert potential.card.startswith("# Potential card")
    assert set(potential.reference_structure.get_chemical_symbols()) == {"Li", "P", "S"}


def test_the_potential_deploys_and_evaluates(imported):
    file, _ = imported
    ended = fork_mlip("deploy", f"potential={file}", "device=cpu", cwd=file.parent)
    assert ended.code == 0, ended.stderr
    theirs = json.loads(CHECKPOINT.with_suffix(".json").read_text())
    for name in (file, file.parent / "runs" / "deploy" / "lips.nequip.pth"):
        atoms = read(Path(__file__).parents[2] / "datasets" / "lips" / "small_20.extxyz", index=0)
        atoms.calc = MLIPCalculator(name, device="cpu")
        assert atoms.get_potential_energy() == pytest.approx(theirs["energy"], rel=1e-6)
    data = "data=dataset:lips/small_20.extxyz"
    ended = fork_mlip("eval", f"potential={file}", data, "device=cpu", cwd=file.parent)
    assert ended.code == 0, ended.stderr
    assert (file.parent / "runs" / "eval" / "errors.json").is_file()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "found no nequip"),
        (["nequip=missing.ckpt"], "found no file missing.ckpt"),
        ([f"nequip={Path(__file__)}"], "no file of nequip"),
        ([f"nequip={CHECKPOINT}", "out=lips.pt"], "out=lips.pt; expected a file that ends in .mlip"),
        ([f"nequip={CHECKPOINT}", "out=/proc/lips.mlip"], "cannot write /proc/lips.mlip"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path, arguments, said):
    ended = fork_mlip("import", *arguments, cwd=tmp_path)
    assert ended.code == 1
    assert said in ended.last_line
    assert ended.last_line.startswith("mlip import: ")
    assert "Traceback" not in ended.stderr


@pytest.mark.slow
def test_the_commands_of_the_document_run(tmp_path):
    """docs/nequip.md, for a user who has a checkpoint named as there."""
    text = (Path(__file__).parents[2] / "docs" / "nequip.md").read_text()
    (block,) = re.findall(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    shutil.copy(CHECKPOINT, tmp_path / "best.ckpt")
    for command in block.splitlines():
        program, *arguments = shlex.split(command)
        assert program == "mlip"
        ended = fork_mlip(*arguments, cwd=tmp_path)
        assert ended.code == 0, ended.stderr
    assert (tmp_path / "runs" / "deploy" / "li3ps4.nequip.pth").is_file()


def test_an_imported_potential_is_fine_tuned(imported, tmp_path):
    file, _ = imported
    smaller = ["data.num_train=4", "trainer.max_epochs=1", "device=cpu"]
    data = "data.train=dataset:lips/small_20.extxyz"
    ended = fork_mlip("train", f"init={file}", data, *smaller, cwd=tmp_path)
    assert ended.code == 0, ended.stderr
    tuned = Potential.load(tmp_path / "runs" / "train" / "potential.mlip")
    before = Potential.load(file)
    assert tuned.config.per_edge_type_cutoff == before.config.per_edge_type_cutoff
    assert tuned.pair_cutoffs == before.pair_cutoffs
