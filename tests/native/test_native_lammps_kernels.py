"""Compiled kernels of deployed files in the real lmp: the numbers of plain TorchScript, in every setting."""

import numpy as np
import pytest
import torch
from native_lammps_runs import Result, numbers_after, read_result, run_lmp, write_input
from structures import random_structure

from mlip.deploy import deploy_potential
from mlip.native.kernels import X86_TARGETS
from mlip.nn.kernels.cpp.load import load_operators

LOG = "compiled kernels for"


@pytest.fixture(scope="module")
def deployed(potential_file, tmp_path_factory):
    return deploy_potential(potential_file, tmp_path_factory.mktemp("deployed"), device="cpu")


@pytest.fixture(scope="module")
def atoms():
    return random_structure("triclinic", seed=5)


def run(folder, atoms, model, after="run 0", **environment) -> tuple[Result, str]:
    folder.mkdir(exist_ok=True)
    write_input(folder, atoms, model, after=after)
    finished = run_lmp(folder, environment=environment)
    assert finished.returncode == 0, finished.stdout[-2000:] + finished.stderr
    return read_result(folder, finished.stdout), finished.stdout


@pytest.fixture(scope="module")
def plain(plugin, atoms, deployed, tmp_path_factory) -> Result:
    result, log = run(tmp_path_factory.mktemp("plain"), atoms, deployed, VITREOUS_KERNEL="reference")
    assert "plain TorchScript" in log
    assert np.abs(result.forces).max() > 0.1
    return result


@pytest.mark.parametrize("threads", ["1", "2"])
def test_the_numbers_of_plain_torchscript(tmp_path, atoms, deployed, plain, threads):
    found, log = run(tmp_path, atoms, deployed, OMP_NUM_THREADS=threads, MKL_NUM_THREADS=threads)
    assert f"cpu with {threads} thread" in log
    assert LOG in log
    found.assert_same(plain, 1e-11)


@pytest.mark.parametrize("target", X86_TARGETS)
def test_every_instruction_set(tmp_path, atoms, deployed, plain, target):
    load_operators()
    if target not in torch.ops.vitreous.cpu_targets():
        pytest.skip(f"this processor does not run {target}")
    found, log = run(tmp_path, atoms, deployed, VITREOUS_CPU=target)
    assert f"{LOG} {target}" in log
    found.assert_same(plain, 1e-11)


def test_a_run_stays_on_the_path_of_plain_torchscript(tmp_path, atoms, deployed):
    steps = "timestep 0.0005\nvelocity all create 300 1\nfix move all nve\nrun 20"
    fast, _ = run(tmp_path / "fast", atoms, deployed, steps)
    slow, _ = run(tmp_path / "slow", atoms, deployed, steps, VITREOUS_KERNEL="reference")
    np.testing.assert_allclose(fast.positions, slow.positions, atol=1e-9)
    fast.assert_same(slow, 1e-7)


def test_models_side_by_side_and_one_after_the_other(tmp_path, plugin, atoms, deployed, plain, toy):
    """A second pair_coeff replaces the model; hybrid/overlay adds models of both kinds."""
    alone, _ = run(tmp_path, atoms, toy)
    replaced, log = run(tmp_path, atoms, toy, f"run 0\npair_coeff * * {deployed} Li P S\nrun 0")
    assert log.count(LOG) == 1
    replaced.assert_same(plain, 1e-11)
    both = (
        "pair_style hybrid/overlay nequip nequip\n"
        f"pair_coeff * * nequip 1 {deployed} Li P S\npair_coeff * * nequip 2 {toy} Li P S\nrun 0"
    )
    added, _ = run(tmp_path, atoms, toy, both)
    assert added.energy == pytest.approx(plain.energy + alone.energy, rel=1e-10)
    np.testing.assert_allclose(added.forces, plain.forces + alone.forces, atol=1e-9)


@pytest.mark.parametrize(
    ("kernel", "message"),
    [("cpp", "carries no compiled kernels"), ("quick", "expected auto, reference or cpp")],
)
def test_what_cannot_be_had_is_an_error(tmp_path, plugin, atoms, toy, kernel, message):
    write_input(tmp_path, atoms, toy)
    finished = run_lmp(tmp_path, environment={"VITREOUS_KERNEL": kernel})
    assert finished.returncode != 0
    assert message in finished.stdout
    assert numbers_after("RESULT", finished.stdout) == []
