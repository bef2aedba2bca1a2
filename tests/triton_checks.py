"""What the Triton kernels must give: the numbers of the reference. In the interpreter, and on a GPU."""

import copy

import torch
from e3nn import o3
from interaction_cases import Irreps

from mlip.nn.contraction import EnvironmentProduct
from mlip.nn.derivatives import ForceField
from mlip.nn.kernels.choose import use_kernel
from mlip.nn.kernels.edges import SeparateEdges
from mlip.nn.radial_table import RadialTable
from mlip.nn.tensor_product import EdgeTensorProduct

# Of the largest number of each result: float32 sums thousands of terms in another order.
TOLERANCE = {torch.float64: 1e-13, torch.float32: 2e-6}


def largest_difference(result, expected):
    """Of two tensors of one shape, relative to the largest number."""
    assert result.shape == expected.shape
    if not expected.numel():
        return 0.0
    return ((result - expected).abs().max() / expected.abs().max().clamp_min(1e-30)).item()


def random_inputs(product, num_atoms, num_edges, dtype, device):
    """Features, harmonics and weights, and vectors along them."""
    generator = torch.Generator().manual_seed(num_edges)
    shapes = [
        (num_atoms, product.irreps_in.dim),
        (num_edges, product.layouts[0].coupling.shape[0]),
        (num_edges, product.num_weights),
    ]
    numbers = [torch.randn(shape, dtype=dtype, generator=generator).to(device) for shape in shapes * 2]
    return [number.requires_grad_() for number in numbers[:3]], numbers[3:]


def derivatives(product, edges, inputs, along):
    """The result, its first and its second derivatives."""
    out = product(*inputs, edges)
    generator = torch.Generator().manual_seed(1)
    g = torch.randn(out.shape, dtype=out.dtype, generator=generator).to(out.device).requires_grad_()
    first = torch.autograd.grad(out, inputs, g, create_graph=True)
    second = torch.autograd.grad(first, [*inputs, g], along)
    return [out.detach(), *(tensor.detach() for tensor in (*first, *second))]


def check_interaction(irreps: Irreps, edge_index, num_atoms, dtype, device):
    """Compare values, first and second derivatives of one interaction with the reference's.

    Returns:
        What `derivatives` takes to compute the same again.
    """
    from mlip.nn.kernels.triton.interaction import SortedEdges, TritonTensorProduct

    reference = EdgeTensorProduct(*irreps.parts, dtype).to(device)
    edge_index = edge_index.to(device)
    edge_vec = torch.zeros(edge_index.shape[1], 3, dtype=torch.float64, device=device)
    inputs, along = random_inputs(reference, num_atoms, edge_index.shape[1], dtype, device)
    expected = derivatives(reference, SeparateEdges(True)(edge_index, edge_vec, num_atoms), inputs, along)
    columns = edge_index.t().contiguous().t()  # in memory, an edge after the other
    product, edges = TritonTensorProduct(reference), SortedEdges()(columns, edge_vec, num_atoms)
    result = derivatives(product, edges, inputs, along)
    worst = max(map(largest_difference, result, expected))
    assert worst < TOLERANCE[dtype], f"{worst:.1e}"
    return product, edges, inputs, along


