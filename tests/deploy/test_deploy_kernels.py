"""Compiled kernels inside deployed files: same numbers on every processor; plain torch for everybody else."""

import json
import logging
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from structures import random_structure

from mlip.data.graph import build_graph
from mlip.deploy import MLIPCalculator, Potential, deploy_potential
from mlip.deploy.kernels import ModelWithKernels, carry_kernels
from mlip.deploy.torchscript import (
    REQUIRED_METADATA,
    WITH_KERNELS,
    PairStyleModel,
    load_torchscript,
    save_torchscript,
)
from mlip.deploy.verify import verify_deployment
from mlip.errors import ConfigError, PotentialError
from mlip.native.kernels import X86_TARGETS
from mlip.nn.kernels.cpp.load import load_operators


@pytest.fixture(scope="module")
def deployed(potential_file, tmp_path_factory):
    return deploy_potential(potential_file, tmp_path_factory.mktemp("deployed"), device="cpu")


def forces_of(atoms, path, kernel):
    atoms.calc = MLIPCalculator(path, device="cpu", kernel=kernel)
    return atoms.get_forces()


@pytest.mark.parametrize("kind", ["triclinic", "slab", "molecule", "small_cell", "atom"])
def test_compiled_kernels_give_the_numbers_of_the_potential(potential_file, deployed, kind):
    atoms = random_structure(kind, seed=5)
    forces = forces_of(atoms, potential_file, "reference")
    energy = atoms.get_potential_energy()
    np.testing.assert_allclose(forces_of(atoms, deployed, "cpp"), forces, rtol=1e-9, atol=1e-10)
    assert atoms.get_potential_energy() == pytest.approx(energy, rel=1e-11)


def runnable_targets():
    load_operators()
    return [target for target in torch.ops.vitreous.cpu_targets() if target in X86_TARGETS]


@pytest.mark.parametrize("target", X86_TARGETS)
def test_every_instruction_set_gives_the_same(potential_file, deployed, monkeypatch, target):
    if target not in runnable_targets():
        pytest.skip(f"this processor does not run {target}")
    atoms = random_structure("triclinic", seed=5)
    forces = forces_of(atoms, potential_file, "reference")
    monkeypatch.setenv("VITREOUS_CPU", target)
    assert load_torchscript(deployed, "cpu", "auto").kernel == f"cpp ({target})"
    np.testing.assert_allclose(forces_of(atoms, deployed, "cpp"), forces, rtol=1e-9, atol=1e-10)


def test_an_instruction_set_that_the_processor_lacks_is_refused(deployed, monkeypatch):
    monkeypatch.setenv("VITREOUS_CPU", "x86-64-v9")
    with pytest.raises(PotentialError, match="x86-64-v9; expected one of"):
        load_torchscript(deployed, "cpu", "cpp")


def test_both_paths_are_verified(deployed):
    manifest = json.loads((deployed.parent / "manifest.json").read_text())
    for name in ("differences", "differences_cpp"):
        assert manifest[name]["forces"] <= 1e-9
    assert manifest["seconds"] > 0.0


def test_kernels_of_other_weights_do_not_pass_the_verification(potential_file, deployed, tmp_path):
    potential = Potential.load(potential_file)
    weights = {name: 1.001 * tensor for name, tensor in potential.weights.items()}
    other = carry_kernels(PairStyleModel(replace(potential, weights=weights).force_field("cpu", "cpp"), None))
    path = tmp_path / "two_minds.nequip.pth"
    save_torchscript(potential.force_field(), metadata_of(deployed), path, None, {WITH_KERNELS: other})
    arguments = (potential_file, path, potential.reference_structure, "float64", "cpu")
    verify_deployment(*arguments)
    with pytest.raises(PotentialError, match="kernel=cpp"):
        verify_deployment(*arguments, "cpp")


def metadata_of(path):
    return {name: text for name, text in load_torchscript(path, "cpu").metadata.items() if text}


FOREIGN = """
import json, sys, torch
graph = torch.load(sys.argv[2])
output = torch.jit.load(sys.argv[1])(graph)
ours = [name for name in sys.modules if name.split(".")[0] in ("mlip", "e3nn")]
print(json.dumps([output["forces"].tolist(), ours]))
"""


def test_a_process_without_our_package_reads_the_file(deployed, tmp_path):
    atoms = random_structure("triclinic", seed=5)
    forces = forces_of(atoms, deployed, "reference")
    graph = build_graph(atoms, 4.0, ("Li", "P", "S"))
    inputs = {
        "pos": graph.positions,
        "atom_types": graph.species,
        "edge_index": graph.edge_index,
        "edge_cell_shift": graph.edge_shift,
        "cell": graph.cell,
    }
    torch.save(inputs, tmp_path / "graph.pt")
    found, ours = json.loads(run_python(FOREIGN, str(deployed), str(tmp_path / "graph.pt")).stdout)
    np.testing.assert_allclose(found, forces, rtol=1e-10, atol=1e-12)
    assert ours == []


def run_python(code, *arguments, **environment):
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )


