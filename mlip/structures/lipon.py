"""LiPON, Li_x PO_y N_z: nitrogen for oxygen in lithium phosphate, with the charge balanced, to be molten."""

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from scipy.spatial import KDTree

from mlip.data.neighbors import neighbor_list
from mlip.errors import ConfigError, DataError

_PHOSPHATE_BOND_A = 1.9
# Places tried for each lithium atom that is put in, and how close to others one may be.
_TRIALS = 5000
_ROOM_A = 1.6


def substitute_lipon(phosphate: Atoms, oxygen: float, nitrogen: float, seed: int) -> Atoms:
    """Make Li_x PO_y N_z, x = 2y + 3z - 5, of a phosphate such as a supercell of Li3PO4.

    Random oxygen atoms become nitrogen, others go (from different phosphates as long as there are some), and
    lithium goes from, or comes to, random places until the structure is neutral. What comes out is a start for a
    melt: phosphates that lost a corner have to find a partner.

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
        raise DataError(f"found {phosphate.symbols}; expected lithium phosphate: Li, P and four times as many O")
    num_oxygen, num_nitrogen = round(oxygen * number["P"]), round(nitrogen * number["P"])
    num_lithium = 2 * num_oxygen + 3 * num_nitrogen - 5 * number["P"]
    removed = number["O"] - num_oxygen - num_nitrogen
    if min(num_oxygen, num_nitrogen, num_lithium, removed) < 0:
        raise ConfigError(
            f"found y={oxygen:g} and z={nitrogen:g}, thus x={2 * oxygen + 3 * nitrogen - 5:g}; expected all three "
            "positive and y + z at most 4"
        )
    rng = np.random.default_rng(seed)
    atoms = phosphate.copy()
    leaving, replaced = _choose_oxygen(atoms, removed, num_nitrogen, rng)
    atoms.symbols[replaced] = "N"
    lithium = rng.permutation(np.flatnonzero(symbols == "Li"))
    del atoms[np.concatenate([leaving, lithium[: max(0, number["Li"] - num_lithium)]]).tolist()]
    atoms = insert_at_random(atoms, "Li", num_lithium - number["Li"], rng)
    shares = (count / number["P"] for count in (num_lithium, num_oxygen, num_nitrogen))
    atoms.info["lipon_composition"] = [round(share, 6) for share in shares]
    return atoms


def insert_at_random(atoms: Atoms, symbol: str, number: int, rng: np.random.Generator) -> Atoms:
    """Add atoms one by one, each where there is most room among random places.

    Args:
        atoms: Periodic structure.
        symbol: Element of the new atoms.
        number: How many; none or fewer leaves the structure as it is.
        rng: Source of the places.

    Raises:
        DataError: A new atom would be closer than 1.6 A to another.
    """
    atoms = atoms.copy()
    for _ in range(number):
        places = rng.random((_TRIALS, 3)) @ atoms.cell.array
        distances = _distances_to_nearest(places, atoms)
        best = int(np.argmax(distances))
        if distances[best] < _ROOM_A:
            raise DataError(
                f"found room of {distances[best]:.2f} A for {symbol}; expected {_ROOM_A:g} A: begin with a larger cell"
            )
        atoms += Atoms(symbol, [places[best]])
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
        raise DataError(f"found {oxygen.sum() - len(corners)} oxygen atoms away from phosphorus; expected phosphates")
    return corners[:removed], rng.permutation(corners[removed:])[:replaced]


def _distances_to_nearest(places: NDArray[np.float64], atoms: Atoms) -> NDArray[np.float64]:
    """From each place to the nearest atom or image of one, A."""
    shifts = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    home = atoms.get_scaled_positions(wrap=True)
    images = (home[None] + shifts[:, None]).reshape(-1, 3)
    reach = 3.0 / atoms.cell.lengths()
    near = np.all((images > -reach) & (images < 1 + reach), axis=1)
    return KDTree(images[near] @ atoms.cell.array).query(places)[0]
