"""Trajectories of other programs: the same answer in every format, wrapped or not, whatever the cell does."""

import ase.io
import numpy as np
import pytest
from ase import Atoms

from md.analysis import compute_rdf, load_frames
from md.analysis import foreign as foreign_module
from md.analysis.frames import Frames
from md.formats.extxyz import ExtxyzWriter
from md.formats.h5md import read_h5md
from mlip.errors import ConfigError, DataError

LEANING = np.array([[6.0, 0.0, 0.0], [1.5, 5.5, 0.0], [-1.0, 0.5, 7.0]])
NUMBERS = np.array([3, 3, 15, 16, 16])
SYMBOLS = {3: "Li", 15: "P", 16: "S"}
COUNT = 30


@pytest.fixture(name="walk")
def walk_fixture():
    """Unwrapped fractional coordinates of five atoms that leave the cell, shape (30, 5, 3)."""
    steps = np.random.default_rng(0).normal(scale=0.06, size=(COUNT, 5, 3))
    return 0.5 + np.cumsum(steps, axis=0)


def cells_of(breathing):
    stretch = 1 + breathing * np.sin(np.arange(COUNT))
    return LEANING * stretch[:, None, None]


def images_of(walk, cells, wrapped=True, rng=None):
    """ASE structures; with `rng` the atoms of each frame come in another order, with their ids."""
    found = []
    for fractional, cell in zip(walk, cells, strict=True):
        scaled = fractional % 1.0 if wrapped else fractional
        atoms = Atoms(NUMBERS, scaled_positions=scaled, cell=cell, pbc=True)
        if rng is not None:
            order = rng.permutation(5)
            atoms = atoms[order]
            atoms.arrays["id"] = order + 1
        found.append(atoms)
    return found


def write_dump(path, walk, cells, columns, order, units=False):
    """A LAMMPS text dump of a triangular cell, origin elsewhere, atoms in any order."""
    origin = np.array([-1.0, 2.0, 0.5])
    with path.open("w") as stream:
        for step, (fractional, cell) in enumerate(zip(walk, cells, strict=True)):
            (lx, _, _), (xy, ly, _), (xz, yz, lz) = cell
            low = origin + np.array([min(0, xy, xz, xy + xz), min(0, yz), 0])
            high = origin + np.array([lx + max(0, xy, xz, xy + xz), ly + max(0, yz), lz])
            head = "ITEM: UNITS\nmetal\n" if units and step == 0 else ""
            head += f"ITEM: TIME\n{0.02 * step:g}\n" if units else ""
            stream.write(f"{head}ITEM: TIMESTEP\n{20 * step}\nITEM: NUMBER OF ATOMS\n5\n")
            stream.write("ITEM: BOX BOUNDS xy xz yz pp pp pp\n")
            for k, tilt in enumerate((xy, xz, yz)):
                stream.write(f"{low[k]:.16g} {high[k]:.16g} {tilt:.16g}\n")
            flags = np.floor(fractional).astype(int)
            values = {
                "x": (fractional - flags) @ cell + origin,
                "xu": fractional @ cell + origin,
                "xs": fractional - flags,
            }[columns.split()[0]]
            form = {"x": "x y z", "xu": "xu yu zu", "xs": "xs ys zs"}[columns.split()[0]]
            with_flags = "ix" in columns
            stream.write(f"ITEM: ATOMS id type {form}{' ix iy iz' if with_flags else ''}\n")
            for atom in order(step):
                kind = {3: 1, 15: 2, 16: 3}[NUMBERS[atom]]
                row = " ".join(f"{value:.12g}" for value in values[atom])
                image = " " + " ".join(map(str, flags[atom])) if with_flags else ""
                stream.write(f"{atom + 1} {kind} {row}{image}\n")


def check(frames, walk, cells, atol=1e-7):
    assert frames.numbers.tolist() == NUMBERS.tolist()
    moved = frames.fractional - frames.fractional[0]
    np.testing.assert_allclose(moved, walk - walk[0], atol=atol)
    np.testing.assert_allclose(frames.volumes, np.abs(np.linalg.det(cells)), rtol=1e-5)
    np.testing.assert_allclose(frames.times_ps, 0.02 * np.arange(COUNT), atol=1e-9)


