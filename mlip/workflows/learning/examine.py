"""How wrong a potential is on labelled frames, and whether its grade had foretold it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from mlip.data.dataset import GraphDataset
from mlip.data.fingerprint import fingerprint
from mlip.deploy.calculator import select_device
from mlip.deploy.potential import Potential
from train.evaluate import evaluate_frames
from train.grade_calibration import calibrate_judgement
from train.judge import judge
from train.metrics import FrameErrors, compute_errors, whole_frames

_BATCH_SIZE = 5


def examine(file: Path, frames: Sequence[Atoms], device: str, select: str | float) -> dict[str, Any]:
    """Errors of a potential on labelled frames, and the calibration of its grade with them.

    Args:
        file: The potential.
        frames: At least one, with labels.
        device: Where to compute.
        select: Grade above which frames were candidates; `auto` for the potential's own.

    Returns:
        `force_rmse`, eV/A; `frames`: by fingerprint the lengths of errors of forces, eV/A; `calibration`,
        as of `GradeCalibration`, where the potential has a grade and there are frames without force mask.
    """
    potential, on = Potential.load(file), select_device(device)
    cutoffs = potential.normalization.edge_cutoffs
    dataset = GraphDataset(frames, potential.config.r_max, potential.species, cutoffs)
    results = evaluate_frames(potential.force_field(on), dataset, _BATCH_SIZE, on)
    of_frames = {fingerprint(frame): _of_frame(found) for frame, found in zip(frames, results, strict=True)}
    found = {"force_rmse": compute_errors(results)["forces"]["rmse"], "frames": of_frames}
    whole = whole_frames(results)
    if potential.uncertainty is not None and whole:
        judged = judge(whole, potential.uncertainty, potential.species)
        threshold = float(potential.uncertainty.select if select == "auto" else select)
        found["calibration"] = calibrate_judgement(judged, threshold).to_dict()
    return found


def _of_frame(result: FrameErrors) -> dict[str, Any]:
    """Root mean square and worst error of a force, and its atom; masked atoms do not count."""
    errors = np.linalg.norm(result.forces[1] - result.forces[0], axis=1)
    worst = int(np.nanargmax(errors))
    return {"rms": float(np.sqrt(np.nanmean(errors**2))), "worst": float(errors[worst]), "atom": worst}
