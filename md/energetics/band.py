"""Forces on a band of images that are joined by springs, and on its two ends by themselves.

A band is one point that FIRE takes down (`md/engines/relaxation.py`): M images of N atoms are M N atoms.
"""

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.mep import NEB
from numpy.typing import NDArray

from md.energetics.images import Evaluate
from md.protocols.stages import PlannedStage
from md.state import State


class Ends:
    """The forces of the potential on both ends."""

    def __init__(self, evaluate: Evaluate, fixed: NDArray[np.bool_]) -> None:
        """Take the potential.

        Args:
            evaluate: Of two images.
            fixed: (N,) atoms that stay.
        """
        self._evaluate, self._fixed = evaluate, fixed

    def begin(self, stage: PlannedStage, state: State) -> None:
        """Nothing to prepare."""

    def evaluate(
        self, positions: NDArray[np.float64], cell: NDArray[np.float64]
    ) -> tuple[float, NDArray[np.float64], None]:
        """Sum of the energies, forces, no stress; as of `md.engines.relaxation.Forces`."""
        energies, forces = self._evaluate(positions.reshape(2, -1, 3))
        forces[:, self._fixed] = 0.0
        return float(energies.sum()), forces.reshape(-1, 3), None


class Band:
    """The forces of a nudged elastic band on its images; its ends do not move.

    The potential acts across the path, springs act along it; a climbing image feels no spring, and along the
    path the reverse of its force.

    Source: Henkelman & Jonsson 2000 (10.1063/1.1323224) for the tangent, Henkelman, Uberuaga & Jonsson 2000
    (10.1063/1.1329672) for the climbing image; as implemented in ASE.

    Attributes:
        energies: (M,) of the images as evaluated last, eV.
        forces: (M, N, 3) of the potential alone, eV/A.
    """

    def __init__(
        self,
        evaluate_ends: Evaluate,
        evaluate_between: Evaluate,
        atoms: Atoms,
        num_images: int,
        spring_eV_A2: float,
        climbs: bool,
        fixed: NDArray[np.bool_],
    ) -> None:
        """Take the potential.

        Args:
            evaluate_ends: Of two images; asked once.
            evaluate_between: Of all others at once; asked each step.
            atoms: Species, cell and periodic directions of every image.
            num_images: M, ends included.
            spring_eV_A2: Stiffness of the springs between images.
            climbs: Whether the highest image climbs.
            fixed: (N,) atoms that stay.
        """
        self._evaluate_ends, self._evaluate_between, self._fixed = evaluate_ends, evaluate_between, fixed
        images = [Atoms(atoms.numbers, cell=atoms.cell, pbc=atoms.pbc) for _ in range(num_images)]
        self._neb = NEB(images, k=spring_eV_A2, climb=climbs, method="improvedtangent")
        self.energies = np.zeros(num_images)
        self.forces = np.zeros((num_images, len(atoms), 3))

    def begin(self, stage: PlannedStage, state: State) -> None:
        """Ask for the energies of the ends."""
        ends = state.positions.reshape(self.forces.shape)[[0, -1]]
        self.energies[[0, -1]], self.forces[[0, -1]] = self._evaluate_ends(ends)
        for k, positions in zip((0, -1), ends, strict=True):
            self._set(k, positions)

    def evaluate(
        self, positions: NDArray[np.float64], cell: NDArray[np.float64]
    ) -> tuple[float, NDArray[np.float64], None]:
        """Highest energy, forces on the band, no stress; as of `md.engines.relaxation.Forces`."""
        between = positions.reshape(self.forces.shape)[1:-1]
        self.energies[1:-1], self.forces[1:-1] = self._evaluate_between(between)
        for k, each in enumerate(between, start=1):
            self._set(k, each)
        on_band = np.zeros_like(self.forces)
        on_band[1:-1] = self._neb.get_forces().reshape(between.shape)
        on_band[:, self._fixed] = 0.0
        return float(self.energies.max()), on_band.reshape(-1, 3), None

    def _set(self, k: int, positions: NDArray[np.float64]) -> None:
        """Give an image of ASE's its place and what is known there."""
        image = self._neb.images[k]
        image.set_positions(positions)
        image.calc = SinglePointCalculator(image, energy=self.energies[k], forces=self.forces[k])
