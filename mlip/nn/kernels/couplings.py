"""Couplings of an interaction as sparse matrices, from which its generated kernels are unrolled."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from torch import Tensor

from mlip.nn.tensor_product import PathLayout

# Couplings below are rounding of the Wigner 3j symbols.
ZERO = 1e-12

Form = tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class Entry:
    """A number of a coupling matrix: sign times a linear form of the harmonics, which paths share."""

    form: int
    negative: bool

    @property
    def sign(self) -> str:
        """What stands before it in a sum: nothing, or a minus."""
        return "-" if self.negative else ""


Matrix = dict[tuple[int, int], Entry]
Block = list[tuple[PathLayout, Matrix]]


def couple(paths: Sequence[PathLayout]) -> tuple[dict[Form, int], list[Block]]:
    """The linear forms of an interaction, counted, and its paths with their matrices, per input irrep.

    A form is (harmonic, coefficient) pairs; an entry (k, a) of a matrix takes component a of the input to
    component k of the result.

    Args:
        paths: All paths; those of one input irrep in a row.
    """
    forms: dict[Form, int] = {}
    blocks: dict[int, Block] = defaultdict(list)
    for path in paths:
        blocks[path.feature_start].append((path, _matrix(path.coupling, forms)))
    return forms, list(blocks.values())


def _matrix(coupling: Tensor, forms: dict[Form, int]) -> Matrix:
    """Entries (k, a) of a path's matrix; new linear forms are added to `forms`."""
    matrix: Matrix = {}
    _, dim_out, dim_in = coupling.shape
    for k in range(dim_out):
        for a in range(dim_in):
            column = coupling[:, k, a].tolist()
            form = tuple((b, value) for b, value in enumerate(column) if abs(value) > ZERO)
            if not form:
                continue
            negative = form[0][1] < 0.0
            form = tuple((b, round(-value if negative else value, 14)) for b, value in form)
            matrix[k, a] = Entry(forms.setdefault(form, len(forms)), negative)
    return matrix


def rows_of(matrix: Matrix) -> dict[int, list[tuple[int, Entry]]]:
    """Per component of the result: components of the input and entries."""
    rows: dict[int, list[tuple[int, Entry]]] = defaultdict(list)
    for (k, a), entry in matrix.items():
        rows[k].append((a, entry))
    return rows


def columns_of(matrix: Matrix) -> dict[int, list[tuple[int, Entry]]]:
    """Per component of the input: components of the result and entries."""
    columns: dict[int, list[tuple[int, Entry]]] = defaultdict(list)
    for (k, a), entry in matrix.items():
        columns[a].append((k, entry))
    return columns


def sum_of(terms: Iterable[str]) -> str:
    """Terms, added up."""
    return " + ".join(terms).replace("+ -", "- ")
