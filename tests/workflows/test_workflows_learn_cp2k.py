"""A generation of `mlip learn` with labels by CP2K itself, where it is installed."""

import shutil

import numpy as np
import pytest
from ase.build import bulk
from ase.io import read, write
from cli.cli_process import fork_mlip

from mlip.data.store import Store
from mlip.workflows.learning.records import Generation

# Coarse and quick: what is tested is the loop, not the physics.
CP2K = ["labeler=cp2k", "labeler.kpts=[1,1,1]", "labeler.cutoff_Ry=400", "labeler.eps_scf=1e-5", "workers=1"]
TRAIN = (
    '"model.num_features=4","model.num_layers=1","model.l_max=1","model.r_max=4","model.radial_mlp_width=8",'
    '"kernel=reference","trainer.max_epochs=10","data.batch_size=2"'
)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("cp2k_shell.psmp") is None, reason="no cp2k_shell.psmp")
def test_a_generation_is_labelled_by_cp2k(tmp_path):
    """What begins and what the loop adds have labels of one method, and train together."""
    crystals = [bulk("LiCl", "rocksalt", a=5.1) for _ in range(3)]
    for seed, atoms in enumerate(crystals):
        atoms.rattle(0.03, seed=seed)
    write(tmp_path / "crystals.extxyz", crystals)
    start = bulk("LiCl", "rocksalt", a=5.1)
    start.rattle(0.2, seed=9)
    write(tmp_path / "start.extxyz", start)
    first = fork_mlip(
        "label", "structures=crystals.extxyz", *CP2K, "run_dir=first", cwd=tmp_path, timeout=1200
    )
    assert first.code == 0, first.stderr[-2000:]
    given = read(tmp_path / "first" / "labelled.extxyz", ":")
    write(tmp_path / "data.extxyz", given[:2])
    write(tmp_path / "valid.extxyz", given[2:])
    words = ["learn", "data=data.extxyz", "valid=valid.extxyz", "structure=start.extxyz", *CP2K]
    words += ["explorer.temperature_K=2000", "explorer.duration_ps=0.2", "explorer.every_ps=0.005"]
    words += ['explorer.overrides=["kernel=reference"]', f"train.overrides=[{TRAIN}]", "device=cpu"]
    words += ["grade.select=1.05", "grade.stop=2", "budget.generations=1", "budget.per_generation=1"]
    ended = fork_mlip(*words, "run_dir=run", cwd=tmp_path, timeout=1200)
    assert ended.code == 0, ended.stderr[-3000:]
    generation = Generation(tmp_path / "run", 1)
    assert generation.read("explore")["explorers"]["explorer"]["ended"] == "stopped"
    (label,) = Store(str(tmp_path / "run" / "labels.db")).entries()
    assert label.failure is None
    assert label.provenance.labeler == "cp2k"
    (new,) = read(generation.path / "labelled.extxyz", ":")
    assert new.info["settings"] == given[0].info["settings"]
    assert np.abs(new.get_forces()).max() > 0.1
    np.testing.assert_allclose(new.get_forces().sum(axis=0), 0.0, atol=0.02)
    assert np.isfinite(new.get_stress()).all()
    trained = generation.read("train")
    assert (trained["start"], trained["num_train"], trained["num_valid"]) == ("fine-tuned", 3, 1)
    assert generation.potential.exists()
