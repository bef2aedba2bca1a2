"""The one look of every figure: the style file beside this module, its colours and its sizes by name."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib.style

INK = "#1f2a37"
MUTED = "#667085"
SHADE = "#eef2f8"
# The cycle of the style file, for artists that do not take part in it.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#4D4D4D")

SINGLE = (5.2, 3.6)
WIDE = (9.6, 3.6)
SQUARE = (4.4, 4.2)

_STYLE_FILE = Path(__file__).with_name("vitreous.mplstyle")


@contextmanager
def style() -> Iterator[None]:
    """Apply the look inside a `with` block and leave the caller's matplotlib settings as they were."""
    with matplotlib.style.context(_STYLE_FILE):
        yield