def check_tabulated(irreps: Irreps, edge_index, num_atoms, dtype, device):
    """Compare values and first derivatives of an interaction with tabulated weights with the reference's."""
    from mlip.nn.kernels.triton.interaction import SortedEdges
    from mlip.nn.kernels.triton.tabulated import TritonTabulatedProduct

    reference = EdgeTensorProduct(*irreps.parts, dtype).to(device)
    edge_index, num_edges = edge_index.to(device), edge_index.shape[1]
    edge_vec = torch.zeros(num_edges, 3, dtype=torch.float64, device=device)
    (x, y, _), _ = random_inputs(reference, num_atoms, num_edges, dtype, device)
    coefficients = torch.randn(
        9, 4, reference.num_weights, dtype=dtype, generator=torch.Generator().manual_seed(2)
    )
    coefficients[-1] = 0.0
    table = RadialTable(coefficients).to(device)
    # At both ends of the table, at knots and beyond it.
    lengths = torch.linspace(0.0, 1.25, num_edges, dtype=torch.float64, device=device).view(-1, 1)
    inputs = [x, y, lengths.requires_grad_()]
    expected = reference(x, y, table(lengths), SeparateEdges(True)(edge_index, edge_vec, num_atoms))
    result = TritonTabulatedProduct(reference, table)(*inputs, SortedEdges()(edge_index, edge_vec, num_atoms))
    worst = largest_difference(result, expected)
    gradients = [torch.autograd.grad((out**2).sum(), inputs) for out in (result, expected)]
    worst = max(worst, *map(largest_difference, *gradients))
    assert worst < TOLERANCE[dtype], f"{worst:.1e}"


def check_environment(irreps, channels, graph, dtype, device, of_harmonics=False):
    """Compare values, first and second derivatives of Allegro's product with the reference's.

    Args:
        irreps: Of features and result.
        channels: Channels.
        graph: Number of atoms, edge_index, edge_vec.
        dtype: Of all numbers.
        device: Of all tensors.
        of_harmonics: Whether the features are harmonics.
    """
    from mlip.nn.kernels.triton.allegro import TritonEnvironmentProduct
    from mlip.nn.kernels.triton.interaction import SortedEdges

    num_atoms, edge_index, _ = graph
    irreps_in, irreps_out = map(o3.Irreps, irreps)
    l_max = max(irreps_in.lmax, irreps_out.lmax)
    harmonics = o3.Irreps.spherical_harmonics(l_max)
    torch.manual_seed(0)
    reference = EnvironmentProduct(irreps_in, harmonics, irreps_out, channels, True, dtype, of_harmonics).to(
        device
    )
    edge_index, num_edges = edge_index.to(device), edge_index.shape[1]
    edge_vec = torch.zeros(num_edges, 3, dtype=torch.float64, device=device)
    width = (l_max + 1 if of_harmonics else irreps_in.dim) * channels
    shapes = [(num_edges, width), (num_edges, (l_max + 1) * channels), (num_edges, harmonics.dim)]
    features, weights, y = (torch.randn(shape, dtype=dtype).to(device).requires_grad_() for shape in shapes)
    scale = torch.rand(num_atoms, dtype=dtype).to(device)
    results = []
    for product, find_edges in (
        (reference, SeparateEdges(True)),
        (TritonEnvironmentProduct(reference), SortedEdges()),
    ):
        edges = find_edges(edge_index, edge_vec, num_atoms)
        tensors, scalars = product(features, weights, y, scale, edges)
        inputs = [features, weights, y, product.weights]
        first = torch.autograd.grad((tensors**2).sum() + (scalars**3).sum(), inputs, create_graph=True)
        second = torch.autograd.grad(sum((gradient**2).sum() for gradient in first), inputs)
        results.append([tensors, scalars, *first, *second])
    worst = max(map(largest_difference, *results))
    assert worst < TOLERANCE[dtype], f"{worst:.1e}"


def check_force_field(force_field: ForceField, inputs, dtype):
    """Compare forces and, of a loss on them, the gradients of all parameters."""
    results = []
    for kernel in ("reference", "triton"):
        model = use_kernel(copy.deepcopy(force_field), kernel).train()
        prediction = model(*inputs)
        loss = (prediction.forces**2).sum() + prediction.energy.sum() + (prediction.virial**2).sum()
        weights = {name: p for name, p in model.named_parameters() if p.requires_grad}
        gradients = torch.autograd.grad(loss, list(weights.values()))
        found = dict(zip(weights, gradients, strict=True))
        results.append(found | {"forces": prediction.forces.detach(), "virial": prediction.virial.detach()})
    expected, result = results
    assert expected.keys() == result.keys()
    for name in expected:
        worst = largest_difference(result[name], expected[name])
        assert worst < 20 * TOLERANCE[dtype], f"{name}: {worst:.1e}"
