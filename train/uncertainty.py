"""What training ends with: the extrapolation grade and the Laplace deviations, fitted and calibrated."""

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mlip.data.dataset import GraphDataset
from mlip.models.grade import ExtrapolationGrade
from mlip.models.grade_fit import DescribedAtoms, fit_grade
from mlip.models.laplace import (
    LaplaceDeviation,
    Precisions,
    accumulate_precisions,
    calibrate,
    regularised_roots,
    structure_features,
)
from mlip.models.uncertainty import Uncertainty
from mlip.nn.derivatives import ForceField, edge_vectors
from train.data import evaluation_loader
from train.judge import Judgement, described, energy_errors, force_errors, judge
from train.metrics import FrameErrors, whole_frames
from train.thresholds import Thresholds, describe_thresholds, find_thresholds

logger = logging.getLogger(__name__)

# Descriptors up to so many bytes are kept between passes; more are computed again in each.
KEPT_BYTES = 1 << 29


class DescriptorBatches:
    """Descriptors of all atoms of some frames, batch after batch, as often as they are asked for.

    Args:
        force_field: In evaluation mode, on `device`.
        datasets: The frames.
        batch_size: Structures per batch.
        device: Where to compute and keep them.
    """

    def __init__(
        self,
        force_field: ForceField,
        datasets: Sequence[GraphDataset],
        batch_size: int,
        device: torch.device,
    ) -> None:
        self.force_field = force_field
        self.loaders = [evaluation_loader(dataset, batch_size) for dataset in datasets]
        self.device = device
        self._kept: list[DescribedAtoms] | None = None

    def __iter__(self) -> Iterator[DescribedAtoms]:
        """Go through all frames once."""
        if self._kept is not None:
            yield from self._kept
            return
        kept, size = [], 0
        for atoms in self._compute():
            size += atoms.descriptors.nbytes
            if size <= KEPT_BYTES:
                kept.append(atoms)
            else:
                kept.clear()
            yield atoms
        if size <= KEPT_BYTES:
            self._kept = kept

    def _compute(self) -> Iterator[DescribedAtoms]:
        for loader in self.loaders:
            for batch in loader:
                graph = batch.to(self.device)
                vectors = edge_vectors(
                    graph.positions, graph.edge_index, graph.edge_shift, graph.cell, graph.batch
                )
                with torch.no_grad():
                    _, descriptors = self.force_field.model(vectors, graph.species, graph.edge_index)
                trained = graph.forces.isfinite().all(dim=1)  # a force mask leaves out the other atoms
                yield DescribedAtoms(descriptors[trained], graph.species[trained], graph.batch[trained])


@dataclass(frozen=True)
class FittedUncertainty:
    """The fit, and what it would have foretold of validation frames that it was not calibrated with.

    Attributes:
        uncertainty: Grade, deviations and thresholds.
        thresholds: The thresholds in words.
        validation: Each half of the validation frames judged with the calibration of the other; None for a
            single frame.
    """

    uncertainty: Uncertainty
    thresholds: str
    validation: Judgement | None


def fit_uncertainty(
    force_field: ForceField,
    batches: DescriptorBatches,
    species: Sequence[str],
    valid: Sequence[FrameErrors],
    test: Sequence[FrameErrors],
) -> FittedUncertainty:
    """Fit to the training frames, calibrate on held-out ones.

    Args:
        force_field: The trained model.
        batches: Descriptors of its training frames.
        species: Of the potential.
        valid: Labels and predictions of the validation frames; those with a force mask are passed over.
        test: Of other held-out frames, which may lie far from the training data; may be none.
    """
    valid, test = whole_frames(valid), whole_frames(test)
    started = time.monotonic()
    scales = force_field.get_parameter("model.scale_shift.scales").detach()
    grade = fit_grade(batches, len(species)).to("cpu")
    precisions = accumulate_precisions(batches, scales)
    precisions = Precisions(precisions.energy.cpu(), precisions.atoms.cpu())
    posterior = Posterior(grade, precisions, scales.cpu(), species)
    fitted = posterior.calibrate(valid)
    thresholds = _thresholds(fitted, species, valid, test)
    calibration = {**fitted.calibration, "thresholds": thresholds.how, "num_valid": len(valid)}
    fitted = replace(fitted, select=thresholds.select, stop=thresholds.stop, calibration=calibration)
    said = describe_thresholds(thresholds)
    logger.info("extrapolation grade fitted in %.1f s: %s", time.monotonic() - started, said)
    return FittedUncertainty(fitted, said, _judge_by_halves(posterior, valid))


