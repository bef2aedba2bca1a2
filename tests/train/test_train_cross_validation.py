"""Parts of cross validation, and what is said of their errors."""

import numpy as np
import pytest
from ase.build import bulk

from mlip.errors import ConfigError, DataError
from train.cross_validation import CrossValidation, choose_folds, judge_folds


def frames(count=12):
    """Frames of which each second one is a near-duplicate of the one before."""
    made = []
    for k in range(count):
        atoms = bulk("Cu", cubic=True).repeat(2)
        atoms.rattle(0.3, seed=k // 2)
        atoms.rattle(1e-4, seed=100 + k)
        made.append(atoms)
    return made


def test_near_duplicates_stay_in_one_part():
    folds = choose_folds(frames(), 3, seed=0)
    assert sorted(np.bincount(folds)) == [4, 4, 4]
    assert (folds[::2] == folds[1::2]).all()
    assert (choose_folds(frames(), 3, seed=1) != folds).any()


def test_lone_atoms_always_train():
    lone = bulk("Cu")[:1]
    assert choose_folds([lone, *frames()], 3, seed=0)[0] == -1


def test_too_many_parts_are_refused():
    with pytest.raises(DataError, match=r"found 6 frames .* expected 7 or more"):
        choose_folds(frames(), 7, seed=0)
    with pytest.raises(ConfigError, match="folds=1"):
        CrossValidation(folds=1)


def errors(rmse, num_frames=10, **subsets):
    forces = {name: {"forces": {"rmse": value}} for name, value in subsets.items()}
    return {
        "forces": {"rmse": rmse},
        "energy": {"rmse": 0.005},
        "num_frames": num_frames,
        "by_subset": forces or {"all": {"forces": {"rmse": rmse}}},
    }


def test_parts_that_are_alike_pass():
    result = judge_folds([errors(0.10), errors(0.12)], errors(0.09), CrossValidation())
    together = np.sqrt((0.10**2 + 0.12**2) / 2)
    assert result.passed
    assert result.checks[0].value == pytest.approx(0.12 / together)
    assert result.checks[1].value == pytest.approx(together / 0.09)
    assert "5 meV/atom" in result.method


def test_a_part_that_is_strange_is_named():
    odd = errors(0.9, num_frames=2, bulk=0.1, slabs=1.5)
    result = judge_folds([errors(0.1), odd, errors(0.1)], errors(0.4), CrossValidation())
    assert [check.passed for check in result.checks] == [False, True]
    assert result.advice == ["the others foretell part 1 badly, slabs worst: add frames like those"]


def test_overfitting_is_found():
    result = judge_folds([errors(0.3), errors(0.3)], errors(0.1), CrossValidation())
    assert [check.passed for check in result.checks] == [True, False]
    assert "unseen frames" in result.advice[0]
