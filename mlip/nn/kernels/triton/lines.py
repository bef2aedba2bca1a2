"""What generated Triton kernels load, combine and store."""

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from mlip.nn.kernels.couplings import Block, Entry, Form, rows_of, sum_of
from mlip.nn.kernels.triton.frame import Layer


class Component(NamedTuple):
    """A component of the result of one path: its variables' suffix, path, place in a row, and entries."""

    label: str
    path: int
    place: int
    row: list[tuple[int, Entry]]


def components(block: Block) -> range:
    """Components of the input irrep."""
    return range(block[0][0].coupling.shape[2])


def results(block: Block) -> list[Component]:
    """All components of the result that a block feeds."""
    return [
        Component(f"{number}_{k}", number, path.result_start + k * path.result_stride, row)
        for number, (path, matrix) in enumerate(block)
        for k, row in rows_of(matrix).items()
    ]


def combine(row: list[tuple[int, Entry]], forms: str, vector: str) -> list[str]:
    """Terms of a row of a coupling matrix times the components of a vector."""
    return [f"{entry.sign}{forms}{entry.form} * {vector}{a}" for a, entry in row]


def load_features(block: Block, name: str) -> list[str]:
    """The neighbour's features, component after component."""
    path, _ = block[0]
    return [
        f"{name}{a} = tl.load({name} + at_x + {path.feature_start + a * path.mul}, mask=here, other=0.0)"
        for a in components(block)
    ]


def load_gradients(block: Block, at: str, mask: str) -> list[str]:
    """Gradients g of the result: of the node, once, or of the centre of each edge."""
    return [
        f"g{k} = tl.load(g + {at} + {place}, mask={mask}, other=0.0)" for k, _, place, _ in results(block)
    ]


def _used_forms(layer: Layer, block: Block) -> dict[Form, int]:
    used = {entry.form for _, matrix in block for entry in matrix.values()}
    return {form: index for form, index in layer.forms.items() if index in used}


def load_forms(layer: Layer, block: Block, harmonics: str, forms: str) -> list[str]:
    """Load the harmonics that a block needs and combine them to its forms, one per edge."""
    used = _used_forms(layer, block)
    return [
        f"{harmonics}{b} = tl.load({harmonics} + at_y + {b}, mask=inside, other=0.0)"
        for b in sorted({b for form in used for b, _ in form})
    ] + [
        f"{forms}{index} = {sum_of(f'{value!r} * {harmonics}{b}' for b, value in form)}"
        for form, index in used.items()
    ]


def store_harmonics(layer: Layer, block: Block, name: str, gradients: dict[int, list[str]]) -> list[str]:
    """Sum the gradients of the forms over channels into this part's gradients of the harmonics."""
    lines = [f"gm{form} = {sum_of(terms)}" for form, terms in gradients.items()]
    terms: dict[int, list[str]] = defaultdict(list)
    for form, index in _used_forms(layer, block).items():
        for b, value in form:
            terms[b].append(f"{value!r} * gm{index}")
    place = f"{name} + (e * {layer.parts} + part) * {layer.harmonics}"
    for b in range(layer.harmonics):
        total = sum_of(terms[b]) if terms[b] else "zero"
        lines.append(f"tl.store({place} + {b}, tl.sum({total}, axis=1, keep_dims=True), mask=inside)")
    return lines


def store_sums(sums: Iterable[tuple[str, str, int]]) -> list[str]:
    """Store sums over edges: (variable, pointer, place in the node's row)."""
    return [
        f"tl.store({pointer} + at_node + {place}, tl.sum({variable}, axis=0, keep_dims=True), mask=present)"
        for variable, pointer, place in sums
    ]


def store_features(block: Block, name: str) -> list[str]:
    """Store gradients of the node's features."""
    path, _ = block[0]
    return store_sums((f"{name}{a}", name, path.feature_start + a * path.mul) for a in components(block))
