"""Files that `nequip-compile` writes for the upstream pair styles, in ours: nequip's own numbers on ranks."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from architectures import ALLEGRO, R_MAX
from ase import Atoms
from interop.nequip_checkpoints import (
    TYPE_NAMES,
    load_with_nequip,
    nequip_arguments,
    save_checkpoint,
    training_module,
)
from native_lammps_runs import VOIGT, Result, command_of, evaluate_lammps, run_lmp, write_input
from structures import random_structure
from torch import nn

from mlip.data.graph import build_graph

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("nequip-compile")]


class ExampleData(nn.Module):
    """What nequip-compile traces a model with: tensors in a TorchScript file."""

    def __init__(self, atoms: Atoms) -> None:
        super().__init__()
        graph = build_graph(atoms, R_MAX, TYPE_NAMES)
        self.register_buffer("pos", graph.positions)
        self.register_buffer("edge_index", graph.edge_index)
        self.register_buffer("atom_types", graph.species)
        self.register_buffer("cell", graph.cell)
        self.register_buffer("edge_cell_shift", graph.edge_shift)

    def forward(self) -> int:
        return 0


def compile_checkpoint(checkpoint: Path, target: str) -> Path:
    """What a user of nequip does before a LAMMPS run."""
    folder = checkpoint.parent
    torch.jit.script(ExampleData(structure())).save(folder / "data.pt")
    path = folder / f"{target}.nequip.pt2"
    command = [str(Path(sys.executable).parent / "nequip-compile"), str(checkpoint), str(path)]
    command += ["--mode", "aotinductor", "--device", "cpu", "--target", target, "--data-path", "data.pt"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    finished = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=400, check=False
    )
    assert finished.returncode == 0, finished.stderr[-2000:]
    return path


@pytest.fixture(scope="module")
def allegro(tmp_path_factory) -> Path:
    """The checkpoint of an Allegro with cutoffs per pair of species; its package lies beside it."""
    module = training_module(nequip_arguments(ALLEGRO["cutoffs per pair"]))
    checkpoint = save_checkpoint(module, tmp_path_factory.mktemp("allegro") / "allegro.ckpt")
    compile_checkpoint(checkpoint, "pair_allegro")
    return checkpoint


@pytest.fixture(scope="module")
def nequip(tmp_path_factory) -> Path:
    """A NequIP that nequip-train trained, in float32, with ZBL; its package lies beside it."""
    trained = Path(__file__).parents[1] / "interop" / "files" / "lips.ckpt"
    checkpoint = tmp_path_factory.mktemp("nequip") / "lips.ckpt"
    shutil.copy(trained, checkpoint)
    compile_checkpoint(checkpoint, "pair_nequip")
    return checkpoint


def structure() -> Atoms:
    """48 atoms in a triclinic cell of LAMMPS's orientation, below 2 r_max along one vector."""
    atoms = random_structure("triclinic", seed=4)
    atoms.set_cell(atoms.cell.standard_form()[0], scale_atoms=True)
    atoms = atoms.repeat((2, 2, 1))
    atoms.rattle(0.05, seed=2)
    return atoms


def by_nequip(checkpoint: Path, atoms: Atoms) -> Result:
    """nequip's own numbers of its checkpoint, not compiled."""
    output = load_with_nequip(checkpoint)(atoms)
    virial = output["virial"][0].detach().numpy()[VOIGT]
    energies = output["atomic_energy"][:, 0].detach().numpy()
    return Result(float(energies.sum()), energies, output["forces"].detach().numpy(), virial)


@pytest.mark.parametrize("newton", ["on", "off"])
@pytest.mark.parametrize("ranks", [1, 2, 4])
@pytest.mark.parametrize("style", ["allegro", "vitreous"])
def test_allegro_of_nequip_runs_on_all_ranks(tmp_path, plugin, allegro, style, ranks, newton):
    model = allegro.with_name("pair_allegro.nequip.pt2")
    found = evaluate_lammps(tmp_path, structure(), model, ranks, before=f"newton {newton}", style=style)
    expected = by_nequip(allegro, structure())
    assert np.abs(expected.forces).max() > 0.1
    found.assert_same(expected)


def test_nequip_of_nequip_runs_in_one_process(tmp_path, plugin, nequip):
    model = nequip.with_name("pair_nequip.nequip.pt2")
    found = evaluate_lammps(tmp_path, structure(), model)
    found.assert_same(by_nequip(nequip, structure()), tolerance=1e-5)


def test_nequip_of_nequip_refuses_ranks(tmp_path, plugin, nequip):
    write_input(tmp_path, structure(), nequip.with_name("pair_nequip.nequip.pt2"))
    finished = run_lmp(tmp_path, command=command_of(2))
    assert finished.returncode != 0
    assert "runs in one process; start one MPI rank" in finished.stdout


def test_nequip_of_nequip_is_no_allegro(tmp_path, plugin, nequip):
    write_input(tmp_path, structure(), nequip.with_name("pair_nequip.nequip.pt2"), style="allegro")
    finished = run_lmp(tmp_path)
    assert finished.returncode != 0
    assert "write pair_style nequip" in finished.stdout
