"""Random numbers by counters: the published sequence, the distributions, no relation between keys."""

import numpy as np
import pytest
import torch
from scipy import stats

from md.engines.torch.noise import gamma, hashed, normal, uniform

COUNT = 40_000


@pytest.fixture
def keys():
    return hashed(torch.tensor(7), torch.arange(COUNT))


def test_the_hash_is_that_of_splitmix64():
    """The first outputs for the seed 1234567 as published with the algorithm."""
    found = hashed(torch.tensor(1234567), torch.arange(3)).numpy().view(np.uint64)
    assert found.tolist() == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_numbers_are_a_function_of_their_key(keys):
    few = keys[[5, 17]]
    assert torch.equal(normal(keys, 3)[[5, 17]], normal(few, 3))
    assert not torch.equal(normal(few, 3), normal(hashed(few, 1), 3))


def test_uniform_numbers_fill_the_open_interval(keys):
    found = uniform(keys, 4)
    assert found.min() > 0.0
    assert found.max() < 1.0
    for column in found.T:
        assert stats.kstest(column.numpy(), "uniform").pvalue > 0.001


def test_normal_numbers(keys):
    found = normal(keys, 3).numpy()
    for column in found.T:
        assert stats.kstest(column, "norm").pvalue > 0.001
    assert np.abs(np.corrcoef(found.T) - np.eye(3)).max() < 5.0 / np.sqrt(COUNT)
    neighbors = np.corrcoef(found[:-1, 0], found[1:, 0])[0, 1]
    assert abs(neighbors) < 5.0 / np.sqrt(COUNT)


@pytest.mark.parametrize("shape", [1.0, 2.5, 40.0, 3000.0])
def test_gamma_numbers(keys, shape):
    found = gamma(keys, torch.full((COUNT,), shape, dtype=torch.float64)).numpy()
    assert stats.kstest(found, "gamma", args=(shape,)).pvalue > 0.001
