"""Selection by MaxVol against brute force: what it keeps, what it leaves out, and in which order."""

import itertools

import numpy as np
import torch

from mlip.models.grade_fit import DescribedAtoms, fit_grade
from mlip.models.selection import select_structures

RANK = 4


def described(*structures):
    """Structures as lists of (species, descriptor)."""
    atoms = [(z, h, k) for k, structure in enumerate(structures) for z, h in structure]
    return DescribedAtoms(
        torch.from_numpy(np.array([h for _, h, _ in atoms])),
        torch.tensor([z for z, _, _ in atoms]),
        torch.tensor([k for _, _, k in atoms]),
    )


def grade_of(rows, num_species=1):
    return fit_grade([described([(z, h) for z in range(num_species) for h in rows])], num_species)


def log_volume(rows):
    return np.linalg.slogdet(rows)[1]


def one_atom_each(rows):
    return described(*([(0, row)] for row in rows))


def test_the_volume_with_the_selected_is_that_of_all():
    """Brute force over every set of rows: MaxVol comes as close to the best as its theorem says."""
    rng = np.random.default_rng(0)
    for _ in range(5):
        train, rows = rng.normal(size=(9, RANK)), 2.0 * rng.standard_t(3, size=(8, RANK))
        grade = grade_of(train)
        active = np.linalg.inv(grade.maps[0].numpy())
        selection = select_structures(grade, one_atom_each(rows))
        pool = np.concatenate([active, rows])
        best = max(log_volume(pool[list(each)]) for each in itertools.combinations(range(len(pool)), RANK))
        kept = np.concatenate([active, rows[list(selection.supplied)]])
        volumes = [log_volume(kept[list(each)]) for each in itertools.combinations(range(len(kept)), RANK)]
        assert max(volumes) > best - RANK * np.log(1.01) - 0.5 * RANK * np.log(RANK)
        assert max(volumes) >= naive_maxvol_volume(active, rows) - 1e-9
        chance = []
        for _ in range(50):
            some = rng.choice(len(rows), len(selection.supplied), replace=False)
            pool_of_some = np.concatenate([active, rows[some]])
            chance.append(log_volume(pool_of_some[rng.permutation(len(pool_of_some))[:RANK]]))
        assert max(volumes) >= max(chance)


def naive_maxvol_volume(active, rows):
    """By its definition: the swap that enlarges the determinant most, while there is one."""
    active = active.copy()
    while True:
        gains = np.abs(rows @ np.linalg.inv(active))
        i, j = np.unravel_index(gains.argmax(), gains.shape)
        if gains[i, j] <= 1.01:
            return log_volume(active)
        active[j] = rows[i]


def test_trained_on_the_selected_no_candidate_is_an_extrapolation_beyond_the_grown_set():
    rng = np.random.default_rng(1)
    train, rows = rng.normal(size=(20, RANK)), 3.0 * rng.normal(size=(30, RANK))
    before = grade_of(train)
    atoms = one_atom_each(rows)
    chosen = select_structures(before, atoms).supplied
    assert 0 < len(chosen) <= RANK
    assert before(atoms.descriptors, atoms.species).max() > 1.5
    after = grade_of(np.concatenate([train, rows[list(chosen)]]))
    assert after(atoms.descriptors, atoms.species).max() <= 1.05


def test_interpolations_and_copies_are_not_selected():
    rng = np.random.default_rng(2)
    train = rng.normal(size=(20, RANK))
    grade = grade_of(train)
    known = [0.5 * train[0], 0.3 * train[1] + 0.3 * train[2]]
    far = 10.0 * train[3]
    assert select_structures(grade, one_atom_each(known)).supplied == ()
    assert select_structures(grade, one_atom_each([*known, far, far, far])).supplied == (2,)


def test_directions_that_training_never_had_are_selected():
    rng = np.random.default_rng(3)
    flat = rng.normal(size=(20, RANK)) * [1.0, 1.0, 1.0, 0.0]
    grade = grade_of(flat)
    out = [0.1 * flat[0] + [0, 0, 0, 1e-2], 0.1 * flat[1] + [0, 0, 0, 2e-2], 0.1 * flat[2]]
    assert select_structures(grade, one_atom_each(out)).supplied == (1,)  # which spans that of the other


def test_atoms_of_all_species_count_and_rows_belong_to_their_structure():
    rng = np.random.default_rng(4)
    train = rng.normal(size=(20, RANK))
    grade = grade_of(train, num_species=2)
    usual = [(z, 0.2 * train[k]) for k, z in enumerate([0, 1, 1, 0])]
    frames = [usual, [*usual, (1, 8.0 * train[5])], usual, [(0, -9.0 * train[7]), *usual]]
    selection = select_structures(grade, described(*frames))
    assert selection.supplied == (1, 3)


def test_over_budget_the_farthest_come_first_and_then_those_far_from_them():
    grade = grade_of(np.eye(2))
    rows = [[10.0, 0.0], [0.0, 8.0]]
    several = select_structures(grade, one_atom_each(rows))
    assert several.chosen == (0, 1)
    assert select_structures(grade, one_atom_each(rows), budget=1).chosen == (0,)
    # the volume wants 0 and 1 of species 0 and 2 of species 1; nearest to what is taken comes last
    grade = grade_of(np.eye(2), num_species=2)
    frames = [[(0, np.array([10.0, 0.0]))], [(0, np.array([9.0, 3.0]))], [(1, np.array([10.0, 0.0]))]]
    assert select_structures(grade, described(*frames)).chosen == (0, 2, 1)


def event(rng, num_frames=8):
    """Frames of one event: the same atoms, and in each frame another one is the farthest out."""
    directions = rng.normal(size=(num_frames, RANK))
    reach = np.linspace(0.9, 1.0, num_frames)
    far = 6.0 * directions / np.linalg.norm(directions, axis=1, keepdims=True)
    return [[(0, far[atom] * reach[(k + atom) % num_frames]) for atom in range(num_frames)] for k in range(8)]


def test_of_the_frames_of_one_event_one_is_taken_whole():
    """Row by row each frame supplies the atoms that are farthest in it, by a tenth."""
    rng = np.random.default_rng(5)
    train = rng.normal(size=(20, RANK))
    grade, frames = grade_of(train), event(rng)
    candidates = described(*frames)
    assert grade(candidates.descriptors, candidates.species).max() > 1.5
    (taken,) = select_structures(grade, candidates, known=1.5).supplied
    after = grade_of(np.concatenate([train, [h for _, h in frames[taken]]]))
    assert after(candidates.descriptors, candidates.species).max() <= 1.5
    everything = select_structures(grade, candidates).supplied
    assert len(everything) > 1  # without a threshold a tenth more is worth a label


def test_what_is_known_after_another_was_taken_is_not_taken():
    grade = grade_of(np.eye(2))
    frames = [[4.0, 0.0], [5.0, 0.0], [0.0, 1.4], [0.0, 1.6]]
    assert select_structures(grade, one_atom_each(frames), known=1.5).supplied == (1, 3)
    assert select_structures(grade, one_atom_each(frames), known=1.7).supplied == (1,)
    assert select_structures(grade, one_atom_each(frames[2:3]), known=0.5).supplied == (0,)
    assert select_structures(grade, one_atom_each([[1.005, 0.0]]), known=0.5).supplied == ()
