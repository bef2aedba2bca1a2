"""Which of the frames that explorers left are labelled, and what is cut out of those that are too large."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms

from md.engines.grade_watch import GradeLimits
from md.engines.record import RunFiles
from mlip.data.fingerprint import fingerprint
from mlip.data.graph import build_graph
from mlip.deploy.calculator import GradeThresholds
from mlip.deploy.potential import Potential
from mlip.errors import PotentialError
from mlip.models.grade_fit import DescribedAtoms
from mlip.models.selection import Selection, select_structures
from mlip.models.uncertainty import Uncertainty
from mlip.nn.derivatives import edge_vectors
from mlip.structures.subcells import cut_around
from mlip.workflows.learning.explore import explorer_folder
from mlip.workflows.learning.legs import BROKE, read_legs
from mlip.workflows.learning.plan import Plan, Subcells
from mlip.workflows.learning.records import (
    Generation,
    Record,
    generations,
    potential_before,
    read_frames_of,
    write_frames,
)

SELECTED = "selected.extxyz"
GRADES = "extrapolation_grade"


def select(plan: Plan, generation: Generation, explored: Record, budget: int | None) -> Record:
    """Choose by MaxVol among the candidates of all explorers, and write what is to be labelled.

    Args:
        plan: What is asked for.
        generation: Present one.
        explored: Record of its exploration.
        budget: The most frames to label.

    Raises:
        PotentialError: The potential has no extrapolation grade.
    """
    legs = {name: leg for name, leg in read_legs(explored).items() if leg.potential == explored["potential"]}
    stuck = [name for name, leg in legs.items() if leg.is_stuck]
    if not stuck:
        return {"chosen": [], "reason": "no explorer stopped: the potential stays"}
    seen = _seen_before(generation)
    potential = Potential.load(potential_before(generation)[0])
    fitted = _fitted(potential)
    asked, calibrated = plan.grade.at(generation.number), GradeThresholds(fitted.select, fitted.stop)
    limits = GradeLimits.of_settings(asked["stop"], asked["mark"], calibrated)
    selection = Selection((), ())
    for stop in (limits.stop, math.inf):  # what is beyond, too, where nothing nearer is new
        frames = _new_frames([f for name in legs for f in _candidates(generation, name, stop)], seen)
        if frames:
            atoms = describe_frames(potential, frames)
            selection = select_structures(fitted.grade, atoms, budget, limits.mark)
        if selection.chosen:
            break
    supplied, chosen = len(selection.supplied), selection.chosen
    picked, why = [frames[k] for k in chosen], "its atoms enlarge the active sets"
    if len(chosen) < supplied:
        why += f", farthest from them among {supplied}"
    if not picked:  # the grade is blind here: what came last before the explosion is worth a label
        broke = [name for name in stuck if legs[name].ended == BROKE]
        picked = _new_frames([f for name in broke for f in _last_good(generation, name)], seen)[:budget]
        why = "the last one before its explorer broke at low grades"
    write_frames(generation.path / SELECTED, [_to_label(frame, plan.subcells) for frame in picked])
    what = f"{supplied} of {len(frames)} new candidates enlarge the active sets"
    return {
        "candidates": len(frames),
        "supplied": supplied,
        "candidate_grades": [float(frame.info.get("max_grade", 0.0)) for frame in frames],
        "chosen": [_describe(frame) | {"why": why} for frame in picked],
        "fingerprints": [fingerprint(frame) for frame in picked],
        "reason": f"{what}, {len(picked)} are labelled",
    }


def describe_frames(potential: Potential, frames: Sequence[Atoms]) -> DescribedAtoms:
    """Descriptors of all atoms of some frames, on the CPU.

    Args:
        potential: What describes them.
        frames: Without labels.

    Raises:
        DataError: A frame has an element that the potential lacks.
    """
    force_field = potential.force_field()
    descriptors, species = [], []
    for atoms in frames:
        cutoffs = potential.normalization.edge_cutoffs
        graph = build_graph(atoms, potential.config.r_max, potential.species, cutoffs)
        vectors = edge_vectors(graph.positions, graph.edge_index, graph.edge_shift, graph.cell, graph.batch)
        with torch.no_grad():
            descriptors.append(force_field.model(vectors, graph.species, graph.edge_index)[1])
        species.append(graph.species)
    of_frame = [torch.full_like(each, k) for k, each in enumerate(species)]
    return DescribedAtoms(torch.cat(descriptors), torch.cat(species), torch.cat(of_frame))


def _fitted(potential: Potential) -> Uncertainty:
    if potential.uncertainty is None:
        raise PotentialError(
            "found a potential without extrapolation grade; expected one that mlip train made"
        )
    return potential.uncertainty


def _candidates(generation: Generation, name: str, stop: float) -> list[Atoms]:
    """Frames between the thresholds, each with who found it.

    Where dynamics were stopped, forces had been wrong for a while: a frame beyond `stop` is a candidate only
    if it is all that the explorer has found.
    """
    frames = read_frames_of(RunFiles(explorer_folder(generation, name)).extrapolating)
    within = [frame for frame in frames if frame.info["max_grade"] <= stop]
    return [_named(frame, generation, name) for frame in within or frames]


def _last_good(generation: Generation, name: str) -> list[Atoms]:
    frames = read_frames_of(RunFiles(explorer_folder(generation, name)).final)
    return [_named(frame, generation, name) for frame in frames]


def _named(frame: Atoms, generation: Generation, name: str) -> Atoms:
    frame.info |= {"config_type": f"learn_{name}", "explorer": name, "generation": generation.number}
    frame.arrays.pop("momenta", None)
    frame.calc = None
    return frame


def _new_frames(frames: Sequence[Atoms], seen: set[str]) -> list[Atoms]:
    """Frames that are no copies of each other, nor of those chosen before, labelled or failed."""
    known, new = set(seen), []
    for frame in frames:
        name = fingerprint(frame)
        if name not in known:
            known.add(name)
            new.append(frame)
    return new


def _seen_before(generation: Generation) -> set[str]:
    records = [each.read("select") for each in generations(generation.run_dir)]
    return {name for record in records if record for name in record.get("fingerprints", ())}


def _to_label(frame: Atoms, subcells: Subcells) -> Atoms:
    """A frame, or the piece of it around the atom of the highest grade."""
    if subcells.above is None or len(frame) <= subcells.above or not frame.pbc.all():
        return frame
    atom = int(np.argmax(frame.arrays[GRADES])) if GRADES in frame.arrays else 0
    piece = cut_around(
        frame,
        atom,
        num_atoms=subcells.num_atoms,
        pad_A=subcells.pad_A,
        buffer_A=subcells.buffer_A,
        bonds=subcells.bonds,
    )
    piece.info = frame.info | piece.info
    return piece


def _describe(frame: Atoms) -> dict[str, Any]:
    """Where a chosen frame is from, and for which atom it was chosen."""
    said: dict[str, Any] = {key: frame.info.get(key) for key in ("explorer", "stage", "max_grade")}
    said["step"] = None if "step" not in frame.info else int(frame.info["step"])
    if GRADES in frame.arrays:
        atom = int(np.argmax(frame.arrays[GRADES]))
        said |= {"atom": atom, "element": frame.symbols[atom]}
    return said


def chosen_file(generation: Generation) -> Path:
    """The structures that a generation labels."""
    return generation.path / SELECTED
