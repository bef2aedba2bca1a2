"""Two choices behind the expected errors, measured: energies alone in the Hessian, and a small regulariser.

    python benchmarks/grade_choices.py li_metal lips20 lipon_xtb

Uses the trainings that `grade.py` left in `runs/grade`. Every variant is calibrated on the validation frames
and judged on the held-out ones, energies on compositions whose zero the training determines. The choices were
made with li_metal and lips20; lipon_xtb came after them. Writes `results/grade_choices.json`.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from accuracy_report import describe_machine
from grade_report import RESULTS
from scipy.stats import spearmanr
from torch import Tensor

from mlip.data.dataset import GraphDataset
from mlip.data.read import read_frames
from mlip.deploy import Potential
from mlip.models.laplace import LaplaceDeviation, accumulate_precisions, regularised_roots, structure_features
from mlip.nn.derivatives import ForceField, edge_vectors
from train.evaluate import evaluate_frames
from train.judge import described, energy_errors, force_errors
from train.metrics import FrameErrors
from train.uncertainty import DescriptorBatches

REGULARISERS = tuple(10.0**k for k in range(-10, 3))
EVERY = 3  # frames whose force derivatives enter the Hessian; each counts so often
CPU = torch.device("cpu")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tasks", nargs="+", choices=("li_metal", "lipon_xtb", "lips20"))
    parser.add_argument("--work", type=Path, default=Path("runs/grade"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    found = {task: measure(arguments.work / task) for task in arguments.tasks}
    content = {"provenance": describe_machine(), **found}
    (RESULTS / "grade_choices.json").write_text(json.dumps(content, indent=1) + "\n")
    print(json.dumps(found, indent=1))


def measure(folder: Path) -> dict[str, list[dict[str, float]]]:
    """Likelihoods and rank correlations of every variant on one task."""
    potential = Potential.load(folder / "run" / "potential.mlip")
    force_field, species = potential.force_field(), potential.species
    train, valid, test = (
        GraphDataset(
            read_frames(folder / f"{name}.extxyz"),
            potential.config.r_max,
            species,
            potential.normalization.edge_cutoffs,
        )
        for name in ("train", "valid", "test")
    )
    scales = force_field.get_parameter("model.scale_shift.scales").detach()
    precisions = accumulate_precisions(DescriptorBatches(force_field, [train], 5, CPU), scales)
    both = precisions.energy + force_precision(force_field, train, scales)
    near = evaluate_frames(force_field, valid, 5, CPU)
    far = evaluate_frames(force_field, test, 5, CPU)
    spanned = of_spanned_compositions(near, far, species)
    energies = [energy_case(results, species, scales) for results in (near, spanned)]
    forces = [force_case(results, species) for results in (near, far)]
    return {
        "energies, Hessian of energies": [
            judge_one(precisions.energy[None], c, *energies) for c in REGULARISERS
        ],
        "energies, Hessian of both": [judge_one(both[None], c, *energies) for c in REGULARISERS],
        "forces": [judge_one(precisions.atoms, c, *forces) for c in REGULARISERS],
    }


def force_precision(force_field: ForceField, dataset: GraphDataset, scales: Tensor) -> Tensor:
    """J^T J / (3 N) summed over frames, J (3 N, F) the derivative of sum s_z h_i by positions: exact."""
    total = torch.zeros(1, dtype=torch.float64)
    for index in range(0, len(dataset), EVERY):
        graph = dataset[index]
        positions = graph.positions.clone().requires_grad_(True)
        vectors = edge_vectors(positions, *graph.inputs[2:])
        _, descriptors = force_field.model(vectors, graph.species, graph.edge_index)
        features = (descriptors.double() * scales[graph.species].view(-1, 1)).sum(dim=0)
        jacobian = torch.stack(
            [torch.autograd.grad(f, positions, retain_graph=True)[0].view(-1) for f in features], dim=1
        )
        total = total + EVERY * jacobian.T @ jacobian / len(jacobian)
    return total


def of_spanned_compositions(
    near: Sequence[FrameErrors], far: Sequence[FrameErrors], species: Sequence[str]
) -> list[FrameErrors]:
    """Frames of compositions in the linear span of those of the validation frames."""
    known, counts = (
        np.array([[frame.symbols.count(symbol) for symbol in species] for frame in frames], dtype=float)
        for frames in (near, far)
    )
    _, values, directions = np.linalg.svd(known, full_matrices=False)
    spanned = directions[values > 1e-6 * values[0]]
    rest = np.linalg.norm(counts - counts @ spanned.T @ spanned, axis=1)
    return [frame for frame, r in zip(far, rest, strict=True) if r < 1e-6 * len(frame.symbols)]


def energy_case(
    results: Sequence[FrameErrors], species: Sequence[str], scales: Tensor
) -> tuple[Tensor, Tensor, np.ndarray]:
    features = structure_features(described(results, species), scales)
    return features, torch.zeros(len(features), dtype=torch.int64), energy_errors(results)[:, None]


def force_case(results: Sequence[FrameErrors], species: Sequence[str]) -> tuple[Tensor, Tensor, np.ndarray]:
    atoms = described(results, species)
    return atoms.descriptors, atoms.species, force_errors(results)


def judge_one(
    precisions: Tensor,
    regulariser: float,
    near: tuple[Tensor, Tensor, np.ndarray],
    far: tuple[Tensor, Tensor, np.ndarray],
) -> dict[str, float]:
    """Widths by kind from the near errors; likelihoods of both, rank correlation of the far ones."""
    deviation = LaplaceDeviation(regularised_roots(precisions, regulariser))
    lengths = [deviation(features, kinds).norm(dim=1).numpy()[:, None] for features, kinds, _ in (near, far)]
    widths = np.ones(len(precisions))
    for kind in range(len(precisions)):
        chosen = near[1].numpy() == kind
        widths[kind] = np.sqrt(np.mean((near[2][chosen] / lengths[0][chosen]) ** 2))
    scaled = [
        length * widths[case[1].numpy()][:, None] for length, case in zip(lengths, (near, far), strict=True)
    ]
    likelihoods = [
        float(np.mean(0.5 * np.log(2 * np.pi * s**2) + 0.5 * (case[2] / s) ** 2))
        for s, case in zip(scaled, (near, far), strict=True)
    ]
    rank = spearmanr(scaled[1][:, 0], np.linalg.norm(far[2], axis=1)).statistic
    names = ("regulariser", "nll_valid", "nll_held_out", "rank_correlation_held_out")
    return dict(zip(names, (regulariser, *likelihoods, float(rank)), strict=True))


if __name__ == "__main__":
    main()
