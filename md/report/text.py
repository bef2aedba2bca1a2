"""Numbers as a reader sees them: a value with its error, an interval, a bound."""


def with_error(value: float, error: float) -> str:
    """A value and its error, in scientific notation where it is far from one."""
    exponent = int(f"{value:e}".split("e")[1])
    if exponent in (-1, 0, 1):
        return f"{value:.2f} ± {error:.2f}"
    scale = 10.0**exponent
    return f"({value / scale:.2f} ± {error / scale:.2f}) × 10{_superscript(exponent)}"


def with_interval(value: float, interval: tuple[float, float] | None) -> str:
    """A value and the ends of its interval."""
    if interval is None:
        return scientific(value)
    if 0.01 < abs(value) < 100:
        return f"{value:.2f} ({interval[0]:.2f} – {interval[1]:.2f})"
    return f"{scientific(value)} ({scientific(interval[0])} – {scientific(interval[1])})"


def scientific(value: float) -> str:
    """Two digits and a power of ten."""
    digits, exponent = f"{value:.1e}".split("e")
    return f"{digits} × 10{_superscript(int(exponent))}"


def _superscript(exponent: int) -> str:
    return str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
