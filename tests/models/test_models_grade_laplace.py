"""The Laplace deviation against its formula, and against linear models whose noise is known."""

import io

import numpy as np
import pytest
import torch

from mlip.models.grade_fit import DescribedAtoms
from mlip.models.laplace import (
    LaplaceDeviation,
    accumulate_precisions,
    calibrate,
    regularised_roots,
    structure_features,
)

WIDTH = 8
SCALES = torch.tensor([2.0, 0.5], dtype=torch.float64)


def atoms_of_structures(num, seed=0, size=5):
    rng = np.random.default_rng(seed)
    descriptors = torch.from_numpy(rng.normal(size=(num * size, WIDTH)))
    species = torch.from_numpy(rng.integers(2, size=num * size))
    return DescribedAtoms(descriptors, species, torch.arange(num).repeat_interleave(size))


def test_precisions_do_not_depend_on_batches_and_are_those_of_the_definition():
    atoms = atoms_of_structures(12)
    parts = [
        DescribedAtoms(atoms.descriptors[k : k + 20], atoms.species[k : k + 20], atoms.batch[:20])
        for k in (0, 20, 40)
    ]
    streamed, at_once = accumulate_precisions(parts, SCALES), accumulate_precisions([atoms], SCALES)
    torch.testing.assert_close(streamed.energy, at_once.energy)
    torch.testing.assert_close(streamed.atoms, at_once.atoms)
    scaled = (atoms.descriptors * SCALES[atoms.species, None]).view(12, 5, WIDTH).mean(dim=1)
    torch.testing.assert_close(at_once.energy, torch.einsum("bi,bj->ij", scaled, scaled))
    for z in range(2):
        rows = atoms.descriptors[atoms.species == z]
        torch.testing.assert_close(at_once.atoms[z], rows.T @ rows / len(rows))


def test_vectors_of_atoms_add_up_to_the_deviation_of_the_energy():
    precision = accumulate_precisions([atoms_of_structures(40)], SCALES).energy
    root = 0.3 * regularised_roots(precision.unsqueeze(0), 1e-3)
    deviation = LaplaceDeviation(SCALES.view(-1, 1, 1) * root)
    one = atoms_of_structures(1, seed=1)
    found = deviation(one.descriptors, one.species).sum(dim=0).norm()
    energy_features = 5 * structure_features(one, SCALES)[0]
    regularised = precision + 1e-3 * precision.diagonal().mean() * torch.eye(WIDTH, dtype=torch.float64)
    expected = 0.3 * (energy_features @ torch.linalg.inv(regularised) @ energy_features).sqrt()
    assert found.item() == pytest.approx(expected.item(), rel=1e-9)


@pytest.mark.parametrize("noise", [0.01, 0.2])
def test_the_width_is_that_of_the_noise_and_coverage_is_right(noise):
    """Least squares on noisy labels: the error of a prediction has variance noise^2 f (F^T F)^-1 f."""
    rng = np.random.default_rng(0)
    train = rng.normal(size=(50, WIDTH)) * rng.lognormal(sigma=1.0, size=(50, 1))
    precision = torch.from_numpy(train.T @ train).unsqueeze(0)

    def errors_of_new_fits(repeats):
        features = rng.normal(size=(repeats, 20, WIDTH)) * rng.lognormal(sigma=1.0, size=(repeats, 20, 1))
        labels = noise * rng.normal(size=(50, repeats))  # of weights zero
        fitted = np.linalg.lstsq(train, labels, rcond=None)[0].T
        errors = np.einsum("rnf,rf->rn", features, fitted).ravel()
        return torch.from_numpy(features).view(-1, WIDTH), torch.from_numpy(errors)

    features, errors = errors_of_new_fits(200)
    kinds = torch.zeros(len(errors), dtype=torch.int64)
    found = calibrate(precision, features, kinds, errors.square(), components=1)
    assert found.scale == pytest.approx(noise, rel=0.1)
    assert found.regulariser <= 1e-3
    deviation = LaplaceDeviation(found.scale * regularised_roots(precision, found.regulariser))
    features, errors = errors_of_new_fits(200)
    ratio = errors.abs() / deviation(features, kinds).norm(dim=1)
    assert (ratio < 1.0).double().mean() == pytest.approx(0.683, abs=0.03)
    assert (ratio < 2.0).double().mean() == pytest.approx(0.954, abs=0.015)