NO_COMPILER = """
import logging, sys
from pathlib import Path
from mlip.deploy import deploy_potential
from mlip.deploy.torchscript import load_torchscript
logging.basicConfig(level=logging.WARNING)
print(*(load_torchscript(Path(sys.argv[1]), "cpu", "auto").kernel for _ in range(2)), sep=",")
if len(sys.argv) > 2:
    made = deploy_potential(sys.argv[2], Path(sys.argv[3]), device="cpu")
    print(load_torchscript(made, "cpu", "auto").kernel)
"""


def test_without_a_compiler_files_run_in_plain_torch_and_that_is_said_once(
    potential_file, deployed, tmp_path
):
    nothing = {"CXX": "/nonexistent", "VITREOUS_CACHE": str(tmp_path / "cache")}
    arguments = (str(deployed), str(potential_file), str(tmp_path))
    result = run_python(NO_COMPILER, *arguments, **nothing)
    assert result.stdout.split() == ["reference,reference", "reference"]
    assert result.stderr.count(f"{deployed.name} runs on slow kernels: no C++ compiler found") == 1
    assert result.stderr.count("slow kernels, in one process: no C++ compiler found") == 1
    assert json.loads((tmp_path / "manifest.json").read_text()).get("differences_cpp") is None


@pytest.mark.slow
def test_a_machine_without_a_compiler_uses_operators_that_were_built_before(deployed):
    result = run_python(NO_COMPILER, str(deployed), CXX="/nonexistent")
    assert result.stdout.count("cpp (") == 2
    assert result.stderr == ""


@pytest.fixture
def write_file(deployed, tmp_path):
    """Write the deployed model with other content in the place of its kernels."""

    def write(content):
        path = tmp_path / "altered.nequip.pth"
        files = metadata_of(deployed) | ({WITH_KERNELS: content} if content else {})
        load_torchscript(deployed, "cpu").module.save(str(path), _extra_files=files)
        return path

    return write


def scripted(model, tmp_path):
    torch.jit.script(model.eval()).save(str(tmp_path / "inner.pth"))
    return (tmp_path / "inner.pth").read_bytes()


class Nothing(torch.nn.Module):
    def forward(self, data: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return data


NO_LIBRARY = torch.zeros(100, dtype=torch.uint8)


def of_all_targets(name):
    return {target: {name: NO_LIBRARY} for target in torch.ops.vitreous.cpu_targets()}


@pytest.mark.filterwarnings("ignore:.*torch.jit.* is deprecated:DeprecationWarning")
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("nothing", "found no compiled kernels"),
        ("garbage", "cannot use the compiled kernels"),
        ("no library", "cannot load"),
        ("no target", "found no kernels for this processor"),
        ("other version", "of another version"),
    ],
)
def test_a_file_whose_kernels_cannot_be_used_runs_in_plain_torch(
    potential_file, deployed, write_file, tmp_path, caplog, content, reason
):
    kernels = load_torchscript(deployed, "cpu", "cpp").module.kernels
    name = next(name for of_target in kernels.values() for name in of_target)  # loaded already
    model = ModelWithKernels(Nothing(), {} if content == "no target" else of_all_targets(name))
    if content == "other version":
        model.interface = "older"
    made = {"nothing": b"", "garbage": b"PK no archive"}.get(content)
    path = write_file(scripted(model, tmp_path) if made is None else made)
    with pytest.raises(PotentialError, match=reason) as caught:
        load_torchscript(path, "cpu", "cpp")
    assert "\n" not in str(caught.value)
    atoms = random_structure("triclinic", seed=5)
    forces = forces_of(atoms, potential_file, "reference")
    with caplog.at_level(logging.WARNING):
        np.testing.assert_allclose(forces_of(atoms, path, "auto"), forces, rtol=1e-9, atol=1e-10)


def test_a_foreign_file_runs_without_a_word(write_file, deployed, tmp_path, caplog):
    path = tmp_path / "foreign.nequip.pth"
    metadata = {name: metadata_of(deployed)[name] for name in REQUIRED_METADATA}
    load_torchscript(deployed, "cpu").module.save(str(path), _extra_files=metadata)
    with caplog.at_level(logging.INFO):
        assert load_torchscript(path, "cpu", "auto").kernel == "reference"
    assert caplog.text == ""


def test_other_back_ends_are_refused(deployed):
    with pytest.raises(ConfigError, match="expected one of auto, reference, cpp"):
        load_torchscript(deployed, "cpu", "triton")


def test_a_table_is_deployed_with_its_error(potential_file, deployed, tmp_path):
    tabulated = deploy_potential(potential_file, tmp_path, device="cpu", radial="table")
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["differences"]["forces"] < 1e-9
    assert manifest["differences_cpp"]["forces"] < 1e-9
    assert 1e-10 < manifest["differences_table"]["forces"] < 1e-5
    atoms = random_structure("triclinic", seed=5)
    forces = forces_of(atoms, tabulated, "cpp")
    np.testing.assert_allclose(forces, forces_of(atoms, tabulated, "reference"), rtol=1e-9, atol=1e-10)
    difference = np.abs(forces - forces_of(atoms, deployed, "cpp")).max()
    assert 1e-10 < difference / np.abs(forces).max() < 1e-5
