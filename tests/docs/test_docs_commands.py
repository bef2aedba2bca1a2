"""README and docs are true: every command and snippet in them runs, in order, in one folder of a user.

A ```bash block holds commands, a ```python block a program; a block with a file name after its language, such
as ```text in.nvt, is a file that later commands read. Commands run as shown, but for the overrides below.
"""

import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import ase.io
import pytest
from cli.cli_process import fork_mlip

from mlip.inputs import datasets_folder

ROOT = Path(__file__).parents[2]
# The one on learning needs no other: it is read in a folder of its own, in every run.
LEARNING = ROOT / "docs" / "learning.md"
DOCUMENTS = [ROOT / "README.md", *sorted({*(ROOT / "docs").glob("*.md")} - {LEARNING})]
BLOCK = re.compile(r"^```(\w+) ?(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

# The only differences between what is shown and what is run: less training, fewer steps.
SMALLER = {
    "train": ["trainer.max_epochs=1", "data.num_train=4", "model.num_features=4", "model.num_layers=1"],
    "size=small": ["size=mini"],
    "protocol=nvt": ["protocol.nvt.duration_ps=0.06", "protocol.nvt.every_ps=0.01"],
    "protocol=melt_quench": [
        *(f"protocol.{stage}.every_ps=0.005" for stage in ("melt", "quench", "equilibrate")),
        *(f"protocol.{stage}.duration_ps=0.01" for stage in ("melt", "equilibrate")),
        "protocol.quench.rate_K_per_ps=50000",
    ],
    "protocol=interface": [
        *(f"protocol.{stage}.every_ps=0.002" for stage in ("ramp", "equilibrate", "produce")),
        *(f"protocol.{stage}.duration_ps=0.02" for stage in ("ramp", "equilibrate", "produce")),
    ],
    "protocol=ladder": [f"protocol.rung.{key}_ps=0.01" for key in ("settle", "duration", "every")],
    "gates=all": ["gate.dynamics.duration_ps=0.01", "gate.dynamics.every_ps=0.001"],
    "explorer.temperature_K=1000": [
        "budget.generations=1",
        "explorer.duration_ps=0.05",
        "explorer.every_ps=0.01",
        'train.overrides=["trainer.max_epochs=1","model.num_features=4","model.num_layers=1"]',
    ],
    "builder.count=20": ["builder.count=4"],
    "neb": ["max_steps=2", "images=3"],
    "builder.metal_plane=null": ["energetics.max_steps=2"],
    "protocol=relax": ["protocol.relax.max_steps=2", "protocol.relax.every_steps=1"],
    "protocol=anneal": [
        *(f"++protocol.{stage}.every_ps=0.005" for stage in ("hold", "cool", "rest")),
        *(f"protocol.{stage}.duration_ps=0.01" for stage in ("hold", "rest")),
        "protocol.cool.rate_K_per_ps=30000",
    ],
}


@dataclass(frozen=True)
class Block:
    """One block of a document."""

    document: str
    line: int
    language: str
    file_name: str
    text: str

    @property
    def label(self) -> str:
        return f"{self.document}:{self.line}"


def read_blocks(document: Path) -> list[Block]:
    text = document.read_text()
    return [
        Block(document.name, text.count("\n", 0, match.start()) + 1, *match.groups())
        for match in BLOCK.finditer(text)
    ]


BLOCKS = [block for document in DOCUMENTS for block in read_blocks(document)]
PROGRAMS = [index for index, block in enumerate(BLOCKS) if block.language in ("bash", "python")]
TOUR = [index for index in PROGRAMS if BLOCKS[index].document == "README.md"]


@dataclass
class User:
    """Somebody who reads the documents from the top and does what they say."""

    folder: Path
    outcomes: list[str] = field(default_factory=list)

    def read_to(self, index: int) -> str:
        """What went wrong in a block, or nothing; the blocks before it are done first, each once."""
        while len(self.outcomes) <= index and not any(self.outcomes):
            self.outcomes.append(self.do(BLOCKS[len(self.outcomes)]))
        if len(self.outcomes) <= index:
            pytest.skip("an earlier block failed")
        return self.outcomes[index]

    def do(self, block: Block) -> str:
        """What went wrong in this block, or nothing."""
        if block.file_name:
            path = self.folder / block.file_name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text)
            return ""
        if block.language == "python":
            return self._run([sys.executable, "-c", block.text])
        if block.language == "bash":
            commands = block.text.replace("\\\n", " ").splitlines()
            return "\n".join(filter(None, map(self._type, commands)))
        return ""

    def _type(self, command: str) -> str:
        program, *arguments = shlex.split(command)
        if program == "make":
            return "" if f"\n{arguments[0]}:" in (ROOT / "Makefile").read_text() else f"no target: {command}"
        if program not in ("mlip", "lmp", "mpiexec"):
            return f"found the command {command!r}; expected mlip, lmp, mpiexec or make"
        smaller = [word for key, words in SMALLER.items() if key in arguments for word in words]
        if program == "mlip" and arguments[0] != "lammps":  # which becomes lmp
            return self._fork([*arguments, *smaller])
        return self._run([str(Path(sys.executable).with_name(program)), *arguments, *smaller])

    def _fork(self, arguments: list[str]) -> str:
        done = fork_mlip(*arguments, cwd=self.folder, timeout=300)
        return "" if done.code == 0 else f"mlip {shlex.join(arguments)}\n{done.stdout}\n{done.stderr}"

    def _run(self, command: list[str]) -> str:
        programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=os.environ | {"PATH": programs},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        return "" if done.returncode == 0 else f"{shlex.join(command)}\n{done.stdout}\n{done.stderr}"


