"""Training with a repulsive floor: the card says where it ends; lone atoms may be all that a batch holds."""

import lzma

import ase.io
import pytest
from cli.cli_process import fork_mlip

from mlip.data.read import read_frames
from mlip.deploy import MLIPCalculator, Potential
from mlip.inputs import resolve_input
from mlip.nn.repulsion import Repulsion
from mlip.nn.short_range import MARGIN
from train.report import pair_cutoff_rows

LONE = "dataset:acac/isolated_atoms.extxyz"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Molecules and lone atoms one by one, validated on lone atoms alone."""
    folder = tmp_path_factory.mktemp("floor")
    with lzma.open(resolve_input("dataset:acac/train_300K.extxyz.xz"), "rt") as stream:
        ase.io.write(folder / "acac.extxyz", ase.io.read(stream, ":4", format="extxyz"))
    ended = fork_mlip(
        "train",
        f"data.train=[acac.extxyz,{LONE}]",
        f"data.valid={LONE}",
        "data.batch_size=1",
        "model.r_max=3",
        "model.num_layers=2",
        "model.num_features=4",
        "model.radial_mlp_width=8",
        "model.pair_potential=repulsion",
        "trainer.max_epochs=1",
        "device=cpu",
        "run_dir=run",
        cwd=folder,
    )
    assert ended.code == 0, ended.stderr
    return folder / "run"


def test_lone_atoms_keep_their_energy(trained):
    for lone in read_frames(LONE):
        energy = lone.get_potential_energy()
        lone.calc = MLIPCalculator(trained / "potential.mlip", device="cpu")
        assert lone.get_potential_energy() == pytest.approx(energy, abs=1e-6)
        assert (lone.get_forces() == 0.0).all()


def test_card_and_log_say_where_the_repulsion_ends(trained):
    potential = Potential.load(trained / "potential.mlip")
    shortest = potential.statistics["shortest_distances"]
    assert potential.pair_cutoffs[0][1] == pytest.approx(shortest["H-C"] - MARGIN)
    row = f"{shortest['H-C'] - MARGIN:.3f}", f"{shortest['H-C']:.3f}"
    assert f"| H-C | {' | '.join(row)} |" in potential.card.splitlines()
    log = (trained / "log.txt").read_text()
    assert any(line.split() == ["H-C", *row] for line in log.splitlines())


def test_the_file_keeps_its_pair_potential(trained):
    potential = Potential.load(trained / "potential.mlip")
    assert isinstance(potential.force_field().pair_potential, Repulsion)


def test_rows_of_pairs_that_the_data_never_show():
    statistics = {"species": ["Li", "P"], "shortest_distances": {"Li-Li": 2.4}}
    rows = pair_cutoff_rows([[2.399, 2.35], [2.35, 2.14]], statistics)
    assert rows == [("Li-Li", "2.399", "2.400"), ("Li-P", "2.350", "none"), ("P-P", "2.140", "none")]