@dataclass(frozen=True)
class Posterior:
    """What the training frames say, ready to be calibrated with one set of held-out frames or another.

    Attributes:
        grade: Fitted.
        precisions: Of the last weights.
        energy_scales: (T,) eV.
        species: Of the potential.
    """

    grade: ExtrapolationGrade
    precisions: Precisions
    energy_scales: Tensor
    species: Sequence[str]

    def calibrate(self, results: Sequence[FrameErrors]) -> Uncertainty:
        """The uncertainty whose deviations make the errors of some frames likeliest."""
        atoms = described(results, self.species)
        energy, said_of_energy = self._energy(atoms, torch.from_numpy(energy_errors(results)).square())
        squared = torch.from_numpy(force_errors(results)).square().sum(dim=1)
        forces, said_of_forces = self._forces(atoms, squared)
        calibration = {"energy": said_of_energy, "forces": said_of_forces}
        return Uncertainty(self.grade, energy, forces, calibration=calibration)

    def _energy(self, atoms: DescribedAtoms, squared: Tensor) -> tuple[LaplaceDeviation, dict[str, Any]]:
        features = structure_features(atoms, self.energy_scales)
        precision = self.precisions.energy.unsqueeze(0)
        found = calibrate(precision, features, torch.zeros(len(features), dtype=torch.int64), squared, 1)
        root = found.scale * regularised_roots(precision, found.regulariser)
        return LaplaceDeviation(self.energy_scales.view(-1, 1, 1) * root), asdict(found)

    def _forces(self, atoms: DescribedAtoms, squared: Tensor) -> tuple[LaplaceDeviation, dict[str, Any]]:
        """A width for each species; species without held-out atoms take that of all together."""
        everyone = calibrate(
            self.precisions.atoms, atoms.descriptors.to(torch.float64), atoms.species, squared, 3
        )
        roots, said = [], {"all": asdict(everyone)}
        for z, symbol in enumerate(self.species):
            rows = torch.nonzero(atoms.species == z).view(-1)
            found = everyone
            if bool(atoms.descriptors[rows].any()):
                features, kinds = atoms.descriptors[rows].to(torch.float64), torch.full_like(rows, z)
                found = calibrate(self.precisions.atoms, features, kinds, squared[rows], 3)
                said[symbol] = asdict(found)
            roots.append(found.scale * regularised_roots(self.precisions.atoms, found.regulariser)[z])
        return LaplaceDeviation(torch.stack(roots)), said


def _thresholds(
    fitted: Uncertainty, species: Sequence[str], valid: Sequence[FrameErrors], test: Sequence[FrameErrors]
) -> Thresholds:
    near = judge(valid, fitted, species)
    if not test:
        return find_thresholds(near.grades, near.force_error_lengths, np.array([]), np.array([]))
    far = judge(test, fitted, species)
    return find_thresholds(near.grades, near.force_error_lengths, far.grades, far.force_error_lengths)


def _judge_by_halves(posterior: Posterior, results: Sequence[FrameErrors]) -> Judgement | None:
    """Judge every second frame with the calibration of the others, and the other way round."""
    if len(results) < 2:
        return None
    halves = (results[::2], results[1::2])
    parts = [
        judge(held_out, posterior.calibrate(used), posterior.species)
        for held_out, used in (halves, halves[::-1])
    ]
    return Judgement(**{name: np.concatenate([vars(p)[name] for p in parts]) for name in vars(parts[0])})
