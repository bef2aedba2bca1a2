"""Pictures of frames that the loop selected, each with why it was and what came of it."""

from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from md.report.picture import picture_figure
from mlip.data.fingerprint import fingerprint
from mlip.report.html import FigureBlock
from mlip.workflows.learning.choose import GRADES, chosen_file
from mlip.workflows.learning.records import Generation, read_frames_of

_OF_A_GENERATION, _MOST = 2, 12


def picture_selected(begun: list[Generation], folder: Path) -> list[FigureBlock]:
    """Draw the frames of the highest grade of each generation, the atom that stands out in a ring.

    Args:
        begun: Generations; the last ones are drawn.
        folder: Where figures go.
    """
    picked = [(each, *of_each) for each in begun for of_each in _highest(each)]
    return [_draw(*of_each, folder) for of_each in picked[-_MOST:]]


def _highest(generation: Generation) -> list[tuple[int, Atoms, dict[str, Any]]]:
    """Number, structure and record of the chosen frames that are worth a picture."""
    record = generation.read("select")
    if record is None:
        return []
    frames = read_frames_of(chosen_file(generation))
    chosen = list(zip(range(len(frames)), frames, record["chosen"], strict=True))
    drawable = [each for each in chosen if each[1].cell.rank == 3]
    return sorted(drawable, key=lambda each: -(each[2]["max_grade"] or 0.0))[:_OF_A_GENERATION]


def _draw(
    generation: Generation, number: int, frame: Atoms, said: dict[str, Any], folder: Path
) -> FigureBlock:
    title = f"generation {generation.number}, {said['explorer']}"
    rings = {title: int(np.argmax(frame.arrays[GRADES]))} if GRADES in frame.arrays else {}
    caption = f"{_reason(frame, said)}; {_outcome(generation, frame)}"
    name = f"selected_{generation.number:03d}_{number}"
    return picture_figure({title: frame}, folder, caption, name, rings)


def _reason(frame: Atoms, said: dict[str, Any]) -> str:
    when = "" if said["step"] is None else f" at step {said['step']} of stage {said['stage']}"
    if said["max_grade"] is None:
        return f"Chosen as {said['why']}"
    piece = f"; a piece of {len(frame)} atoms around it was cut out" if "core_atoms" in frame.info else ""
    ringed = f"The ringed {said['element']} had a grade of {said['max_grade']:.3g}{when}{piece}"
    return f"{ringed}. Chosen: {said['why']}"


def _outcome(generation: Generation, frame: Atoms) -> str:
    label = generation.read("label")
    if label is None:
        return "not labelled yet"
    found = label.get("before", {}).get("frames", {}).get(fingerprint(frame))
    if found is None:
        return "its label failed"
    worst = f"{found['worst']:.3g} at worst ({frame.symbols[found['atom']]} {found['atom']})"
    return f"forces were off by {found['rms']:.3g} eV/A before it trained, {worst}"
