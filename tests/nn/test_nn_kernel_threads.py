"""Compiled kernels on several threads: the same numbers, bit for bit again; and in forked processes."""

from pathlib import Path

import pytest
import torch
from architectures import ALLEGRO, NEQUIP, R_MAX
from interaction_cases import LARGE, Irreps
from structures import SPECIES, random_structure
from torch.utils.data import DataLoader, Dataset

from mlip.data.graph import build_graph
from mlip.models.allegro import AllegroConfig
from mlip.models.build import build_force_field
from mlip.models.nequip import NequIPConfig
from mlip.models.normalization import Normalization
from mlip.nn.kernels.choose import use_kernel
from mlip.nn.kernels.cpp.interaction import CompiledTensorProduct, SharedEdges
from mlip.nn.tensor_product import EdgeTensorProduct

TASKS = Path("/proc/self/task")


@pytest.fixture
def threads():
    """Sets the number of torch's threads; what it was comes back afterwards."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def interaction():
    """Computes value, first and second derivatives of an interaction on a large random graph."""
    num_atoms, edge_index, edge_vec = LARGE
    reference = EdgeTensorProduct(*Irreps("3x0e+2x1o", 1, "1x0e+1x1o").parts, torch.float64)
    compiled, edges = CompiledTensorProduct(reference), SharedEdges(True)(edge_index, edge_vec, num_atoms)
    shapes = (num_atoms, 9), (edge_index.shape[1], 4), (len(edges.row_edge), reference.num_weights)
    generator = torch.Generator().manual_seed(0)
    inputs = [
        torch.randn(shape, dtype=torch.float64, generator=generator).requires_grad_() for shape in shapes
    ]

    def compute():
        value = compiled(*inputs, edges)
        first = torch.autograd.grad(value.square().sum(), inputs, create_graph=True)
        second = torch.autograd.grad(sum(g.square().sum() for g in first), inputs)
        return [t.detach() for t in (value, *first, *second)]

    return compute


def model(config):
    """Computes forces of a periodic structure and gradients of a loss of them."""
    normalization = Normalization((17.0,) * 3, (1.0,) * 3, (0.0,) * 3, config.edge_cutoffs(SPECIES))
    torch.manual_seed(0)
    force_field = use_kernel(build_force_field(config, SPECIES, normalization, torch.float64), "cpp").train()
    inputs = build_graph(random_structure("triclinic") * (2, 2, 2), R_MAX, SPECIES).inputs

    def compute():
        prediction = force_field(*inputs)
        loss = prediction.forces.square().sum() + prediction.energy.square().sum()
        gradients = torch.autograd.grad(loss, [p for p in force_field.parameters() if p.requires_grad])
        return [t.detach() for t in (prediction.forces, prediction.virial, *gradients)]

    return compute


@pytest.fixture(scope="module")
def nequip():
    return model(NequIPConfig(**NEQUIP["parity"]))


@pytest.fixture(scope="module")
def allegro():
    return model(AllegroConfig(**ALLEGRO["one layer"]))


@pytest.fixture(params=["interaction", "nequip", "allegro"])
def compute(request):
    return request.getfixturevalue(request.param)


def test_threads_change_the_rounding_at_most(threads, compute):
    threads(1)
    expected = compute()
    for count in (2, 3, 7):
        threads(count)
        for mine, other in zip(compute(), expected, strict=True):
            torch.testing.assert_close(mine, other, rtol=0.0, atol=1e-12 * float(other.abs().max()))


@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_same_threads_give_the_same_bits(threads, compute, count):
    threads(count)
    first = compute()
    for _ in range(10):
        assert all(torch.equal(mine, other) for mine, other in zip(compute(), first, strict=True))


def cpu_times():
    """Nanoseconds that each thread of this process has computed."""
    return {task.name: int((task / "schedstat").read_text().split()[0]) for task in TASKS.iterdir()}


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="the kernel does not tell")
def test_both_threads_compute(threads, interaction):
    threads(2)
    interaction()
    before = cpu_times()
    for _ in range(20):
        interaction()
    after = cpu_times()
    spent = sorted(after[task] - before.get(task, 0) for task in after)
    assert spent[-2] > 0.4 * spent[-1]


class Computed(Dataset):
    """Items that a function computes."""

    def __init__(self, compute):
        self.compute = compute

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return self.compute()[-1]


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork.*:DeprecationWarning")
def test_forked_workers_compute(threads, interaction):
    """After this process has computed on two threads, which its children do not have."""
    threads(2)
    expected = interaction()[-1]
    loader = DataLoader(Computed(interaction), num_workers=2, multiprocessing_context="fork", timeout=60)
    for (item,) in loader:
        torch.testing.assert_close(item, expected, rtol=1e-11, atol=1e-11)
