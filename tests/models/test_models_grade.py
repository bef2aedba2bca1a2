"""The extrapolation grade against a naive MaxVol, and what it must notice."""

import io

import numpy as np
import pytest
import scipy.linalg
import torch

from mlip.errors import MlipError
from mlip.models.grade import ExtrapolationGrade
from mlip.models.grade_fit import DescribedAtoms, fit_grade
from mlip.models.maxvol import pivot_rows

SPECIES = 3
WIDTH = 12


def training_atoms(num=600, seed=0, rank=WIDTH):
    """Correlated, heavy-tailed descriptors of three species that live in `rank` of the directions."""
    rng = np.random.default_rng(seed)
    species = rng.integers(SPECIES, size=num)
    mix = rng.normal(size=(SPECIES, rank, WIDTH)) * np.logspace(0, -1, rank)[:, None]
    mean = rng.normal(size=(SPECIES, rank))
    inner = mean[species] + 0.3 * rng.standard_t(4, size=(num, rank))
    descriptors = np.einsum("nr,nrf->nf", inner, mix[species])
    return torch.from_numpy(descriptors), torch.from_numpy(species)


def in_batches(descriptors, species, size):
    parts = zip(descriptors.split(size), species.split(size), strict=True)
    return [DescribedAtoms(h, z, torch.zeros_like(z)) for h, z in parts]


def naive_maxvol(rows):
    """MaxVol in memory, by its definition: swap while a swap enlarges the determinant."""
    rows = rows.numpy()
    active = list(scipy.linalg.qr(rows.T, pivoting=True, mode="economic")[2][: rows.shape[1]])
    while True:
        coefficients = rows @ np.linalg.inv(rows[active])
        i, j = np.unravel_index(np.abs(coefficients).argmax(), coefficients.shape)
        if abs(coefficients[i, j]) <= 1.01:
            return rows[active]
        active[j] = i


def log_volume(rows):
    return np.linalg.slogdet(rows)[1]


@pytest.mark.parametrize("size", [7, 50, 600])
def test_no_training_atom_is_an_extrapolation(size):
    descriptors, species = training_atoms()
    grades = fit_grade(in_batches(descriptors, species, size), SPECIES)(descriptors, species)
    assert grades.max() <= 1.01 + 1e-9
    for z in range(SPECIES):  # members of the active set have one coefficient of 1
        assert (grades[species == z] > 1.0 - 1e-9).sum() >= WIDTH


def whitened(rows):
    values, vectors = np.linalg.eigh((rows.T @ rows).numpy() / len(rows))
    return torch.from_numpy(rows.numpy() @ vectors / np.sqrt(values))


@pytest.mark.parametrize(("size", "tolerance"), [(7, 0.7), (50, 0.7), (600, 1e-9)])
def test_streamed_volume_is_that_of_a_naive_maxvol(size, tolerance):
    """In one batch both find the same set; streamed, a local maximum about as large."""
    descriptors, species = training_atoms()
    grade = fit_grade(in_batches(descriptors, species, size), SPECIES)
    for z in range(SPECIES):
        rows = descriptors[species == z]
        ours = np.linalg.inv(grade.maps[z].numpy())  # with all directions spanned, M^-1 is the active set
        members = [int((rows - torch.from_numpy(row)).norm(dim=1).argmin()) for row in ours]
        torch.testing.assert_close(rows[members], torch.from_numpy(ours))  # which are training atoms
        naive = log_volume(naive_maxvol(whitened(rows)))
        assert log_volume(whitened(rows)[members]) == pytest.approx(naive, abs=tolerance)


def test_pivots_are_those_of_a_qr_decomposition():
    rows = torch.from_numpy(np.random.default_rng(3).normal(size=(40, 9)))
    expected = scipy.linalg.qr(rows.numpy().T, pivoting=True, mode="economic")[2][:9]
    assert pivot_rows(rows, 9).tolist() == expected.tolist()


def test_displaced_descriptors_have_higher_grades():
    descriptors, species = training_atoms()
    grade = fit_grade(in_batches(descriptors, species, 100), SPECIES)
    sigma = descriptors.std(dim=0)
    noise = torch.from_numpy(np.random.default_rng(2).normal(size=descriptors.shape)) * sigma
    medians = [float(grade(descriptors + s * noise, species).median()) for s in (0.0, 0.3, 1.0, 3.0)]
    assert medians == sorted(medians)
    assert medians[0] < 0.9
    assert medians[-1] > 3.0