@pytest.fixture(scope="module")
def user(tmp_path_factory):
    """A user with labelled frames and a structure of their own."""
    folder = tmp_path_factory.mktemp("user")
    frames = ase.io.read(datasets_folder() / "lips" / "small_20.extxyz", index=":")
    ase.io.write(folder / "bulk.extxyz", frames[:8])
    ase.io.write(folder / "surfaces.extxyz", frames[8:14])
    ase.io.write(folder / "test.extxyz", frames[14:17])
    ase.io.write(folder / "cell.vasp", frames[17], sort=True)
    return User(folder)


@pytest.mark.xdist_group("docs")
@pytest.mark.parametrize("index", TOUR, ids=lambda index: BLOCKS[index].label)
def test_readme_runs(user, index):
    problem = user.read_to(index)
    assert not problem, problem


@pytest.mark.slow
@pytest.mark.xdist_group("docs")
@pytest.mark.parametrize("index", PROGRAMS[len(TOUR) :], ids=lambda index: BLOCKS[index].label)
def test_other_documents_run(user, index):
    problem = user.read_to(index)
    assert not problem, problem


@pytest.mark.xdist_group("docs")
def test_the_tour_leaves_what_readme_says(user):
    user.read_to(TOUR[-1])
    runs = user.folder / "runs"
    for name in ("train/potential.mlip", "train/errors.json", "train/report.html", "analyze/report.html"):
        assert (runs / name).is_file(), name


def test_the_loop_runs_as_its_tutorial_says(tmp_path):
    reader = User(tmp_path)
    problems = [reader.do(block) for block in read_blocks(LEARNING) if block.language == "bash"]
    assert problems == [""]
    end = json.loads((tmp_path / "runs" / "learn" / "end.json").read_text())
    assert end["reason"] == "budget.generations=1 are done"
    assert (tmp_path / "runs" / "learn" / "report.html").is_file()


@pytest.mark.slow
@pytest.mark.xdist_group("docs")
def test_a_sweep_leaves_a_folder_for_each_member(user):
    user.read_to(PROGRAMS[-1])
    assert len([path for path in (user.folder / "runs" / "seeds").iterdir() if path.is_dir()]) >= 2


def test_blocks_are_found():
    documents = {block.document for block in BLOCKS}
    assert {"README.md", "files.md", "protocols.md"} <= documents
    assert all(text.count("\n```") % 2 == 0 for text in (path.read_text() for path in DOCUMENTS))


def test_every_verb_stands_in_readme():
    from mlip.cli import VERBS

    readme = DOCUMENTS[0].read_text()
    missing = [verb for verb in VERBS if f"mlip {verb}" not in readme and f"make {verb}" not in readme]
    assert not missing


def test_commands_with_the_same_run_dir_are_the_same():
    """All documents are read in one folder: another command in a run directory would be refused."""
    commands = {
        " ".join(line.split())
        for block in BLOCKS
        if block.language == "bash"
        for line in block.text.replace("\\\n", " ").splitlines()
        if "run_dir=" in line
    }
    places = [re.search(r"run_dir=(\S+)", command)[1] for command in commands]
    assert sorted({place for place in places if places.count(place) > 1}) == []
