"""Forces beside those of the potential: walls, tethers, and any callable of a user.

A bias is a callable: positions (n, 3) A, unwrapped, and cell (3, 3) A of one system -> energy () eV and
forces (n, 3) eV/A, as tensors on the device of the positions. In a protocol it is a `_target_` for Hydra.
"""

from collections.abc import Callable, Sequence

import torch
from omegaconf import OmegaConf
from torch import Tensor

from md.engines.base import Place
from md.engines.torch.systems import Systems
from mlip.errors import ConfigError
from mlip.settings import build_group

Bias = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


class Wall:
    """A soft plane: harmonic where an atom is beyond it, nothing elsewhere."""

    def __init__(self, position_A: float, side: str, axis: str = "z", stiffness_eV_A2: float = 5.0) -> None:
        """Put up a wall.

        Args:
            position_A: Where it stands along the axis.
            side: `below` keeps atoms below it, `above` above it.
            axis: x, y or z.
            stiffness_eV_A2: Spring constant, eV/A^2.

        Raises:
            ConfigError: Side or axis is another word.
        """
        if side not in ("below", "above") or axis not in ("x", "y", "z"):
            raise ConfigError(
                f"found a wall with axis={axis}, side={side}; expected x, y or z, and below or above"
            )
        self._position, self._stiffness = position_A, stiffness_eV_A2
        self._axis, self._sign = "xyz".index(axis), 1.0 if side == "below" else -1.0

    def __call__(self, positions: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        """Energy and forces of the atoms beyond the wall."""
        beyond = (self._sign * (positions[:, self._axis] - self._position)).clamp_min(0.0)
        forces = torch.zeros_like(positions)
        forces[:, self._axis] = -self._sign * self._stiffness * beyond
        return 0.5 * self._stiffness * beyond.square().sum(), forces


class Tether:
    """Springs from atoms to fixed places."""

    def __init__(self, anchors: Tensor, springs: Tensor) -> None:
        """Take the places, (n, 3) A, and the spring constants, (n, 1) eV/A^2, zero for free atoms."""
        self._anchors, self._springs = anchors, springs

    def __call__(self, positions: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        """Energy and forces of the springs."""
        away = positions - self._anchors
        return 0.5 * (self._springs * away.square()).sum(), -self._springs * away


class Biases:
    """The biases of the systems of a batch that have some."""

    def __init__(self, places: Sequence[Place], anchors: Sequence[Tensor | None]) -> None:
        """Make the biases of stages.

        Args:
            places: The systems.
            anchors: Where the atoms of a system stood when its stage started, (n, 3) A; None without tethers.

        Raises:
            ConfigError: A `_target_` cannot be made.
        """
        self._biases: list[tuple[int, slice, Bias]] = []
        first = 0
        for index, (place, anchor) in enumerate(zip(places, anchors, strict=True)):
            atoms = slice(first, first := first + len(place.state.numbers))
            for bias in _biases_of(place, anchor):
                self._biases.append((index, atoms, bias))

    def __call__(self, systems: Systems) -> None:
        """Add energies and forces to those of the potential."""
        for index, atoms, bias in self._biases:
            energy, forces = bias(systems.positions[atoms], systems.cell[index])
            systems.energies[index] += energy
            systems.forces[atoms] += forces


def _biases_of(place: Place, anchors: Tensor | None) -> list[Bias]:
    user = place.stage.stage
    config = OmegaConf.create(dict(user.bias))
    biases: list[Bias] = [build_group(config, name) for name in user.bias]
    if anchors is not None:
        springs = torch.zeros(len(anchors), 1, dtype=anchors.dtype)
        for group, spring in user.tethered.items():
            springs[torch.as_tensor(place.state.groups[group])] = spring
        biases.append(Tether(anchors, springs.to(anchors.device)))
    return biases
