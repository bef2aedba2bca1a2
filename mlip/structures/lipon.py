"""LiPON, Li_x PO_y N_z: nitrogen for oxygen in lithium phosphate, with the charge balanced, to be molten."""

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from mlip.data.neighbors import neighbor_list
from mlip.errors import ConfigError, DataError
from mlip.structures.voids import find_voids

_PHOSPHATE_BOND_A = 1.9
# How close to others a lithium atom may be put.
_ROOM_A = 1.6


def substitute_lipon(phosphate: Atoms, oxygen: float, nitrogen: float, seed: int) -> Atoms:
    """Make Li_x PO_y N_z, x = 2y + 3z - 5, of a phosphate such as a supercell of Li3PO4.

    Random oxygen atoms become nitrogen, others go (from different phosphates as long as there are some), and
    lithium goes from random places, or comes to the largest voids, until the structure is neutral. What comes
    out is a start for a melt: phosphates that lost a corner have to find a partner.

    Args:
        phosphate: Lithium, phosphorus and oxygen only, four oxygen atoms to a phosphorus, periodic.
        oxygen: y, oxygen atoms for each phosphorus.
        nitrogen: z, nitrogen atoms for each phosphorus; the nearest whole numbers of atoms are taken.
        seed: The same seed gives the same structure.

    Returns:
        The structure; its `info` has `lipon_composition` with the x, y and z that it got.

    Raises:
        DataError: The structure is no phosphate, or there is no room for more lithium.
        ConfigError: There are not as many oxygen or lithium atoms, or more nitrogen than can be balanced.

    Source:
        A. Seth, R. P. Kulkarni, G. Sai Gautam (2025), Generating amorphous LiPON: five nitrogen atoms in 16
        formula units of Li3PO4, lithium and oxygen removed, Li2.94PO3.5N0.31.
    """
    symbols = np.array(phosphate.get_chemical_symbols())
    number = {symbol: int(np.sum(symbols == symbol)) for symbol in ("Li", "P", "O")}
    if set(symbols) - set(number) or not number["P"] or number["O"] != 4 * number["P"]:
        raise DataError(
            f"found {phosphate.symbols}; expected lithium phosphate: Li, P and four times as many O"
        )
    num_oxygen, num_nitrogen = round(oxygen * number["P"]), round(nitrogen * number["P"])
    num_lithium = 2 * num_oxygen + 3 * num_nitrogen - 5 * number["P"]
    removed = number["O"] - num_oxygen - num_nitrogen
    if min(num_oxygen, num_nitrogen, num_lithium, removed) < 0:
        raise ConfigError(
            f"found y={oxygen:g} and z={nitrogen:g}, thus x={2 * oxygen + 3 * nitrogen - 5:g}; expected "
            "all three positive and y + z at most 4"
        )
    rng = np.random.default_rng(seed)
    atoms = phosphate.copy()
    leaving, replaced = _choose_oxygen(atoms, removed, num_nitrogen, rng)
    atoms.symbols[replaced] = "N"
    lithium = rng.permutation(np.flatnonzero(symbols == "Li"))
    del atoms[np.concatenate([leaving, lithium[: max(0, number["Li"] - num_lithium)]]).tolist()]
    atoms = _insert_lithium(atoms, num_lithium - number["Li"])
    shares = (count / number["P"] for count in (num_lithium, num_oxygen, num_nitrogen))
    atoms.info["lipon_composition"] = [round(share, 6) for share in shares]
    return atoms


def _insert_lithium(atoms: Atoms, number: int) -> Atoms:
    """Add lithium atoms one by one, each into the largest void; none if the number is not positive."""
    for _ in range(number):
        places, _ = find_voids(atoms, _ROOM_A)
        if not len(places):
            raise DataError(
                f"found no room of {_ROOM_A:g} A for more Li; expected some: begin with a larger cell"
            )
        atoms = atoms + Atoms("Li", [places[0] @ atoms.cell.array])
    return atoms


def _choose_oxygen(
    atoms: Atoms, removed: int, replaced: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Oxygen atoms that go, from as many phosphates as possible, and those that become nitrogen."""
    phosphorus, oxygen = atoms.numbers == 15, atoms.numbers == 8
    (centre, neighbor), _ = neighbor_list(atoms.positions, atoms.cell.array, True, _PHOSPHATE_BOND_A)
    bonds = phosphorus[centre] & oxygen[neighbor]
    order = rng.permutation(np.flatnonzero(bonds))
    # the first corner of each phosphate in random order, then their second, and so on
    _, place = np.unique(centre[order], return_inverse=True)
    turn = np.array([np.sum(place[:k] == place[k]) for k in range(len(place))])
    corners = neighbor[order][np.argsort(turn, kind="stable")]
    _, first = np.unique(corners, return_index=True)
    corners = corners[np.sort(first)]
    if len(corners) != oxygen.sum():
        raise DataError(
            f"found {oxygen.sum() - len(corners)} oxygen atoms away from phosphorus; expected phosphates"
        )
    return corners[:removed], rng.permutation(corners[removed:])[:replaced]
