"""An extrapolation grade for the potential with random weights."""

import torch
from structures import SPECIES, predict, random_structure

from mlip.models.grade_fit import DescribedAtoms, fit_grade
from mlip.models.laplace import LaplaceDeviation
from mlip.models.uncertainty import Uncertainty

TRAINED_ON = [random_structure("triclinic", seed=seed) for seed in range(12)]


def fit_to(potential):
    """The grade of a few random structures, and deviations of random numbers."""
    force_field = potential.force_field()
    batches = []
    for atoms in TRAINED_ON:
        descriptors = predict(force_field, atoms).descriptors
        species = torch.tensor([SPECIES.index(symbol) for symbol in atoms.symbols])
        batches.append(DescribedAtoms(descriptors, species, torch.zeros_like(species)))
    roots = torch.rand(2, len(SPECIES), 4, 4, dtype=torch.float64, generator=torch.manual_seed(0))
    return Uncertainty(
        fit_grade(batches, len(SPECIES)),
        LaplaceDeviation(roots[0]),
        LaplaceDeviation(roots[1]),
        select=1.7,
        stop=8.0,
        calibration={"energy": {"scale": 0.1}},
    )
