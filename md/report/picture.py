"""A picture of a structure: shaded atoms, bonds of the covalent units, edges of the cell."""

from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols, covalent_radii
from ase.data.colors import jmol_colors
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D
from matplotlib.patches import Circle

from md.analysis.pairs import find_pairs
from md.report.spheres import render_spheres
from mlip.report.figures import new_panels, save_figure
from mlip.report.html import FigureBlock
from mlip.report.style import INK

ELEMENT_COLORS = {
    "H": "#dfe4ea",
    "Li": "#8a6fd1",
    "B": "#e7a38f",
    "C": "#4f5b69",
    "N": "#3f6fd1",
    "O": "#d9473f",
    "F": "#6cc28b",
    "Na": "#5f7fc4",
    "P": "#e8792f",
    "S": "#f0c53a",
    "Cl": "#4bae63",
}
Spheres = tuple[np.ndarray, np.ndarray, np.ndarray]
_ATOM_SIZE, _RING_SIZE = 0.5, 0.75
_BOND_RADIUS, _EDGE_RADIUS = 0.13, 0.045
_EDGE_COLOR = "#8e9aab"
# in sums of covalent radii
BOND_LENGTH = 1.2
# metals: their contacts are drawn as atoms side by side, not as bonds
UNBONDED = {1, 2, 3, 4, 11, 12, 13, 19, 20, *range(21, 31), 37, 38, 55, 56}


def element_color(number: int) -> tuple[float, float, float]:
    """Colour of an element as red, green, blue in 0..1."""
    named = ELEMENT_COLORS.get(chemical_symbols[number])
    return to_rgb(named) if named else to_rgb(jmol_colors[number])


def draw_structure(
    axes: Axes,
    atoms: Atoms,
    turn_deg: float = 24.0,
    tilt_deg: float = 14.0,
    surface: Spheres | None = None,
    ring: int | None = None,
) -> None:
    """Draw a periodic structure, seen almost along its second lattice vector.

    Args:
        axes: where to draw; its frame is taken away.
        atoms: the structure, wrapped into its cell for the picture.
        turn_deg: rotation about the vertical.
        tilt_deg: how far the view comes from above.
        surface: centres (S, 3), radii (S,), A, and colours (S, 3) of small spheres drawn as well.
        ring: an atom to draw a ring around, seen through whatever is in front of it.
    """
    atoms = atoms.copy()
    atoms.wrap()
    view = _view_matrix(turn_deg, tilt_deg)
    drawn = [_atoms(atoms), _bonds(atoms), _edges(atoms), *([surface] if surface else [])]
    centres, radii, colors = (np.concatenate(parts) for parts in zip(*drawn, strict=True))
    image, extent = render_spheres(centres @ view.T, radii, colors, pixels_per_A=40.0)
    axes.imshow(image, extent=extent, interpolation="antialiased")
    if ring is not None:
        centre = atoms.positions[ring] @ view.T
        radius = _RING_SIZE * covalent_radii[atoms.numbers[ring]]
        axes.add_patch(Circle(centre[:2], radius, fill=False, edgecolor=INK, linewidth=2.0, clip_on=False))
    axes.set_aspect("equal")
    axes.set_axis_off()
    handles = [
        Line2D(
            [], [], marker="o", linestyle="", markersize=8, color=element_color(n), label=chemical_symbols[n]
        )
        for n in np.unique(atoms.numbers)
    ]
    axes.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=len(handles))


def picture_figure(
    structures: Mapping[str, Atoms],
    folder: Path,
    caption: str,
    name: str = "structure",
    rings: Mapping[str, int] | None = None,
) -> FigureBlock:
    """Draw structures side by side as a figure of a report; the CSV behind it holds the positions.

    Args:
        structures: title -> structure.
        folder: where PNG and CSV go.
        caption: what they are.
        name: file name of the figure.
        rings: title -> an atom to draw a ring around.
    """
    table: dict[str, Any] = {}
    with new_panels(1, len(structures), (4.8 * len(structures), 4.9)) as (figure, panels):
        for axes, (title, atoms) in zip(panels, structures.items(), strict=True):
            draw_structure(axes, atoms, ring=(rings or {}).get(title))
            axes.set_title(title)
            table[f"{title}: symbol"] = atoms.get_chemical_symbols()
            for column, axis in enumerate("xyz"):
                table[f"{title}: {axis}_A"] = atoms.positions[:, column]
        path = save_figure(figure, folder / f"{name}.png", table)
    return FigureBlock(path, caption, wide=len(structures) > 1)


def _view_matrix(turn_deg: float, tilt_deg: float) -> np.ndarray:
    """Rotation that puts the third lattice direction up and turns and tilts what is in front."""
    turn, tilt = np.deg2rad([turn_deg, tilt_deg])
    upright = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
    about_vertical = np.array(
        [[np.cos(turn), 0.0, np.sin(turn)], [0.0, 1.0, 0.0], [-np.sin(turn), 0.0, np.cos(turn)]]
    )
    about_horizontal = np.array(
        [[1.0, 0.0, 0.0], [0.0, np.cos(tilt), -np.sin(tilt)], [0.0, np.sin(tilt), np.cos(tilt)]]
    )
    return about_horizontal @ about_vertical @ upright


def _atoms(atoms: Atoms) -> Spheres:
    colors = np.array([element_color(number) for number in atoms.numbers])
    return atoms.positions, _ATOM_SIZE * covalent_radii[atoms.numbers], colors


def _bonds(atoms: Atoms) -> Spheres:
    """Each atom's half of its bonds, as rows of small spheres; bonds through a face end in the air."""
    reach = BOND_LENGTH * 2 * covalent_radii[atoms.numbers].max()
    fractional, cell = atoms.get_scaled_positions(wrap=False), atoms.cell.array
    centre, neighbor, vector = find_pairs(fractional, cell, reach)
    numbers = atoms.numbers
    allowed = ~np.isin(numbers, list(UNBONDED))
    contact = covalent_radii[numbers[centre]] + covalent_radii[numbers[neighbor]]
    bonded = allowed[centre] & allowed[neighbor] & (np.linalg.norm(vector, axis=1) < BOND_LENGTH * contact)
    start, half = atoms.positions[centre[bonded]], vector[bonded] / 2
    along = np.linspace(0.0, 1.0, 24)[None, :, None]
    points = (start[:, None] + half[:, None] * along).reshape(-1, 3)
    colors = np.repeat([element_color(number) for number in numbers[centre[bonded]]], 24, axis=0)
    return points, np.full(len(points), _BOND_RADIUS), colors.reshape(-1, 3)


def _edges(atoms: Atoms) -> Spheres:
    cell = atoms.cell.array
    along = np.linspace(0.0, 1.0, 500)[:, None]
    points = []
    for axis in range(3):
        others = [other for other in range(3) if other != axis]
        for first, second in product((0.0, 1.0), repeat=2):
            points.append(first * cell[others[0]] + second * cell[others[1]] + along * cell[axis])
    centres = np.concatenate(points)
    return centres, np.full(len(centres), _EDGE_RADIUS), np.tile(to_rgb(_EDGE_COLOR), (len(centres), 1))
