"""The stretch of a mean squared displacement that is diffusion, and the straight line through it."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from md.analysis.msd import MeanSquaredDisplacement
from md.analysis.walker import brownian_covariance, fit_line, fit_line_unweighted

LAST_LAG_FRACTION = 0.7
FIRST_MSD_IN_HOPS = 0.5
_MOST_LAGS_IN_FIT = 40


@dataclass(frozen=True)
class LineFit:
    """The fitted line: D and its standard error in A^2/ps, the intercept in A^2.

    `bend` is how far ordinary least squares, which leans on long lags, is from generalised least squares,
    which leans on short ones, in standard deviations of that difference.
    """

    value: float
    error: float
    intercept: float
    bend: float


@dataclass(frozen=True)
class Motion:
    """The MSD in the chosen directions and what the window rule makes of it.

    Attributes:
        msd: the mean squared displacement as a tensor.
        moved: its sum over the chosen directions, shape (L,), A^2.
        hop_distance_A: site-to-site distance a, A.
        dimension: number of directions summed over.
    """

    msd: MeanSquaredDisplacement
    moved: np.ndarray
    hop_distance_A: float
    dimension: int

    @property
    def lags_ps(self) -> np.ndarray:
        """Time lags, shape (L,), ps."""
        return self.msd.lags_ps

    @property
    def last(self) -> int:
        """Last lag that counts, in frames: later ones have too few independent origins."""
        return int(LAST_LAG_FRACTION * (len(self.moved) - 1))

    @property
    def threshold_A2(self) -> float:
        """MSD from which ions have left their sites, A^2."""
        return FIRST_MSD_IN_HOPS * self.hop_distance_A**2

    @property
    def furthest_A2(self) -> float:
        """Largest MSD up to the last lag, A^2."""
        return float(self.moved[: self.last + 1].max())

    @property
    def num_hops(self) -> float:
        """Effective number of hops N_eff = N max(MSD) / a^2."""
        return float(self.msd.num_atoms * self.furthest_A2 / self.hop_distance_A**2)

    @cached_property
    def window(self) -> np.ndarray:
        """Lags in frames from the first that reaches the threshold to the last; empty if none does."""
        reached = np.flatnonzero(self.moved[: self.last + 1] >= self.threshold_A2)
        return np.arange(reached[0], self.last + 1) if len(reached) else reached

    @cached_property
    def log_slope(self) -> float:
        """Slope of ln MSD against ln lag in the window."""
        return float(np.polyfit(np.log(self.lags_ps[self.window]), np.log(self.moved[self.window]), 1)[0])

    @property
    def relative_error_he(self) -> float:
        """Relative standard error of D after He et al. 2018; infinite where nothing moves."""
        return 3.43 / math.sqrt(self.num_hops) + 0.04 if self.num_hops > 0 else math.inf

    @cached_property
    def fit_lags(self) -> np.ndarray:
        """Lags in frames that the line is fitted through."""
        # neighboring lags hold nearly the same information: a spread of them is as good as all
        return np.unique(np.geomspace(self.window[0], self.window[-1], _MOST_LAGS_IN_FIT).round().astype(int))

    @cached_property
    def covariance(self) -> np.ndarray:
        """Covariance of the MSD at these lags for Brownian walkers with D dt = 1 A^2."""
        return brownian_covariance(self.fit_lags, len(self.moved), self.msd.num_atoms, self.dimension)

    @cached_property
    def fit(self) -> LineFit:
        """Straight line through the window by generalised least squares."""
        lags, covariance = self.fit_lags, self.covariance
        line, spread = fit_line(self.lags_ps[lags], self.moved[lags], covariance)
        # the covariance is that of walkers with D dt = 1 A^2; scaled by the whole MSD, vibrations included
        scale = float(np.mean(self.moved[lags] / lags)) / (2 * self.dimension)
        ordinary, ordinary_spread = fit_line_unweighted(self.lags_ps[lags], self.moved[lags], covariance)
        # the better of two estimates is not correlated with their difference (Hausman 1978)
        expected = scale * math.sqrt(max(ordinary_spread[1, 1] - spread[1, 1], 1e-12 * spread[1, 1]))
        return LineFit(
            value=float(line[1]) / (2 * self.dimension),
            error=scale * math.sqrt(spread[1, 1]) / (2 * self.dimension),
            intercept=float(line[0]),
            bend=float((ordinary[1] - line[1]) / expected),
        )
