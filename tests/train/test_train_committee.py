"""Disagreement of a committee, by what numpy says of it."""

from dataclasses import replace

import numpy as np
import pytest

from train.committee import committee_deviations
from train.metrics import FrameErrors


def member(random, deviation):
    frame = FrameErrors("all", ["Li"] * 500, np.zeros(2), np.zeros((2, 500, 3)), None, np.zeros((500, 4)))
    return [replace(frame, forces=random.normal(0.0, deviation, (2, 500, 3))) for _ in range(2)]


def test_disagreement_is_the_deviation_of_a_component():
    random = np.random.default_rng(0)
    found = committee_deviations([member(random, 0.2) for _ in range(4)])
    assert found.shape == (1000,)
    assert np.sqrt(np.mean(found**2)) == pytest.approx(0.2, rel=0.05)


def test_members_that_agree_have_none():
    same = member(np.random.default_rng(0), 0.2)
    assert not committee_deviations([same, same]).any()
