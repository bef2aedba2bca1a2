"""How strongly atoms scatter neutrons and X-rays."""

import numpy as np

from mlip.errors import DataError

NEUTRONS, XRAYS = "neutrons", "X-rays"
SOURCES = {
    NEUTRONS: "bound coherent scattering lengths, NIST after Sears, Neutron News 3, 26 (1992)",
    XRAYS: "form factors of neutral atoms, Waasmaier and Kirfel, Acta Cryst. A 51, 416 (1995)",
}


def scattering_amplitude(symbol: str, probe: str, q: np.ndarray) -> np.ndarray:
    """Amplitude of an element at wave vectors q: fm for neutrons, electrons for X-rays.

    The tables are those of the package periodictable.

    Args:
        symbol: the element, with its natural isotopes.
        probe: `neutrons` or `X-rays`.
        q: wave vectors 4 pi sin(theta) / lambda, shape (Q,), 1/A.

    Raises:
        DataError: A table does not have the element.
    """
    import periodictable
    from periodictable.cromermann import fxrayatq

    try:
        if probe == XRAYS:
            return np.asarray(fxrayatq(symbol, q), dtype=np.float64)
        length = periodictable.elements.symbol(symbol).neutron.b_c
    except (KeyError, ValueError):
        length = None
    if length is None:
        raise DataError(f"found no scattering of {probe} by {symbol} in the tables; leave the species out")
    return np.full(len(q), float(length))