@pytest.mark.parametrize("breathing", [0.0, 0.05])
@pytest.mark.parametrize("wrapped", [True, False])
@pytest.mark.parametrize("name", ["run.extxyz", "run.traj", "XDATCAR"])
def test_ase_formats(tmp_path, walk, name, wrapped, breathing):
    cells, path = cells_of(breathing), tmp_path / name
    images = images_of(walk, cells, wrapped)
    ase.io.write(path, images, format="vasp-xdatcar") if name == "XDATCAR" else ase.io.write(path, images)
    (frames,) = load_frames(path, timestep_fs=20.0, temperature_K=700.0)
    check(frames, walk, cells, atol=2e-7 if name != "XDATCAR" else 2e-6)
    assert frames.temperature_K == 700.0


@pytest.mark.parametrize("breathing", [0.0, 0.05])
@pytest.mark.parametrize("columns", ["x", "x ix iy iz", "xu", "xs"])
def test_lammps_dumps_in_any_order(tmp_path, walk, columns, breathing):
    cells, path = cells_of(breathing), tmp_path / "run.lammpstrj"
    rng = np.random.default_rng(1)
    write_dump(path, walk, cells, columns, lambda step: rng.permutation(5))
    (frames,) = load_frames(path, timestep_fs=1.0, types=["Li", "P", "S"])
    check(frames, walk, cells)


def test_jumps_beyond_half_a_cell_are_known_from_image_flags(tmp_path):
    walk = np.cumsum(np.random.default_rng(2).normal(scale=0.6, size=(COUNT, 5, 3)), axis=0)
    cells, path = cells_of(0.0), tmp_path / "run.lammpstrj"
    write_dump(path, walk, cells, "x ix iy iz", lambda step: range(5))
    (frames,) = load_frames(path, timestep_fs=1.0, types=["Li", "P", "S"])
    check(frames, walk, cells)
    assert frames.notes == ()


def test_times_that_a_file_says_need_no_timestep(tmp_path, walk):
    cells, path = cells_of(0.0), tmp_path / "run.lammpstrj"
    write_dump(path, walk, cells, "xs", lambda step: range(5), units=True)
    check(load_frames(path, types=["Li", "P", "S"])[0], walk, cells)
    images = images_of(walk, cells)
    for number, image in enumerate(images):
        image.info["time_ps"] = 0.02 * number
    ase.io.write(tmp_path / "timed.extxyz", images)
    check(load_frames(tmp_path / "timed.extxyz")[0], walk, cells)


def test_extxyz_with_ids_is_put_in_order(tmp_path, walk):
    cells = cells_of(0.0)
    ase.io.write(tmp_path / "run.extxyz", images_of(walk, cells, rng=np.random.default_rng(3)))
    check(load_frames(tmp_path / "run.extxyz", timestep_fs=20.0)[0], walk, cells)


def test_changing_order_without_ids_is_refused_or_noted(tmp_path, walk):
    images = images_of(walk, cells_of(0.0), rng=np.random.default_rng(3))
    for image in images:
        del image.arrays["id"]
    ase.io.write(tmp_path / "run.extxyz", images)
    with pytest.raises(DataError, match="column id"):
        load_frames(tmp_path / "run.extxyz", timestep_fs=20.0)


VASPRUN = """<?xml version="1.0" encoding="ISO-8859-1"?>
<modeling>
 <incar>
  <i type="int" name="IBRION">     {ibrion}</i>
  <i name="POTIM">      20.00000000</i>
 </incar>
 <kpoints>
  <varray name="kpointlist"><v>0.0 0.0 0.0</v></varray>
  <varray name="weights"><v>1.0</v></varray>
 </kpoints>
 <atominfo>
  <atoms>       5 </atoms>
  <array name="atoms" >
   <set>{atoms}</set>
  </array>
 </atominfo>
{calculations}</modeling>
"""