def test_an_invertible_map_of_the_descriptors_changes_no_grade():
    descriptors, species = training_atoms()
    far, kinds = training_atoms(seed=1)
    change = torch.from_numpy(np.random.default_rng(4).normal(size=(WIDTH, WIDTH))) + 3.0 * torch.eye(WIDTH)
    plain = fit_grade(in_batches(descriptors, species, 100), SPECIES)(far, kinds)
    mapped = fit_grade(in_batches(descriptors @ change, species, 100), SPECIES)(far @ change, kinds)
    torch.testing.assert_close(mapped, plain, rtol=1e-7, atol=1e-9)


def test_the_residual_catches_a_direction_that_training_never_spanned():
    descriptors, species = training_atoms(rank=5)
    grade = fit_grade(in_batches(descriptors, species, 100), SPECIES)
    assert grade(descriptors, species).max() <= 1.01 + 1e-9
    unseen = grade.projectors[0] @ torch.ones(WIDTH, dtype=torch.float64)
    unseen = unseen / unseen.norm() * descriptors.norm(dim=1).median()
    rows = torch.nonzero(species == 0).view(-1)[:5]
    assert (descriptors[rows] @ grade.maps[0]).abs().max() <= 1.01 + 1e-9
    assert grade(descriptors[rows] + 0.01 * unseen, species[rows]).min() > 5.0
    assert unseen @ grade.maps[0] @ torch.ones(WIDTH, dtype=torch.float64) == pytest.approx(0.0, abs=1e-6)


def test_training_atoms_a_little_outside_of_what_counts_as_spanned_are_no_extrapolation():
    descriptors, species = training_atoms(rank=5)
    leading = torch.linalg.matrix_norm(descriptors, ord=2) / len(descriptors) ** 0.5
    stray = torch.from_numpy(np.random.default_rng(6).normal(size=descriptors.shape))
    descriptors = descriptors + 6e-5 * leading * stray  # variance 3.6e-9 of the leading one
    grade = fit_grade(in_batches(descriptors, species, 100), SPECIES)
    assert (grade.projectors[0].diagonal().sum() - (WIDTH - 5)).abs() < 0.1
    assert grade(descriptors, species).max() <= 1.01 + 1e-9
    assert (grade.residual_scales > 2e-4 * 0.5 * leading).all()  # above the floor, 1e-4


def test_few_constant_zero_and_absent_species():
    """Species 0: fewer rows than features; 1: all alike; 2: lone atoms; 3: none at all."""
    rng = np.random.default_rng(5)
    few = rng.normal(size=(4, WIDTH))
    alike = np.repeat(rng.normal(size=(1, WIDTH)), 20, axis=0)
    descriptors = torch.from_numpy(np.concatenate([few, alike, np.zeros((7, WIDTH))]))
    species = torch.tensor([0] * 4 + [1] * 20 + [2] * 7)
    for size in (1, 3, 31):
        grade = fit_grade(in_batches(descriptors, species, size), 4)
        assert grade(descriptors, species).max() <= 1.01
        assert grade(descriptors[-7:], species[-7:]).abs().max() == 0.0
        assert grade(1.5 * descriptors[4:5], species[4:5]).item() == pytest.approx(1.5)
        elsewhere = torch.from_numpy(rng.normal(size=(4, WIDTH)))
        assert grade(elsewhere, torch.arange(4)).min() > 100.0
        assert torch.isinf(grade(torch.zeros(1, WIDTH, dtype=torch.float64), torch.tensor([3]))).all()


def test_single_precision_descriptors_give_the_same_grades():
    descriptors, species = training_atoms()
    single = descriptors.float()
    double = fit_grade(in_batches(descriptors, species, 100), SPECIES)(descriptors, species)
    grades = fit_grade(in_batches(single, species, 100), SPECIES)(single, species)
    assert grades.dtype == torch.float64
    torch.testing.assert_close(grades, double, rtol=1e-3, atol=1e-3)


def test_descriptors_that_are_not_numbers():
    descriptors, species = training_atoms(num=50)
    grade = fit_grade(in_batches(descriptors, species, 100), SPECIES)
    descriptors[3, 2] = float("nan")
    assert torch.isnan(grade(descriptors, species)[3])
    with pytest.raises(MlipError, match="diverged"):
        fit_grade(in_batches(descriptors, species, 100), SPECIES)


def test_script_and_state_keep_every_digit():
    descriptors, species = training_atoms()
    grade = fit_grade(in_batches(descriptors, species, 100), SPECIES)
    expected = grade(descriptors, species)
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(grade), buffer)
    buffer.seek(0)
    assert torch.equal(torch.jit.load(buffer)(descriptors, species), expected)
    again = ExtrapolationGrade.from_state(grade.state_dict())
    assert torch.equal(again(descriptors, species), expected)


def test_no_gradient_passes():
    descriptors, species = training_atoms(num=60)
    grade = fit_grade(in_batches(descriptors, species, 100), SPECIES)
    assert not grade(descriptors.requires_grad_(True), species).requires_grad
