"""How many operations and bytes a step of a model needs at least: what its roofline is drawn from.

Counted are multiply-adds of tensor products, perceptrons and linear maps, by the sizes in the model's own
modules; left out are harmonics, Bessel functions, gates and sums (some per cent). A derivative counts what it
needs if nothing is computed twice, and nothing for what no weight depends on. Bytes are those of the rows of
radial weights, written and read once by each operation that makes or takes them, and of features gathered
along edges: numbers per edge, in float32.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from mlip.models.allegro import Allegro
from mlip.models.nequip import NequIP
from mlip.nn.contraction import EnvironmentProduct
from mlip.nn.derivatives import ForceField
from mlip.nn.mlp import ScalarMLP
from mlip.nn.tensor_product import EdgeTensorProduct

# How often the products of the forward pass are formed: with the first derivative; with the second as well.
# y = x W: y, gx; and d(gx)/d(gx, W), dx, dW.
LINEAR = {"inference": 2, "training": 6}
# A product of two things that both depend on positions: y, both derivatives; six more of the second.
BILINEAR = {"inference": 3, "training": 9}
# out = w (M(Y) x): applying M(Y), and scaling by w. The second derivative needs none by Y.
APPLY = {"inference": 4, "training": 9}
SCALE = {"inference": 3, "training": 10}
# Passes over the rows of weights (w: written, read twice; their gradient: written, read), and over gathered
# features.
WEIGHT_PASSES = {"inference": 5, "training": 12}
GATHERS = {"inference": 3, "training": 8}
# Cubic interpolation of a value and of its slope, multiply-adds.
TABLE = 9


@dataclass(frozen=True)
class Cost:
    """Of one step: floating-point operations (a multiply-add is two) and bytes."""

    flops: float
    bytes: float


def cost_of(force_field: ForceField, task: str, num_atoms: int, num_edges: int, table: bool) -> Cost:
    """Cost of a step.

    Args:
        force_field: In plain torch: its modules say the sizes.
        task: "inference" or "training".
        num_atoms: N.
        num_edges: E, both directions counted.
        table: Whether radial functions are interpolated.
    """
    model = force_field.model
    if isinstance(model, Allegro):
        return _allegro_cost(model, task, num_atoms, num_edges)
    if isinstance(model, NequIP):
        return _nequip_cost(model, task, num_atoms, num_edges, table)
    raise TypeError(f"found a {type(model).__name__}; expected NequIP or Allegro")


def _nequip_cost(model: NequIP, task: str, num_atoms: int, num_edges: int, table: bool) -> Cost:
    pairs = num_edges / 2  # an edge and its reverse share a row of weights
    products, rows, gathered = 0.0, 0.0, 0.0
    for layer in model.layers:
        apply, scale = interaction_products(layer.tensor_product)
        weights = layer.tensor_product.num_weights
        radial = TABLE * weights if table else LINEAR[task] * perceptron_products([layer.radial_mlp])
        maps = [layer.linear_before, layer.linear_after, layer.self_connection]
        nodes = sum(block_products(m.blocks) for m in maps if m is not None)
        products += num_edges * (APPLY[task] * apply + SCALE[task] * scale) + pairs * radial
        products += num_atoms * LINEAR[task] * nodes
        rows += 0 if table else pairs * weights
        gathered += num_edges * layer.tensor_product.irreps_in.dim
    products += num_atoms * LINEAR[task] * perceptron_products([model.readout])
    return Cost(2.0 * products, 4.0 * (WEIGHT_PASSES[task] * rows + GATHERS[task] * gathered))


def _allegro_cost(model: Allegro, task: str, num_atoms: int, num_edges: int) -> Cost:
    channels, dim = model.channels, model.harmonics.irreps.dim
    perceptrons = [model.scalar_embed_mlp, model.tensor_embed, model.projection, model.readout]
    perceptrons += [layer.latent_mlp for layer in model.layers]
    linear = num_edges * perceptron_products(perceptrons)
    # The first tensors, and an environment a layer: weights times harmonics.
    bilinear = num_edges * channels * dim * (1 + len(model.layers))
    widths = float(channels * dim)  # of the tensors and environments' weights
    for layer in model.layers:
        of_edge, of_atom = environment_products(layer.tensor_product)
        bilinear += num_edges * of_edge + num_atoms * of_atom
        widths += layer.tensor_product.dim_out * channels + layer.latent_mlp.weights[-1].shape[1]
    products = LINEAR[task] * linear + BILINEAR[task] * bilinear
    return Cost(2.0 * products, 4.0 * WEIGHT_PASSES[task] * num_edges * widths)


def interaction_products(product: EdgeTensorProduct) -> tuple[int, int]:
    """Multiply-adds along one edge: matrices of all paths times features, and the result times weights."""
    apply = sum(layout.mul * int(layout.coupling.any(dim=0).sum()) for layout in product.layouts)
    scale = sum(layout.mul * layout.coupling.shape[1] for layout in product.layouts)
    return apply, scale


def environment_products(product: EnvironmentProduct) -> tuple[int, int]:
    """Multiply-adds along one edge: its tensor times a matrix; at one atom: that matrix."""
    coupling = product.coupling != 0
    in_matrix = int(coupling.flatten(0, 1).any(dim=0).sum())
    return product.channels * in_matrix, product.channels * int(coupling.sum())


def perceptron_products(perceptrons: Iterable[ScalarMLP]) -> int:
    """Multiply-adds of perceptrons for one row."""
    return sum(weight.numel() for perceptron in perceptrons for weight in perceptron.weights)


def block_products(blocks: Iterable[tuple[int, int, int, int, int]]) -> int:
    """Multiply-adds of an equivariant linear map, or of one species' in a self-connection, for one atom."""
    return sum(mul_in * mul_out * dim for _, mul_in, mul_out, dim, _ in blocks)