def write_vasprun(path, walk, cells, ibrion=0):
    def rows(values):
        return "".join("<v>" + " ".join(f"{x:.14f}" for x in row) + "</v>\n" for row in values)

    atoms = "".join(f"<rc><c>{SYMBOLS[number]}</c><c>1</c></rc>\n" for number in NUMBERS)
    text = ""
    for fractional, cell in zip(walk, cells, strict=True):
        structure = f'<structure><crystal><varray name="basis">\n{rows(cell)}</varray></crystal>'
        structure += f'<varray name="positions">\n{rows(fractional % 1.0)}</varray></structure>'
        energies = "".join(f'<i name="{name}">-1.0</i>' for name in ("e_fr_energy", "e_0_energy"))
        energy = f"<energy>{energies}</energy>"
        forces = f'<varray name="forces">\n{rows(0 * fractional)}</varray>'
        scf = f"<scstep>{energy}</scstep>"
        text += f"<calculation>{scf}{structure}{forces}{energy}</calculation>\n"
    first = text[text.index("<structure>") : text.index("</structure>") + 12]
    first = first.replace("<structure>", '<structure name="initialpos">')
    path.write_text(VASPRUN.format(ibrion=ibrion, atoms=atoms, calculations=first + text))


def test_vasprun_says_its_time_step(tmp_path, walk):
    cells = cells_of(0.03)
    write_vasprun(tmp_path / "vasprun.xml", walk, cells)
    check(load_frames(tmp_path / "vasprun.xml")[0], walk, cells)
    write_vasprun(tmp_path / "relax_vasprun.xml", walk, cells, ibrion=2)
    assert load_frames(tmp_path / "relax_vasprun.xml")[0].times_ps is None


def test_stages_of_a_converted_run_are_stretches(tmp_path, ladder_run):
    writer = ExtxyzWriter(tmp_path / "ladder.extxyz")
    for frame in read_h5md(ladder_run, slice(0, None, 8)):
        writer.write(frame)
    writer.close()
    ours, theirs = load_frames(ladder_run), load_frames(tmp_path / "ladder.extxyz")
    assert [each.label for each in theirs] == [each.label for each in ours]
    assert [each.temperature_K for each in theirs] == [800.0, 600.0, 450.0]
    assert theirs[1].thermostat == ours[1].thermostat
    assert np.isin(np.round(theirs[1].times_ps, 6), np.round(ours[1].times_ps, 6)).all()


def test_files_larger_than_memory_give_the_same(tmp_path, walk, monkeypatch):
    path = tmp_path / "run.traj"
    ase.io.write(path, images_of(walk, cells_of(0.05)))
    (inside,) = load_frames(path, timestep_fs=20.0)
    monkeypatch.setattr(foreign_module, "LARGEST_IN_MEMORY", 0)
    (outside,) = load_frames(path, timestep_fs=20.0)
    assert isinstance(outside.fractional, np.memmap)
    np.testing.assert_array_equal(outside.fractional, inside.fractional)
    a, b = (compute_rdf(each, r_max=5.0)["Li", "S"] for each in (inside, outside))
    np.testing.assert_array_equal(a.g, b.g)


def test_a_last_frame_cut_short_is_left_out(tmp_path, walk):
    path = tmp_path / "XDATCAR"
    ase.io.write(path, images_of(walk, cells_of(0.0)), format="vasp-xdatcar")
    path.write_text(path.read_text()[:-30])
    (frames,) = load_frames(path, timestep_fs=20.0)
    assert frames.num_frames == COUNT - 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("title\n1.0\n1 0 0\n0 1 0\n0 0 1\nLi\n1\nDirect configuration= 1\n0.1 0.2 what\n", "is damaged"),
        ("title\n1.0\n1 0 0\n0 1 0\n0 0 1\nQq\n1\nDirect configuration= 1\n0.1 0.2 0.3\n", "is damaged"),
    ],
)
def test_damaged_xdatcars_get_one_line(tmp_path, text, message):
    (tmp_path / "XDATCAR").write_text(text)
    with pytest.raises(DataError, match=message):
        load_frames(tmp_path / "XDATCAR")


def test_a_timestep_must_be_above_zero(tmp_path, walk):
    ase.io.write(tmp_path / "run.traj", images_of(walk, cells_of(0.0)))
    with pytest.raises(ConfigError, match="timestep_fs=-1"):
        load_frames(tmp_path / "run.traj", timestep_fs=-1)
    assert isinstance(load_frames(tmp_path / "run.traj")[0], Frames)
