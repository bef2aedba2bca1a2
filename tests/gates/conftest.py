"""Short runs."""

import pytest

from md.engines.ase import AseEngine
from md.engines.base import OneByOne
from md.gates.dynamics import hold
from md.protocols.stages import Stage


@pytest.fixture
def run(tmp_path):
    """Hold a structure with a calculator."""

    def hold_it(calculator, atoms, ensemble="nvt", folder="run", **keys):
        keys = {"temperature_K": 40, "duration_ps": 1.0, "timestep_fs": 5.0, "every_ps": 0.02} | keys
        stage = Stage(name=ensemble, ensemble=ensemble, **keys)

        def open_engine(states, seed, run_dir):
            return OneByOne(lambda system: AseEngine(calculator, seed))

        return hold(open_engine, atoms, stage, tmp_path / folder)

    return hold_it
