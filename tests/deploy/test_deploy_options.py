"""TorchScript and torch.export take every option of every architecture, and give the same numbers."""

import copy
import io
from types import SimpleNamespace

import pytest
import torch
from architectures import ALLEGRO, NEQUIP, R_MAX
from structures import SPECIES, random_structure

from mlip import fields
from mlip.data.graph import build_graph, collate
from mlip.deploy.export import export_program
from mlip.deploy.kernels import ModelWithKernels
from mlip.deploy.torchscript import PairStyleModel, load_torchscript, save_torchscript, script_inside
from mlip.models.allegro import AllegroConfig
from mlip.models.build import build_force_field
from mlip.models.grade_fit import DescribedAtoms, fit_grade
from mlip.models.nequip import NequIPConfig
from mlip.models.normalization import resolve_normalization
from mlip.nn.kernels.choose import use_kernel

CONFIGS = {f"nequip, {name}": NequIPConfig(**settings) for name, settings in NEQUIP.items()}
CONFIGS |= {f"allegro, {name}": AllegroConfig(**settings) for name, settings in ALLEGRO.items()}
# These run in the fast suite; the slow one runs every option.
FAST = ("nequip, one layer", "allegro, one layer")
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


@pytest.fixture(params=[pytest.param(n, marks=() if n in FAST else pytest.mark.slow) for n in CONFIGS])
def config(request):
    return CONFIGS[request.param]


@pytest.fixture(params=[pytest.param("float32", marks=pytest.mark.slow), "float64"])
def dtype(request):
    return getattr(torch, request.param)


@pytest.fixture(params=DEVICES)
def device(request):
    return request.param


@pytest.fixture
def force_field(config, dtype, device):
    torch.manual_seed(0)
    normalization = resolve_normalization(config, SimpleNamespace(species=SPECIES))
    cutoffs = normalization.edge_cutoffs if config.pair_potential else None
    built = build_force_field(config, SPECIES, normalization, dtype, cutoffs)
    return built.to(device).eval().requires_grad_(False)


def tolerance(dtype):
    return {torch.float64: 1e-9, torch.float32: 1e-5}[dtype]


def assert_close(found, expected, dtype):
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype
    if len(expected):
        assert (found - expected).abs().max() <= tolerance(dtype) * max(expected.abs().max(), 0.1)


def test_torchscript(force_field, dtype, device, tmp_path):
    metadata = {"r_max": "4.0", "num_types": "3", "type_names": " ".join(SPECIES), "allow_tf32": "0"}
    save_torchscript(force_field, metadata, tmp_path / "model.nequip.pth")
    scripted = load_torchscript(tmp_path / "model.nequip.pth", device).module
    assert_same_numbers(scripted, force_field, dtype, device)


@pytest.mark.filterwarnings("ignore:.*torch.jit.* is deprecated:DeprecationWarning")
def test_torchscript_of_compiled_kernels(force_field, dtype):
    """Scripted, saved and loaded; the kernels are those that this process has built."""
    compiled = use_kernel(copy.deepcopy(force_field.cpu()), "cpp")
    content = script_inside(ModelWithKernels(PairStyleModel(compiled, None), {}))
    assert_same_numbers(torch.jit.load(io.BytesIO(content)), force_field, dtype, "cpu")


def assert_same_numbers(scripted, force_field, dtype, device):
    for kind in ("triclinic", "molecule", "atom"):
        graph = build_graph(random_structure(kind), R_MAX, SPECIES).to(device)
        found = scripted(
            {
                fields.POSITIONS: graph.positions,
                fields.ATOM_TYPES: graph.species,
                fields.EDGE_INDEX: graph.edge_index,
                fields.EDGE_CELL_SHIFT: graph.edge_shift,
                fields.CELL: graph.cell,
            }
        )
        expected = force_field(*graph.inputs)
        assert_close(found[fields.ATOMIC_ENERGY].view(-1), expected.atomic_energies, dtype)
        assert_close(found[fields.FORCES], expected.forces, dtype)
        assert_close(found[fields.VIRIAL], expected.virial, dtype)


# Tracing takes seconds, and does the same in either precision.
TRACED = [
    *(pytest.param(name, "float64", marks=() if name in FAST else pytest.mark.slow) for name in CONFIGS),
    *(pytest.param(name, "float32", marks=pytest.mark.slow) for name in FAST),
]


@pytest.mark.parametrize(("config", "dtype"), TRACED, indirect=True)
def test_export(force_field, dtype, device):
    program = export_program(force_field).module()
    kinds = ("triclinic", "slab", "molecule", "atom")
    graphs = [build_graph(random_structure(kind, seed), R_MAX, SPECIES) for seed, kind in enumerate(kinds)]
    for graph in (collate(graphs), *graphs):
        inputs = graph.to(device).inputs
        for found, expected in zip(program(*inputs), force_field(*inputs), strict=True):
            assert_close(found, expected, dtype)


@pytest.mark.slow
def test_export_with_the_grade(small_force_field):
    force_field = small_force_field().requires_grad_(False)
    graphs = [build_graph(random_structure("triclinic", seed), R_MAX, SPECIES) for seed in range(3)]
    described = [
        DescribedAtoms(force_field(*graph.inputs).descriptors, graph.species, graph.batch) for graph in graphs
    ]
    grade = fit_grade(described[:2], len(SPECIES))
    *_, found = export_program(force_field, grade).module()(*graphs[2].inputs)
    expected = grade(described[2].descriptors, graphs[2].species)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
    assert expected.max() > 1.01
