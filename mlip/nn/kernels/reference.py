"""The interaction in plain torch: the definition every faster back end must agree with.

TorchScript-clean and differentiable any number of times.
"""

import torch
from torch import Tensor


def interaction(
    features: Tensor,
    harmonics: Tensor,
    weights: Tensor,
    edge_index: Tensor,
    coupling: Tensor,
    path_of_component: Tensor,
    component_order: Tensor,
    blocks: list[tuple[int, int, int, int]],
) -> Tensor:
    """Send features along edges by a weighted `uvu` tensor product and sum them at the centre.

    out_i = sum over j in N(i) of weights_ij * (features_j x harmonics_ij), the product of each path being the
    Clebsch-Gordan contraction that `coupling` holds. Features are stored irrep after irrep, each as
    (component m, channel u) with the channel running fastest.

    Args:
        features: (N, sum_b dim_b * mul_b) node features.
        harmonics: (E, S) spherical harmonics of the edges.
        weights: (E, sum_b paths_b * mul_b) radial weights, path after path.
        edge_index: (2, E) centre and neighbour.
        coupling: Coefficients of all blocks, flat; block b holds (S, D_b, dim_b), where D_b counts the output
            components of the paths that start from it.
        path_of_component: (sum_b D_b,) the path, within its block, of every output component.
        component_order: (out_dim,) where each element of the result stands among the blocks' outputs.
        blocks: Per input irrep: multiplicity, dim, D and number of paths.

    Returns:
        (N, out_dim) summed messages, merged irrep by irrep.

    Source: NequIP, Batzner et al. 2022, eq. 6 (10.1038/s41467-022-29939-5).
    """
    num_nodes = features.shape[0]
    num_edges = harmonics.shape[0]
    centre, neighbor = edge_index[0], edge_index[1]
    outputs: list[Tensor] = []
    at_feature, at_coupling, at_component, at_weight = 0, 0, 0, 0
    for mul, dim, components, paths in blocks:
        if components == 0:
            at_feature += dim * mul
            continue
        matrix = coupling.narrow(0, at_coupling, harmonics.shape[1] * components * dim)
        product = (harmonics @ matrix.view(harmonics.shape[1], components * dim)).view(
            num_edges, components, dim
        )
        block = features.narrow(1, at_feature, dim * mul).index_select(0, neighbor).view(num_edges, dim, mul)
        path = path_of_component.narrow(0, at_component, components)
        weight = weights.narrow(1, at_weight, paths * mul).view(num_edges, paths, mul).index_select(1, path)
        message = (torch.bmm(product, block) * weight).view(num_edges, components * mul)
        summed = torch.zeros(num_nodes, components * mul, dtype=features.dtype, device=features.device)
        outputs.append(summed.index_add(0, centre, message))
        at_feature += dim * mul
        at_coupling += harmonics.shape[1] * components * dim
        at_component += components
        at_weight += paths * mul
    return torch.cat(outputs, dim=1).index_select(1, component_order)
