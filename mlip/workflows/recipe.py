"""`mlip build dataset=NAME`: a training set by builders, dynamics and a labeler, after its recipe."""

import csv
import logging
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from tqdm import tqdm

from md.trajectory import Trajectory
from mlip.app import application
from mlip.data.fingerprint import fingerprint
from mlip.data.listing import list_store
from mlip.data.store import Store
from mlip.errors import ConfigError
from mlip.runs import Run
from mlip.settings import build_group
from mlip.structures.build import FILE_NAME, read_parents, run_build, write_structures
from mlip.structures.builders import build
from mlip.structures.lineage import record_builder
from mlip.workflows.recipe_plan import RECIPE, Recipe, Subset, find_recipe, read_recipe
from mlip.workflows.stage import run_verb

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Count:
    """A row of the table of a training set.

    Attributes:
        subset: Its name.
        paper: Frames in the paper; None where it does not say.
        asked: Frames wanted of the parents that are here; None for all that can be made.
        made: Frames that were made.
        duplicates: Those among them that were there already.
        kept: Frames in the training set.
        note: What a reader should know.
    """

    subset: str
    paper: int | None
    asked: int | None
    made: int
    duplicates: int
    kept: int
    note: str


def run_structures(config: DictConfig, run: Run) -> None:
    """Run one builder, or a recipe where `dataset` names one; label what it made where a labeler is given.

    Raises:
        ConfigError: Settings that make no sense.
        DataError: A structure cannot be read, or nothing can be built of it.
        MlipError: Dynamics or labelling failed.
    """
    labelled = OmegaConf.select(config, "labeler") is not None
    if labelled:
        build_group(config, "labeler")  # a mistake in its settings is found before anything is built
    if config.dataset is None:
        run_build(config, run)
    else:
        make_training_set(config, run)
    if labelled:
        label(run.path, config.store, HydraConfig.get().overrides.task)


def make_training_set(config: DictConfig, run: Run) -> None:
    """Make the subsets of a recipe, leave out duplicates, and say how many frames there are of each.

    Args:
        config: `conf/build.yaml`, resolved.
        run: The run directory.

    Raises:
        ConfigError: Settings that make no sense.
        DataError: A parent cannot be read or built of.
        MlipError: Dynamics failed.
    """
    if config.structure is not None:
        raise ConfigError("found structure= and dataset=; expected one of them: a recipe names its parents")
    file = find_recipe(str(config.dataset))
    _keep_recipe(file, run.path / RECIPE)
    recipe = read_recipe(file, str(config.size))
    logger.info("%s, after %s", recipe.name, recipe.source or "nobody")
    for name, subset in recipe.subsets.items():
        make_subset(recipe, name, subset, run.path, config.seed, config.potential)
    kept, counts = choose_frames(recipe, run.path / "subsets", config.seed, config.potential)
    write_structures(iter(kept), run.path / FILE_NAME)
    _write_table(counts, run.path / "counts.csv")
    for line in table_of(counts, recipe.missing):
        logger.info(line)


def label(folder: Path, store: str | None, overrides: Sequence[str]) -> None:
    """Label `structures.extxyz` by `mlip label`, and say how many frames of each kind have labels.

    Args:
        folder: Run directory; that of the labels is `label` in it.
        store: Where labels go; None: `labels.db` beside them.
        overrides: Of `mlip build`; those of its group `labeler` are handed on.

    Raises:
        MlipError: Labelling failed.
    """
    words = [word for word in overrides if word.lstrip("+~").startswith(("labeler=", "labeler."))]
    place = str(store or folder / "label" / "labels.db")
    run_verb(["label", f"structures={folder / FILE_NAME}", f"store={place}", *words], folder / "label")
    for line in list_store(Store(place)):
        logger.info(line)


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


def choose_frames(
    recipe: Recipe, folder: Path, seed: int, potential: str | None
) -> tuple[list[Atoms], list[Count]]:
    """Leave out frames that were there already, and draw as many of each subset as are asked for.

    Args:
        recipe: The whole.
        folder: What `make_subset` wrote.
        seed: Of the draw.
        potential: As of `make_subset`.

    Returns:
        Frames of the training set in the order of subsets, and the rows of its table.
    """
    seen: set[str] = set()
    kept: list[Atoms] = []
    counts = []
    for name, subset in recipe.subsets.items():
        made = _read(folder / f"{name}.extxyz")
        new = []
        for atoms in tqdm(made, desc=f"duplicates, {name}", unit="frame", disable=None, leave=False):
            known = len(seen)
            seen.add(fingerprint(atoms))
            new += [atoms] if len(seen) > known else []
        chosen = _draw(new, subset.asked, [seed, zlib.crc32(name.encode()), 1])
        kept += chosen
        note = _note(subset, len(chosen), potential)
        counts.append(
            Count(name, subset.paper, subset.asked, len(made), len(made) - len(new), len(chosen), note)
        )
    return kept, counts


def table_of(counts: Sequence[Count], missing: str) -> list[str]:
    """The table of a training set, for people."""
    names = [each.name for each in fields(Count)]
    rows = [names] + [["-" if cell is None else str(cell) for cell in astuple(count)] for count in counts]
    rows.append(["together", "", "", *(str(sum(getattr(c, n) for c in counts)) for n in names[3:6]), ""])
    widths = [max(len(row[column]) for row in rows) for column in range(len(names))]
    lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    return [*lines, f"not here: {missing}"] if missing else lines


def _parents(recipe: Recipe, subset: Subset, subsets: Path) -> list[Atoms]:
    if subset.of is not None:
        return _read(subsets / f"{subset.of}.extxyz")
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


def _draw(frames: Sequence[Atoms], count: int | None, seed: Sequence[int]) -> list[Atoms]:
    """That many of the frames at random, in their order."""
    if count is None or count >= len(frames):
        return list(frames)
    chosen = np.random.default_rng(seed).choice(len(frames), size=count, replace=False)
    return [frames[index] for index in np.sort(chosen)]


def _note(subset: Subset, kept: int, potential: str | None) -> str:
    if subset.protocol is not None and potential is None:
        return "needs potential=FILE"
    fewer = "" if subset.asked is None or kept >= subset.asked else "fewer can be made"
    if subset.paper_parents and len(subset.parents) < subset.paper_parents:
        return f"{len(subset.parents)} of {subset.paper_parents} parents" + (f"; {fewer}" if fewer else "")
    return fewer


def _read(file: Path) -> list[Atoms]:
    """Frames of a subset; none where it was left out or is empty."""
    if not file.is_file() or file.stat().st_size == 0:
        return []
    frames: list[Atoms] = ase.io.read(file, index=":")  # type: ignore[assignment]
    return frames


def _keep_recipe(source: Path, copy: Path) -> None:
    """Copy a recipe into the run; another one there is refused."""
    if copy.exists() and copy.read_bytes() != source.read_bytes():
        raise ConfigError(f"{copy} is not {source} as it is now; choose another run_dir=, or resume=never")
    copy.write_bytes(source.read_bytes())


def _write_table(counts: Sequence[Count], file: Path) -> None:
    with file.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow([each.name for each in fields(Count)])
        writer.writerows(astuple(count) for count in counts)


main = application("build", run_structures, inputs=("structure", "potential"), mutable=("labeler",))

if __name__ == "__main__":
    main()
