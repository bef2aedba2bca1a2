"""The machinery of benchmarks/speed.py on its smallest model, and its count of operations."""

import json
import sys
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

pytest.importorskip("nequip")
pytest.importorskip("allegro")

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))


@pytest.mark.slow
def test_rows_agree_and_are_not_measured_twice(tmp_path, monkeypatch):
    import speed

    options = "--models tiny --tasks training --atoms 128 --threads 1 --engines nequip reference --parts time"
    places = ["--work", str(tmp_path / "work"), "--results", str(tmp_path / "results")]
    monkeypatch.setattr(sys, "argv", ["speed.py", *options.split(), "--seconds", "0.1", *places])
    written = []
    for _ in range(2):
        speed.main()
        written.append((tmp_path / "work" / "cpu.jsonl").read_text())
    assert written[0] == written[1]
    (row,) = json.loads((tmp_path / "results" / "speed.json").read_text())["rows"]
    assert row["num_atoms"] == 128
    timing = row["timings"]["reference"]
    assert timing["compared_with"] == "nequip"
    assert 0.0 < timing["force_difference"] < 1e-5
    assert timing["gradient_difference"] < 1e-4
    assert timing["wall"] > 0.0
    table = (tmp_path / "results" / "speed.md").read_text()
    assert "| tiny | 128 | reference |" in table
    assert (tmp_path / "results" / "speed.png").exists()


def test_products_of_a_convolution():
    """Counted by hand: pairs of components that a path couples, and components of its result."""
    from speed_cost import interaction_products
    from speed_models import build_ours

    counts = [interaction_products(layer.tensor_product) for layer in build_ours("2x32").model.layers]
    # 0 x l -> l for l = 0, 1, 2; then l x l -> 0.
    assert counts == [(32 * 9, 32 * (1 + 3 + 5)), (32 * 9, 32 * 3)]


@pytest.mark.parametrize("task", ["inference", "training"])
def test_operations_of_a_perceptron_and_of_its_derivatives(task):
    """Against torch's own count of what runs."""
    from speed_cost import LINEAR, perceptron_products

    from mlip.nn.mlp import ScalarMLP

    perceptron = ScalarMLP([8, 128, 96], torch.float32).requires_grad_(task == "training")
    inputs = torch.rand(50, 8, requires_grad=True) * 1.0  # the counter's hooks cannot sit on a leaf
    cotangent = torch.rand(50, 96, requires_grad=True)  # in the model it depends on weights
    with FlopCounterMode(display=False) as counter:
        values = perceptron(inputs)
        (gradient,) = torch.autograd.grad(values, inputs, cotangent, create_graph=task == "training")
        if task == "training":
            (values.square().sum() + gradient.square().sum()).backward()
    assert counter.get_total_flops() == 2 * LINEAR[task] * 50 * perceptron_products([perceptron])


def test_structures_have_the_density_and_neighbors_that_are_told():
    from speed_models import DENSITY, batch_graph, build_cell, one_graph

    cell = build_cell(1000)
    assert len(cell) == 1024
    assert len(cell) / cell.get_volume() == pytest.approx(DENSITY)
    assert max(cell.cell.lengths()) < 1.5 * min(cell.cell.lengths())
    for graph in (one_graph(128, 5.0), batch_graph(128, 5.0)):
        assert 48.0 < graph.edge_index.shape[1] / len(graph.positions) < 50.0
    assert batch_graph(128, 5.0).num_structures == 2