def test_likelihood_finds_the_regulariser():
    """A prior as strong as the data but for one direction: too little or too much of it fits worse."""
    rng = np.random.default_rng(1)
    train = rng.normal(size=(6, WIDTH))  # fewer labels than weights
    train[:, 0] *= 3e3
    precision = torch.from_numpy(train.T @ train).unsqueeze(0)
    strength = 1.0
    features, squared = [], []
    for _ in range(300):
        weights = rng.normal(size=WIDTH) / strength**0.5
        labels = train @ weights + rng.normal(size=6)
        fitted = np.linalg.solve(train.T @ train + strength * np.eye(WIDTH), train.T @ labels)
        new = rng.normal(size=(20, WIDTH))
        features.append(new)
        squared.append((new @ (fitted - weights)) ** 2)
    found = calibrate(
        precision,
        torch.from_numpy(np.concatenate(features)),
        torch.zeros(6000, dtype=torch.int64),
        torch.from_numpy(np.concatenate(squared)),
        components=1,
    )
    assert found.scale == pytest.approx(1.0, rel=0.3)
    mean = precision[0].diagonal().mean().item()
    assert 1e-9 < strength / mean < 1e-6
    assert strength / mean / 10.0 <= found.regulariser <= 10.0 * strength / mean
    assert found.num_errors == 6000


def test_a_force_counts_as_three_errors():
    rng = np.random.default_rng(2)
    precision = torch.diag(torch.linspace(1.0, 3.0, WIDTH, dtype=torch.float64)).unsqueeze(0)
    features = rng.normal(size=(4000, WIDTH)) * rng.lognormal(size=(4000, 1))
    leverages = np.einsum("nf,fg,ng->n", features, np.linalg.inv(precision[0].numpy()), features)
    squared = leverages * (0.3 * rng.normal(size=(3, 4000))) ** 2
    kinds = torch.zeros(4000, dtype=torch.int64)
    found = calibrate(
        precision, torch.from_numpy(features), kinds, torch.from_numpy(squared.sum(axis=0)), components=3
    )
    assert found.scale == pytest.approx(0.3, rel=0.03)
    assert found.num_errors == 12000


def test_without_anything_to_calibrate_with_nothing_is_claimed():
    precision = torch.eye(WIDTH, dtype=torch.float64).unsqueeze(0)
    nothing = torch.zeros(3, WIDTH, dtype=torch.float64)
    found = calibrate(precision, nothing, torch.zeros(3, dtype=torch.int64), nothing[:, 0], components=1)
    assert np.isnan(found.scale)
    assert found.num_errors == 0


def test_what_was_never_seen_is_uncertain_but_finite():
    roots = regularised_roots(torch.zeros(1, WIDTH, WIDTH, dtype=torch.float64), 1e-4)
    found = LaplaceDeviation(roots)(torch.ones(1, WIDTH), torch.tensor([0])).norm()
    assert found.item() == pytest.approx(100.0 * WIDTH**0.5)


def test_script_keeps_every_digit_and_no_gradient_passes():
    atoms = atoms_of_structures(3)
    deviation = LaplaceDeviation(torch.randn(2, WIDTH, WIDTH, dtype=torch.float64))
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(deviation), buffer)
    buffer.seek(0)
    expected = deviation(atoms.descriptors.requires_grad_(True), atoms.species)
    assert not expected.requires_grad
    assert torch.equal(torch.jit.load(buffer)(atoms.descriptors, atoms.species), expected)
