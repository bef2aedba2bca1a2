"""What a user does wrong in an input of lmp: one clear line each, and an exit code that is not zero."""

import sys
from pathlib import Path

import pytest
from ase import Atoms
from native_lammps_runs import LMP, RANKS, assert_stops, command_of, second_rank, write_input
from native_toy_model import save_toy_model

pytestmark = pytest.mark.usefixtures("plugin")

ATOMS = Atoms("LiPS", [[1, 1, 1], [3, 1, 1], [1, 3.2, 1]], cell=[8, 8, 8], pbc=True)


MODELS = {
    "text.nequip.pth": ("damaged or no TorchScript", "deploy the potential again"),
    "missing.nequip.pth": ("cannot open model file", "check the path"),
    "model.pth": ("expected a name that ends in .nequip.pth or .nequip.pt2",),
    "text.nequip.pt2": ("damaged or no AOTInductor", "deploy the potential again"),
    "model.mlip": ("mlip deploy potential=model.mlip",),
    "model.pt": ("expected a name that ends in .nequip.pth or .nequip.pt2",),
}


@RANKS
@pytest.mark.parametrize("name", MODELS)
def test_files_that_are_no_model(tmp_path, name, ranks):
    if not name.startswith("missing"):
        (tmp_path / name).write_text("not a model")
    write_input(tmp_path, ATOMS, name)
    assert_stops(tmp_path, *MODELS[name], command=command_of(ranks))


@RANKS
@pytest.mark.parametrize("suffix", ["pth", "pt2"])
def test_truncated_file(tmp_path, toy, suffix, ranks):
    content = toy.read_bytes()
    (tmp_path / f"cut.nequip.{suffix}").write_bytes(content[: len(content) // 2])
    write_input(tmp_path, ATOMS, f"cut.nequip.{suffix}")
    assert_stops(tmp_path, "damaged", f"cut.nequip.{suffix}", command=command_of(ranks))


def test_file_that_one_rank_does_not_see(tmp_path, deployed):
    """As on a cluster whose nodes do not share the folder: the second rank starts in another one."""
    (tmp_path / "model.nequip.pth").write_bytes(deployed["allegro"].read_bytes())
    (tmp_path / "elsewhere").mkdir()
    write_input(tmp_path, ATOMS, "model.nequip.pth", style="allegro")
    (tmp_path / "elsewhere" / "cell.data").write_text((tmp_path / "cell.data").read_text())
    assert_stops(tmp_path, "cannot open", "check the path", command=second_rank("cd elsewhere"))


@pytest.mark.parametrize("key", ["r_max", "num_types", "type_names", "allow_tf32"])
def test_metadata_that_is_missing(tmp_path, key):
    save_toy_model(tmp_path / "m.nequip.pth", drop=key)
    write_input(tmp_path, ATOMS, "m.nequip.pth")
    assert_stops(tmp_path, f"no '{key}' in its metadata", "deploy the potential again")


METADATA = {
    "not a number": ({"r_max": "four"}, "not a number"),
    "other number of types": ({"num_types": "4"}, "num_types does not match"),
    "few cutoffs": ({"per_edge_type_cutoff": "1 2 3"}, "has 3 numbers for 3 types"),
    "long cutoff": ({"per_edge_type_cutoff": "1 2 3 4 5 4 3 2 1"}, "beyond r_max"),
}


@pytest.mark.parametrize("name", METADATA)
def test_metadata_that_contradicts_itself(tmp_path, name):
    metadata, word = METADATA[name]
    save_toy_model(tmp_path / "m.nequip.pth", metadata)
    write_input(tmp_path, ATOMS, "m.nequip.pth")
    assert_stops(tmp_path, word)


@RANKS
@pytest.mark.parametrize(
    ("names", "words"),
    [
        ("Li Xx S", ("'Xx' of LAMMPS type 2", "it knows Li P S")),
        ("Li P", ("3 type names, one for each LAMMPS type", "found 5 words")),
        ("Li P S S", ("3 type names, one for each LAMMPS type", "found 7 words")),
    ],
)
def test_names_that_do_not_fit(tmp_path, deployed, names, words, ranks):
    write_input(tmp_path, ATOMS, deployed["nequip"], types=names)
    assert_stops(tmp_path, *words, command=command_of(ranks))


def test_pair_coeff_before_the_box(tmp_path, toy):
    before = f"pair_style nequip\npair_coeff * * {toy} Li P S"
    write_input(tmp_path, ATOMS, toy, before=before)
    assert_stops(tmp_path, "Pair_coeff command before simulation box is defined")


def test_units(tmp_path, toy):
    write_input(tmp_path, ATOMS, toy, units="si")
    assert_stops(tmp_path, "found 'units si'", "write 'units metal'")


def test_several_ranks(tmp_path, toy):
    write_input(tmp_path, ATOMS, toy)
    mpirun = str(Path(sys.executable).parent / "mpirun")
    assert_stops(tmp_path, "it holds no model for several MPI ranks", command=(mpirun, "-n", "2", str(LMP)))


def test_device_that_is_not_there(tmp_path, toy):
    write_input(tmp_path, ATOMS, toy)
    assert_stops(tmp_path, "expected cpu, cuda or cuda:N", environment={"VITREOUS_DEVICE": "gpu!"})
    assert_stops(tmp_path, "torch finds no such device", environment={"VITREOUS_DEVICE": "cuda:99"})


def test_virial_per_atom(tmp_path, toy):
    after = """compute s all stress/atom NULL virial
compute m all reduce max c_s[1]
thermo_style custom c_m
run 0"""
    write_input(tmp_path, ATOMS, toy, after=after)
    assert_stops(tmp_path, "knows no virial per atom")


def test_a_model_that_fails(tmp_path):
    """Weights for one type, metadata of three: torch's own index error, on one line."""
    save_toy_model(tmp_path / "bad.nequip.pth", num_types=1)
    write_input(tmp_path, ATOMS, "bad.nequip.pth")
    assert_stops(tmp_path, "the model failed on 3 atoms and 6 edges", "index")


def test_bonded_atoms(tmp_path, toy):
    """Pairs that special_bonds takes out of the neighbor list would silently be missing in the model."""
    write_input(tmp_path, ATOMS, toy)
    script = (tmp_path / "in.lmp").read_text()
    script = script.replace("read_data", "atom_style full\nread_data").replace(
        "pair_style", "\npair_style", 1
    )
    (tmp_path / "in.lmp").write_text(script)
    data = (tmp_path / "cell.data").read_text()
    head, _, rows = data.partition("Atoms # atomic")
    full = [" ".join([w[0], "1", w[1], "0.0", *w[2:5]]) for w in map(str.split, rows.strip().splitlines())]
    (tmp_path / "cell.data").write_text(head + "Atoms # full\n\n" + "\n".join(full) + "\n")
    assert_stops(tmp_path, "special_bonds lj/coul 1 1 1")
