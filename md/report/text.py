"""Numbers as a reader sees them: a value with its error, an interval, a bound."""

import numpy as np


def with_error(value: float, error: float) -> str:
    """A value and its error to two digits of the error, with a power of ten where it is far from one."""
    scale, power = _power_of_ten(max(abs(value), abs(error)))
    digits = _decimals(error / scale)
    text = f"{value / scale:.{digits}f} ± {error / scale:.{digits}f}"
    return f"({text}){power}" if power else text


def with_interval(value: float | None, interval: tuple[float, float] | None) -> str:
    """A value, where there is one, and the ends of its interval."""
    if interval is None:
        return "" if value is None else scientific(value)
    largest, smallest = sorted((abs(end) for end in interval), reverse=True)
    scale, power = _power_of_ten(largest)
    if power and smallest < 0.1 * largest:  # over orders of magnitude: each end has its own power of ten
        ends = " – ".join(map(scientific, interval))
        return ends if value is None else f"{scientific(value)} ({ends})"
    digits = _decimals(abs(interval[1] - interval[0]) / 2 / scale)
    ends = " – ".join(f"{end / scale:.{digits}f}" for end in interval)
    if value is None:
        return f"({ends}){power}" if power else ends
    return f"{value / scale:.{digits}f} ({ends}){power}"


def _power_of_ten(largest: float) -> tuple[float, str]:
    """What to divide by, and how it is written behind; 1 and nothing where numbers are not far from one."""
    exponent = int(f"{largest:e}".split("e")[1])
    return (1.0, "") if -3 < exponent < 5 else (10.0**exponent, f" × 10{_superscript(exponent)}")


def _decimals(error: float) -> int:
    """Places behind the point that two leading digits of an error take."""
    if error <= 0:
        return 3
    return min(max(0, 1 - int(np.floor(np.log10(error)))), 6)


def scientific(value: float) -> str:
    """Two digits and a power of ten."""
    digits, exponent = f"{value:.1e}".split("e")
    return f"{digits} × 10{_superscript(int(exponent))}"


def _superscript(exponent: int) -> str:
    return str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
