"""Builders of glasses: packed of units, or LiPON made of a phosphate; both are to be molten and quenched."""

import logging
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from ase import Atoms

from mlip.errors import ConfigError
from mlip.structures.composition import count_units
from mlip.structures.lipon import substitute_lipon
from mlip.structures.packing import pack_units

logger = logging.getLogger(__name__)


def build_glass(
    *,
    composition: str = "Li3PS4",
    units: Mapping[str, int] | None = None,
    num_atoms: int = 96,
    density_g_cm3: float = 1.79,
    in_plane: Sequence[Sequence[float]] | None = None,
    min_distances: Mapping[str, float] | None = None,
    count: int = 1,
    seed: int = 0,
) -> Iterator[Atoms]:
    """Pack ions and molecular units at random.

    Args:
        composition: Formula, from which units and ions are found.
        units: Unit -> number instead, such as {PS4: 16, Li: 48}.
        num_atoms: About how many atoms of the composition.
        density_g_cm3: Mass over volume, g/cm^3.
        in_plane: First two lattice vectors, two numbers each, A; none makes a cube.
        min_distances: Pair -> least distance, A, where the defaults do not please.
        count: How many structures.
        seed: Of the packings.

    Yields:
        Structures of config_type `glass`; `units` says what was packed.

    Raises:
        ConfigError: Units that are unknown or charged together, a composition of none, numbers that make no
            sense.
        DataError: There is no room for them.
    """
    if count < 1 or num_atoms < 1:
        raise ConfigError(
            f"found builder.count={count}, builder.num_atoms={num_atoms}; expected both above zero"
        )
    chosen = dict(units) if units else count_units(composition, num_atoms)
    shown = " ".join(f"{number} {name}" for name, number in chosen.items())
    logger.info("packing %s", shown)
    for each in np.random.SeedSequence(seed).generate_state(count):
        atoms = pack_units(chosen, density_g_cm3, int(each), in_plane, min_distances)
        atoms.info |= {"config_type": "glass", "units": shown}
        yield atoms


def build_lipon(
    parent: Atoms,
    *,
    oxygen: float = 3.5,
    nitrogen: float = 0.31,
    repeat: Sequence[int] = (2, 2, 2),
    count: int = 1,
    seed: int = 0,
) -> Iterator[Atoms]:
    """Make Li_x PO_y N_z of a lithium phosphate at random, x = 2y + 3z - 5.

    Args:
        parent: Li3PO4, crystal or glass.
        oxygen: y.
        nitrogen: z.
        repeat: Supercell of the parent along its three vectors.
        count: How many structures.
        seed: Of what is replaced and removed.

    Yields:
        Structures of config_type `lipon`; `lipon_composition` is the x, y and z that whole atoms allow.

    Raises:
        ConfigError: Numbers that make no sense.
        DataError: The parent is no phosphate.
    """
    if count < 1 or len(repeat) != 3 or min(repeat) < 1:
        raise ConfigError(
            f"found builder.count={count}, builder.repeat={list(repeat)}; expected one or more of each"
        )
    supercell = parent.repeat(tuple(repeat))
    for each in np.random.SeedSequence(seed).generate_state(count):
        atoms = substitute_lipon(supercell, oxygen, nitrogen, int(each))
        atoms.info["config_type"] = "lipon"
        yield atoms
