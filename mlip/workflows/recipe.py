"""`mlip build dataset=NAME`: a training set by builders, dynamics and a labeler, after its recipe."""

import csv
import logging
import zlib
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np
from ase import Atoms
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from tqdm import tqdm

from mlip.app import application
from mlip.data.fingerprint import fingerprint
from mlip.data.listing import list_store
from mlip.data.store import Store
from mlip.errors import ConfigError
from mlip.runs import Run
from mlip.settings import build_group
from mlip.structures.build import FILE_NAME, run_build, write_structures
from mlip.workflows.recipe_plan import RECIPE, Recipe, Subset, find_recipe, read_recipe
from mlip.workflows.recipe_subsets import make_subset, read_subset
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
        made = read_subset(folder / f"{name}.extxyz")
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
