"""A committee: trainings with other seeds, whose disagreement is a second opinion on the grade.

The last layer cannot doubt what the layers before it made of a structure; other trainings made
something else. Source: Seung, Opper & Sompolinsky 1992 (10.1145/130385.130417).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from train.metrics import FrameErrors


def committee_deviations(members: Sequence[Sequence[FrameErrors]]) -> NDArray[np.float64]:
    """Standard deviation of a force component among members, (N,), eV/A: the root mean square of three.

    Args:
        members: Predictions of each, of the same frames; two members or more.
    """
    forces = np.array([np.concatenate([frame.forces[1] for frame in member]) for member in members])
    return np.sqrt(forces.var(axis=0, ddof=1).mean(axis=1))
