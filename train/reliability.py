"""Are the expected deviations honest? Expected and observed errors, coverage, likelihood, correlation."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.stats import norm, spearmanr

from train.judge import Judgement

MOST_BINS = 12
ERRORS_PER_BIN = 8


@dataclass(frozen=True)
class Reliability:
    """Expected and observed root-mean-square errors of groups of similar expectation.

    Attributes:
        expected: (bins,) in the unit of the error.
        observed: (bins,) in the unit of the error.
        within_one: Share of errors within one expected deviation; 68 % of normal ones are.
        within_two: Within two; 95 % of normal ones are.
        negative_log_likelihood: Mean, of normal errors of the expected deviation each.
        negative_log_likelihood_uniform: The same for one deviation for all, the best there is.
        num_errors: Errors in all bins.
    """

    expected: list[float]
    observed: list[float]
    within_one: float
    within_two: float
    negative_log_likelihood: float
    negative_log_likelihood_uniform: float
    num_errors: int

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)


def measure_reliability(errors: np.ndarray, deviations: np.ndarray) -> Reliability | None:
    """Compare errors (n,), with their sign, with their expected deviations (n,); None if there are none.

    Where nothing is expected (lone atoms, whose energy the shift gives) there is nothing to compare.
    """
    is_usable = deviations > 0.0
    errors, deviations = errors[is_usable], deviations[is_usable]
    if len(errors) == 0:
        return None
    order = np.argsort(deviations)
    groups = np.array_split(order, int(np.clip(len(order) // ERRORS_PER_BIN, 1, MOST_BINS)))
    rms = float(np.sqrt(np.mean(errors**2)))
    return Reliability(
        expected=[float(np.sqrt(np.mean(deviations[group] ** 2))) for group in groups],
        observed=[float(np.sqrt(np.mean(errors[group] ** 2))) for group in groups],
        within_one=float(np.mean(np.abs(errors) <= deviations)),
        within_two=float(np.mean(np.abs(errors) <= 2.0 * deviations)),
        negative_log_likelihood=float(-norm.logpdf(errors, scale=deviations).mean()),
        negative_log_likelihood_uniform=float(-norm.logpdf(errors, scale=max(rms, 1e-300)).mean()),
        num_errors=len(errors),
    )


def compare(judgement: Judgement) -> dict[str, Reliability]:
    """Reliability of `energy` (eV/atom, by frame) and `forces` (eV/A, by component), where it can be told."""
    deviations = np.repeat(judgement.force_deviations, 3)
    found = {
        "energy": measure_reliability(judgement.energy_errors, judgement.energy_deviations),
        "forces": measure_reliability(judgement.force_errors.ravel(), deviations),
    }
    return {name: reliability for name, reliability in found.items() if reliability is not None}


def correlate(judgement: Judgement) -> dict[str, float | None]:
    """Spearman's rank correlation of the length of the force error with what foretells it, by atom."""
    errors = judgement.force_error_lengths
    return {
        "grade": rank_correlation(judgement.grades, errors),
        "force_uncertainty": rank_correlation(judgement.force_deviations, errors),
    }


def rank_correlation(x: np.ndarray, y: np.ndarray) -> float | None:
    """Spearman's, of two (n,); None where one of them is constant or not a number."""
    if len(x) < 3 or np.isnan(x).any() or len(np.unique(x)) == 1 or len(np.unique(y)) == 1:
        return None
    return float(spearmanr(x, y).statistic)
