"""Where ions are: their density on a grid in the mean cell, with the surface that holds most of them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io.cube import write_cube
from ase.io.xsf import write_xsf

from md.analysis.frames import Frames
from md.analysis.paths import ReferenceFrame, chunk_frames, find_reference

HELD = 0.9


@dataclass(frozen=True)
class DensityMap:
    """Number density of one species on a grid.

    Attributes:
        species: symbol.
        density: shape (A, B, C), 1/A^3; point (i, j, k) is the middle of its grid cell.
        level: density that encloses 90 % of the ions, 1/A^3.
        value: share of the volume that holds 90 % of the ions; 0.9 for ions that are everywhere alike.
        error: half its difference between the halves of the run.
        framework: the other atoms at their mean places in the mean cell.
        method: how it was found.
    """

    species: str
    density: np.ndarray
    level: float
    value: float
    error: float
    framework: Atoms
    method: str

    unit = "1"


def compute_density_map(
    frames: Frames, species: str, spacing_A: float = 0.4, reference: ReferenceFrame | None = None
) -> DensityMap:
    """Count where the ions of one species are, on a grid that breathes with the cell.

    Args:
        frames: frames, in any order.
        species: symbol.
        spacing_A: largest distance of grid points, A.
        reference: what the grid rests in; by default the centre of mass of all atoms.
    """
    atoms, reference = frames.select(species), reference or find_reference(frames)
    cell = frames.mean_cell
    shape = tuple(np.maximum(1, np.ceil(np.linalg.norm(cell, axis=1) / spacing_A)).astype(int))
    halves = np.zeros((2, int(np.prod(shape))))
    moved = reference.centers - reference.centers[0]
    for chunk in chunk_frames(frames):
        places = (frames.fractional[chunk][:, atoms] - moved[chunk, None]) % 1.0
        points = np.minimum((places * shape).astype(np.int64), np.array(shape) - 1)
        index = np.ravel_multi_index(tuple(np.moveaxis(points, 2, 0)), shape)
        is_late = np.arange(chunk.start, chunk.stop) >= frames.num_frames / 2
        for half, rows in ((0, ~is_late), (1, is_late)):
            halves[half] += np.bincount(index[rows].ravel(), minlength=halves.shape[1])
    total = halves.sum(axis=0)
    volume = abs(np.linalg.det(cell)) / total.size
    density = total / (frames.num_frames * volume)
    shares = [find_enclosing(part)[1] for part in halves if part.any()]
    level, share = find_enclosing(density)
    return DensityMap(
        species=species,
        density=density.reshape(shape),
        level=level,
        value=share,
        error=float(np.ptp(shares)) / 2,
        framework=_framework(frames, atoms, moved),
        method=(
            f"share of the volume that holds {HELD:.0%} of {species}, {' x '.join(map(str, shape))} points "
            f"in the mean cell, {frames.num_frames} frames, {reference.method}; error: the run's halves"
        ),
    )


def write_density(result: DensityMap, folder: Path) -> tuple[Path, Path]:
    """Write a density as NAME.cube and NAME.xsf, which VESTA, VMD and OVITO read.

    Args:
        result: the density.
        folder: where the files go; their names are density_SPECIES.

    Returns:
        The paths of both.
    """
    folder.mkdir(parents=True, exist_ok=True)
    cube, xsf = (folder / f"density_{result.species}.{ending}" for ending in ("cube", "xsf"))
    middle = 0.5 * (result.framework.cell.array / np.array(result.density.shape)[:, None]).sum(axis=0)
    comment = f"number density of {result.species}, 1/A^3"
    with cube.open("w", encoding="utf-8") as stream:
        write_cube(stream, result.framework, result.density, origin=middle, comment=comment)
    with xsf.open("w", encoding="utf-8") as stream:
        # its points lie on the faces of the cell, too: the first ones come again as the last
        again = np.pad(result.density, (0, 1), mode="wrap")
        write_xsf(stream, [result.framework], again, middle, result.framework.cell.array)
    return cube, xsf


def find_enclosing(density: np.ndarray) -> tuple[float, float]:
    """Find the density above which 90 % of the ions are, and the share of the points above it.

    Args:
        density: at points that stand for equal volumes, shape (P,).
    """
    ordered = np.sort(density)[::-1]
    held = np.cumsum(ordered)
    last = int(np.searchsorted(held, HELD * held[-1]))
    return float(ordered[last]), (last + 1) / len(ordered)


def _framework(frames: Frames, atoms: np.ndarray, moved: np.ndarray) -> Atoms:
    """Atoms that are not of the species, at their mean places."""
    others = np.setdiff1d(np.arange(len(frames.numbers)), atoms)
    total = np.zeros((len(others), 3))
    for chunk in chunk_frames(frames):
        total += (frames.fractional[chunk][:, others] - moved[chunk, None]).sum(axis=0)
    scaled = total / frames.num_frames % 1.0
    return Atoms(frames.numbers[others], scaled_positions=scaled, cell=frames.mean_cell, pbc=True)
