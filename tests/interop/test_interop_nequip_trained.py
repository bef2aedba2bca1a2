"""`mlip import` on what nequip's own commands leave: a checked-in training, a fresh one, a package."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import ase.io
import pytest
import torch
from interop.nequip_checkpoints import load_with_nequip
from nequip_oracle import TOLERANCES

from mlip.data.graph import build_graph
from mlip.inputs import datasets_folder
from mlip.interop.nequip import import_nequip

FILES = Path(__file__).parent / "files"
FRAMES = datasets_folder() / "lips" / "small_20.extxyz"
TOLERANCE = TOLERANCES[torch.float32]


def predict(potential, atoms):
    graph = build_graph(
        atoms, potential.config.r_max, potential.species, potential.normalization.edge_cutoffs
    )
    return potential.force_field()(*graph.inputs)


def assert_close(mine, theirs):
    """To float32, of the largest number."""
    theirs = torch.as_tensor(theirs, dtype=torch.float64).view(mine.shape)
    assert (mine - theirs).abs().max() <= TOLERANCE * theirs.abs().max()


def test_a_training_of_nequip_gives_its_numbers_without_nequip():
    """The numbers beside the checkpoint are those of nequip's ModelFromCheckpoint."""
    atoms = ase.io.read(FRAMES, index=0)
    mine = predict(import_nequip(FILES / "lips.ckpt"), atoms)
    theirs = json.loads((FILES / "lips.json").read_text())
    assert_close(mine.energy, theirs["energy"])
    assert_close(mine.atomic_energies, theirs["atomic_energies"])
    assert_close(mine.forces, theirs["forces"])
    assert_close(-mine.virial / atoms.get_volume(), theirs["stress"])


def test_what_the_training_found_in_its_data_is_taken():
    potential = import_nequip(FILES / "lips.ckpt")
    assert potential.species == ("Li", "P", "S")
    assert potential.dtype == "float32"
    config, numbers = potential.config, potential.normalization
    assert (config.r_max, config.num_features, config.parity) == (4.0, [6, 4], False)
    assert config.per_edge_type_cutoff == {"Li": 3.5, "P": {"S": 3.0}}
    assert numbers.edge_cutoffs == ((3.5,) * 3, (4.0, 4.0, 3.0), (4.0,) * 3)
    assert potential.pair_cutoffs == numbers.edge_cutoffs
    assert numbers.avg_num_neighbors == pytest.approx((12.51, 11.54, 12.81), abs=0.01)
    assert numbers.energy_shifts == pytest.approx((-4.31,) * 3, abs=0.01)
    assert config.per_type_energy_scales["Li"] != numbers.energy_scales[0]  # trained since
    origin = potential.data["imported_from"]
    assert origin["versions"]["nequip"] == "0.19.1"
    assert (origin["file"], len(origin["sha256"])) == ("lips.ckpt", 64)
    assert "average" in origin["weights"]
    for line in ("nequip 0.19.1", "Li P S", "of pairs down to 3 A", "No stress was in the loss"):
        assert line in potential.card


def test_importing_loads_neither_nequip_nor_lightning():
    code = (
        "import sys; from mlip.interop.nequip import import_nequip\n"
        f"import_nequip({str(FILES / 'lips.ckpt')!r})\n"
        "print([m for m in ('nequip', 'allegro', 'lightning', 'train', 'md') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def run_nequip(command, *arguments, folder):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    program = Path(sys.executable).with_name(command)
    subprocess.run([program, *arguments], cwd=folder, env=environment, capture_output=True, check=True)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A fresh training by `nequip-train`, two epochs on six frames."""
    pytest.importorskip("nequip")
    folder = tmp_path_factory.mktemp("nequip")
    shutil.copy(FRAMES, folder)
    run_nequip("nequip-train", "-cp", FILES, "-cn", "train", "hydra.run.dir=out", folder=folder)
    return folder / "out" / "best.ckpt"


@pytest.mark.slow
def test_a_fresh_training_gives_the_numbers_of_nequip(trained):
    assert_as_nequip(trained, trained)


@pytest.mark.slow
def test_a_package_gives_the_numbers_of_its_checkpoint(trained):
    package = trained.with_name("lips.nequip.zip")
    run_nequip("nequip-package", "build", trained, package, folder=trained.parents[1])
    assert_as_nequip(package, trained)


def assert_as_nequip(file, checkpoint):
    """The import of a file gives what nequip itself says from the checkpoint."""
    potential = import_nequip(file)
    model = load_with_nequip(checkpoint)
    for atoms in ase.io.read(FRAMES, index="::10"):
        mine = predict(potential, atoms)
        theirs = model(atoms)
        assert_close(mine.energy, theirs["total_energy"])
        assert_close(mine.atomic_energies, theirs["atomic_energy"])
        assert_close(mine.forces, theirs["forces"])
        assert_close(-mine.virial / atoms.get_volume(), theirs["stress"])
