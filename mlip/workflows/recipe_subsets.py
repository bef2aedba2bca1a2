"""How each subset of a recipe is made: by a builder, or by dynamics of its parents."""

import logging
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms

from md.trajectory import Trajectory
from mlip.structures.build import read_parents, write_structures
from mlip.structures.builders import build
from mlip.structures.lineage import record_builder
from mlip.workflows.recipe_plan import Recipe, Subset
from mlip.workflows.stage import run_verb

logger = logging.getLogger(__name__)


def make_subset(
    recipe: Recipe, name: str, subset: Subset, folder: Path, seed: int, potential: str | None
) -> None:
    """Make all frames of a subset, once: a file that is there stays.

    Args:
        recipe: The whole.
        name: Of the subset.
        subset: What it is.
        folder: Run directory; the file is `subsets/NAME.extxyz` in it.
        seed: Of the whole; each subset has its own of it.
        potential: What moves atoms, where there is dynamics; without it such a subset is left out.

    Raises:
        ConfigError: An option of the builder makes no sense.
        DataError: A parent cannot be read or built of.
        MlipError: Dynamics failed.
    """
    file = folder / "subsets" / f"{name}.extxyz"
    if file.exists() or (subset.protocol is not None and potential is None):
        return
    file.parent.mkdir(exist_ok=True)
    own_seed = int(np.random.SeedSequence([seed, zlib.crc32(name.encode())]).generate_state(1)[0])
    parents = _parents(recipe, subset, file.parent)
    logger.info("%s: %s of %d structures", name, subset.builder or subset.protocol, len(parents))
    if subset.protocol is not None:
        frames = _run_dynamics(subset, parents, folder / "md" / name, own_seed, str(potential))
    else:
        frames = _run_builder(subset, parents, own_seed)
    write_structures(_named(frames, f"{recipe.name}/{name}"), file)


def read_subset(file: Path) -> list[Atoms]:
    """Frames of a subset, of the file of `make_subset`; none where it was left out or is empty."""
    if not file.is_file() or file.stat().st_size == 0:
        return []
    frames: list[Atoms] = ase.io.read(file, index=":")  # type: ignore[assignment]
    return frames


def _parents(recipe: Recipe, subset: Subset, subsets: Path) -> list[Atoms]:
    if subset.of is not None:
        return read_subset(subsets / f"{subset.of}.extxyz")
    parents = []
    for name in subset.parents:
        parent = recipe.parents[name]
        atoms = read_parents([parent.file], parent.index)[0]
        if parent.repeat != [1, 1, 1]:
            supercell = atoms.repeat(parent.repeat)
            record_builder(supercell, [atoms], {"builder": "repeat", "options": {"repeat": parent.repeat}})
            atoms = supercell
        parents.append(atoms)
    return parents


def _run_builder(subset: Subset, parents: Sequence[Atoms], seed: int) -> Iterator[Atoms]:
    for turn, variant in enumerate(subset.variants):
        yield from build(str(subset.builder), {**subset.options, **variant}, parents, seed + turn)


def _run_dynamics(
    subset: Subset, parents: Sequence[Atoms], folder: Path, seed: int, potential: str
) -> Iterator[Atoms]:
    """Frames of `mlip md`, evenly in time, as many of each parent."""
    share = None if subset.asked is None else -(-subset.asked // max(1, len(parents)))
    for number, parent in enumerate(parents):
        start = folder / f"{number}.extxyz"
        start.parent.mkdir(parents=True, exist_ok=True)
        ase.io.write(start, parent)
        command = ["md", f"potential={potential}", f"structure={start}", f"seed={(seed + number) % 2**31}"]
        command += ["grade.stop=null"]  # what the potential does not know is what wants labels
        run = folder / str(number)
        run_verb([*command, f"protocol={subset.protocol}", *subset.overrides], run)
        with Trajectory(run / "trajectory.h5") as trajectory:
            last = len(trajectory) - 1  # frame 0 is the parent itself
            count = last if share is None else min(share, last)
            for frame in np.unique(np.linspace(1, last, count).round().astype(int)):
                atoms = trajectory.atoms(int(frame))
                atoms = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
                atoms.info["config_type"] = str(subset.protocol)
                made_by = {"builder": f"md {subset.protocol}", "options": {"overrides": subset.overrides}}
                record_builder(atoms, [parent], made_by | {"index": int(frame)})
                yield atoms


def _named(frames: Iterator[Atoms], step: str) -> Iterator[Atoms]:
    for atoms in frames:
        atoms.info["recipe"] = step
        yield atoms
