"""The wheel: what it carries, and that it works outside the checkout, beside a user's train.py and conf/."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
SOURCES = ("mlip", "train", "md", "conf", "datasets", "pyproject.toml", "README.md")


def run(*command, cwd, **environment):
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=clean | {"OMP_NUM_THREADS": "1"} | environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from a copy of the sources, so that nothing is left in the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        if (CHECKOUT / name).is_dir():
            shutil.copytree(
                CHECKOUT / name,
                folder / "source" / name,
                ignore=shutil.ignore_patterns("__pycache__", "*.so"),
            )
        else:
            shutil.copy(CHECKOUT / name, folder / "source" / name)
    build = ["-m", "build", "--wheel", "--no-isolation", "--skip-dependency-check"]
    run(sys.executable, *build, "--outdir", folder, folder / "source", cwd=folder)
    (file,) = folder.glob("vitreous-*.whl")
    return file


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A virtual environment with the wheel; the other packages are those of this environment."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    run(
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "--no-deps",
        "--no-index",
        wheel,
        cwd=folder,
    )
    (site_packages,) = folder.glob("lib/python3*/site-packages")
    others = (
        site_packages / "others.pth"
    )  # its own .pth files are not read, so the editable checkout stays away
    others.write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin", site_packages


@pytest.fixture
def foreign(tmp_path):
    """A user's folder with names like ours."""
    (tmp_path / "train.py").write_text("raise RuntimeError('the train.py of the user was imported')\n")
    (tmp_path / "mlip.py").write_text("raise RuntimeError('the mlip.py of the user was imported')\n")
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "train.yaml").write_text("nonsense: 1\n")
    return tmp_path


def test_the_wheel_carries_configs_samples_and_sources(wheel):
    assert wheel.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for path in (CHECKOUT / "conf").rglob("*.yaml"):
        assert f"mlip/conf/{path.relative_to(CHECKOUT / 'conf').as_posix()}" in names
    for package in ("mlip", "train", "md"):
        for path in (CHECKOUT / package).rglob("*"):
            if path.suffix in (".py", ".cpp", ".h", ".cmake", ".txt", ".css", ".mplstyle"):
                assert path.relative_to(CHECKOUT).as_posix() in names
    assert {"mlip/py.typed", "mlip/datasets/lips/small_20.extxyz", "mlip/datasets/lips/card.md"} <= names
    assert any(name.endswith(".extxyz.xz") for name in names)
    top = {name.split("/")[0] for name in names if ".dist-info" not in name}
    assert top == {"mlip", "train", "md"}


@pytest.mark.slow
def test_the_wheel_works_in_a_folder_with_a_train_py_of_its_own(installed, foreign):
    commands, site_packages = installed
    mlip = commands / "mlip"
    assert "Usage: mlip VERB" in run(mlip, "--help", cwd=foreign).stdout
    where = "import mlip, train, md; print(mlip.__file__, train.__file__, md.__file__)"
    for file in run(commands / "python", "-P", "-c", where, cwd=foreign).stdout.split():
        assert Path(file).is_relative_to(site_packages)
    small = ["model.num_layers=1", "model.l_max=1", "model.num_features=2", "model.radial_mlp_width=4"]
    data = [
        "data.train=dataset:lips/small_20.extxyz",
        "data.num_train=4",
        "trainer.max_epochs=1",
        "device=cpu",
    ]
    run(mlip, "train", *data, *small, "run_dir=run", cwd=foreign)
    run(mlip, "deploy", "potential=run/potential.mlip", "device=cpu", "run_dir=deploy", cwd=foreign)
    assert (foreign / "deploy" / "potential.nequip.pth").exists()
    record = json.loads((foreign / "run" / "provenance.json").read_text())
    assert record["sessions"][0]["git"] is None
    assert record["state"] == "finished"


@pytest.mark.slow
def test_every_verb_of_the_wheel_explains_itself_and_composes(installed, foreign):
    mlip = installed[0] / "mlip"
    assert "num_features: 32" in run(mlip, "train", "--cfg", "job", cwd=foreign).stdout
    for verb in ("train", "eval", "deploy", "md", "analyze", "lammps", "doctor", "demo"):
        assert f"mlip {verb}" in run(mlip, verb, "--help", cwd=foreign).stdout
    assert {path.name for path in foreign.iterdir()} == {"train.py", "mlip.py", "conf"}
