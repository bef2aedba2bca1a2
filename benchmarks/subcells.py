"""How wrong are forces in a piece cut out of a glass, and how much vacuum or buffer mends them?

    python benchmarks/subcells.py                # half an hour on a free core
    python benchmarks/subcells.py --quick        # minutes

A Li3PO4 glass of 200 atoms (packed, molten and quenched with a potential trained on `dataset:lipon_xtb`) is
labelled whole by GFN1-xTB (tblite). So are boxes of it, an eighth each, as `mlip build builder=subcells` cuts
them, with different pads of vacuum and buffers; bonds of phosphorus cut or kept; pieces neutral or with the
charge of their ions. Compared are the forces on the atoms of a box with those in the whole glass. Everything
is kept in `--work`; the same command goes on. Writes `results/subcells.json`, `.md`, `.csv` and `.png`.
"""

import argparse
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import ase.io
import numpy as np
from active_frames import run_mlip
from ase import Atoms
from subcells_report import write_results

from mlip.labelers.xtb import XtbLabeler
from mlip.structures.glass import build_glass
from mlip.structures.subcells import build_subcells

NUM_BOXES = 8
# Pad and buffer, A.
MARGINS = ((0.5, 0.0), (1.0, 0.0), (2.0, 0.0), (4.0, 0.0), (0.5, 1.0), (0.5, 2.0), (0.5, 3.0))
KEPT = [["P", "O", 2.0]]
IONS = {"Li": 1.0, "P": 5.0, "O": -2.0}
QUICK_MARGINS = ((0.5, 0.0), (2.0, 0.0), (0.5, 1.0), (0.5, 2.0))
# How pieces are cut: bonds that are kept, and whether they have the charge of their ions.
WAYS = {
    "bonds cut, neutral": ([], False),
    "PO4 whole, neutral": (KEPT, False),
    "PO4 whole, ionic charge": (KEPT, True),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, default=Path("runs/subcells"), help="where everything is kept")
    parser.add_argument("--quick", action="store_true", help="96 atoms as packed, two boxes, thin margins")
    arguments = parser.parse_args()
    work = arguments.work.resolve() / ("quick" if arguments.quick else "glass")
    glass = pack_glass() if arguments.quick else make_glass(work)
    margins, count = (QUICK_MARGINS, 2) if arguments.quick else (MARGINS, 4)
    whole = forces_of(glass, 0.0, work / "whole.npy")
    glass.arrays["whole_forces"] = whole
    rows = [
        errors_of(piece, said, work / "pieces" / name)
        for pad_A, buffer_A in margins
        for way in WAYS
        for said, name, piece in cut(glass, way, pad_A, buffer_A, count)
    ]
    write_results(rows, float(np.sqrt(np.mean(np.sum(whole**2, axis=1)))))


def pack_glass() -> Atoms:
    """96 atoms, never moved: orientations and distances of a glass, forces of none."""
    atoms = next(build_glass(composition="Li3PO4", num_atoms=96, density_g_cm3=2.3, seed=3))
    return Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True)


def make_glass(work: Path) -> Atoms:
    """Packed, molten at 2500 K, quenched to 300 K by a small potential."""
    words = ["model.num_layers=2", "model.num_features=16", "model.radial_mlp_width=32", "model.r_max=4.5"]
    words += ["model.parity=false", "model.pair_potential=zbl", "trainer.max_epochs=20", "device=cpu"]
    words += ["data.train=dataset:lipon_xtb/lipon_gfn1.extxyz.xz", "data.num_train=100", "data.batch_size=5"]
    run_mlip(work / "train", "train", *words)
    words = ["protocol=melt_quench", "protocol.melt.temperature_K=2500", "protocol.melt.duration_ps=0.5"]
    words += ["protocol.quench.rate_K_per_ps=4400", "protocol.equilibrate.duration_ps=0.2", "grade.stop=null"]
    words += ["builder=glass", "builder.composition=Li3PO4", "builder.num_atoms=200"]
    words += ["builder.density_g_cm3=2.3", f"potential={work / 'train' / 'potential.mlip'}", "device=cpu"]
    run_mlip(work / "md", "md", *words)
    atoms = ase.io.read(work / "md" / "final.extxyz")
    return Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True)


def cut(
    glass: Atoms, way: str, pad_A: float, buffer_A: float, count: int
) -> Iterator[tuple[dict, str, Atoms]]:
    """Boxes with their margin: what they are, their name and the structure."""
    bonds, ionic = WAYS[way]
    pieces = build_subcells(
        glass, num_atoms=len(glass) // NUM_BOXES, pad_A=pad_A, buffer_A=buffer_A, bonds=bonds, charges=IONS
    )
    for number, piece in enumerate(islice(pieces, count)):
        charge = piece.info["formal_charge"] if ionic else 0.0
        said = {"way": way, "pad_A": pad_A, "buffer_A": buffer_A, "box": number, "charge": charge}
        name = f"{way}_{pad_A:g}_{buffer_A:g}_{number}".replace(" ", "_").replace(",", "")
        yield said | {"atoms": len(piece), "pad_set_A": piece.info["pad_A"]}, name, piece


def forces_of(atoms: Atoms, charge: float, file: Path) -> np.ndarray:
    """By the labeler, eV/A, (N, 3); kept in a file, not a number where it did not converge."""
    if file.exists():
        return np.load(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    calculator = XtbLabeler().calculator(atoms, charge, file.parent)
    try:
        forces = calculator.get_forces(atoms)
    except RuntimeError:  # tblite's word for charges that do not converge
        forces = np.full((len(atoms), 3), np.nan)
    np.save(file, forces)
    return forces


def errors_of(piece: Atoms, said: dict, file: Path) -> dict:
    """Of each atom: whether it is in the box, the error of its force (eV/A), its depth below the surface."""
    forces = forces_of(piece, said["charge"], file.with_name(f"{file.name}.npy"))
    errors = np.linalg.norm(forces - piece.arrays["whole_forces"], axis=1)
    core = piece.arrays.get("force_mask", np.ones(len(piece), dtype=bool))
    lengths = piece.cell.lengths()  # a cube was cut along its axes
    fractions = piece.get_scaled_positions(wrap=False)
    depths = (np.minimum(fractions, 1.0 - fractions) * lengths).min(axis=1) - said["pad_set_A"] / 2
    return said | {
        "core": core.tolist(),
        "errors": errors.round(4).tolist(),
        "depths_A": depths.round(3).tolist(),
    }


if __name__ == "__main__":
    main()
