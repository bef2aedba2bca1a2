"""Predictions of labelled frames beside their labels: the start of `mlip eval`, the end of `mlip train`."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path

import ase.io
import numpy as np
import torch
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from omegaconf import DictConfig
from tqdm import tqdm

from mlip.data.dataset import GraphDataset
from mlip.data.graph import LabelledGraph
from mlip.data.preflight import run_preflight
from mlip.data.read import read_frames
from mlip.deploy.calculator import select_device
from mlip.deploy.potential import Potential
from mlip.errors import ConfigError
from mlip.inputs import as_names
from mlip.nn.derivatives import ForceField, Prediction
from mlip.runs import Run
from train.committee import committee_deviations
from train.data import evaluation_loader
from train.judge import Judgement, judge
from train.metrics import FrameErrors, compute_errors, whole_frames
from train.plots import save_parity
from train.report import log_errors
from train.uncertainty_report import write_uncertainty

logger = logging.getLogger(__name__)


def evaluate_frames(
    force_field: ForceField, dataset: GraphDataset, batch_size: int, device: torch.device
) -> list[FrameErrors]:
    """Labels and predictions of labelled frames, in order.

    Args:
        force_field: In evaluation mode, on `device`.
        dataset: The frames.
        batch_size: Structures per pass.
        device: Where to compute.
    """
    results: list[FrameErrors] = []
    batches = evaluation_loader(dataset, batch_size)
    for batch in tqdm(batches, desc="evaluate", unit="batch", disable=None, leave=False):
        graph = batch.to(device)
        with torch.enable_grad():
            predicted = force_field(*graph.inputs)
        part = dataset.frames[len(results) : len(results) + graph.num_structures]
        results.extend(_split_batch(graph, predicted, part))
    return results


def _split_batch(graph: LabelledGraph, predicted: Prediction, frames: Sequence[Atoms]) -> list[FrameErrors]:
    forces = np.stack([graph.forces.cpu().numpy(), predicted.forces.cpu().numpy()])
    energies = np.stack([graph.energy.cpu().numpy(), predicted.energy.cpu().numpy()])
    descriptors = predicted.descriptors.cpu().numpy()
    labels, virials = graph.stress.cpu().numpy(), predicted.virial.cpu().numpy()
    results = []
    start = 0
    for k, atoms in enumerate(frames):
        stop = start + len(atoms)
        has_stress = bool(graph.has_stress[k])
        results.append(
            FrameErrors(
                subset=str(atoms.info.get("config_type", "all")),
                symbols=atoms.get_chemical_symbols(),
                energy=energies[:, k] / len(atoms),
                forces=forces[:, start:stop],
                stress=np.stack([labels[k], -virials[k] / atoms.get_volume()]) if has_stress else None,
                descriptors=descriptors[start:stop],
            )
        )
        start = stop
    return results


def write_predictions(
    frames: Sequence[Atoms], results: Sequence[FrameErrors], path: Path, judgement: Judgement | None
) -> None:
    """Write the frames with what was predicted, and with grades and expected errors if judged, as extxyz."""
    predicted: list[Atoms] = []
    start = 0
    for atoms, result in zip(frames, results, strict=True):
        copy = atoms.copy()
        stress = {} if result.stress is None else {"stress": result.stress[1]}
        energy = float(result.energy[1] * len(atoms))
        copy.calc = SinglePointCalculator(
            copy, energy=energy, free_energy=energy, forces=result.forces[1], **stress
        )
        if judgement is not None:
            atoms_of_frame = slice(start, start + len(atoms))
            copy.arrays["extrapolation_grade"] = judgement.grades[atoms_of_frame]
            copy.arrays["force_uncertainty"] = judgement.force_deviations[atoms_of_frame]
            copy.info["energy_uncertainty"] = judgement.energy_deviations[len(predicted)] * len(atoms)
        start += len(atoms)
        predicted.append(copy)
    ase.io.write(path, predicted, format="extxyz")


def run_eval(config: DictConfig, run: Run) -> None:
    """Evaluate as configured in `conf/eval.yaml`."""
    if not isinstance(config.batch_size, int) or config.batch_size < 1:
        raise ConfigError(f"found batch_size={config.batch_size}; expected a whole number from 1")
    potential = Potential.load(config.potential)
    frames = read_frames(as_names(config.data))
    preflight = run_preflight(frames)
    logger.info("%s", preflight)
    preflight.raise_on_errors()
    device = select_device(config.device)
    cutoffs = potential.normalization.edge_cutoffs
    dataset = GraphDataset(frames, potential.config.r_max, potential.species, cutoffs)
    force_field = potential.force_field(device, config.kernel)
    results = evaluate_frames(force_field, dataset, config.batch_size, device)
    errors = compute_errors(results)
    (run.path / "errors.json").write_text(json.dumps(errors, indent=2))
    fitted = potential.uncertainty
    judgement = None if fitted is None else judge(results, fitted, potential.species)
    write_predictions(frames, results, run.path / "predictions.extxyz", judgement)
    save_parity(results, run.path)
    log_errors(errors)
    whole = whole_frames(results)
    if fitted is not None and whole:
        committee = _consult(config, whole, frames, device)
        write_uncertainty(judge(whole, fitted, potential.species), fitted, run.path, committee)


def _consult(
    config: DictConfig, own: Sequence[FrameErrors], frames: Sequence[Atoms], device: torch.device
) -> np.ndarray | None:
    """Deviations (N,) among the potential and its committee on frames without a mask; None without one."""
    members = [own]
    for file in as_names(config.committee):
        potential = Potential.load(file)
        cutoffs = potential.normalization.edge_cutoffs
        dataset = GraphDataset(frames, potential.config.r_max, potential.species, cutoffs)
        force_field = potential.force_field(device, config.kernel)
        members.append(whole_frames(evaluate_frames(force_field, dataset, config.batch_size, device)))
    return committee_deviations(members) if len(members) > 1 else None
