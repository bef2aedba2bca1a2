"""The state of the loop on disk: a folder a generation, and in it a record of each phase that is done.

A phase leaves its files first and its record, `PHASE.json`, last, in one move: what has a record is whole and
is never done again. A phase without one is done again from the start; the verbs that it runs, and the store
of labels, go on by themselves where they were.
"""

import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ase.io
from ase import Atoms

from mlip.whole_files import whole_file

PHASES = ("explore", "select", "label", "train", "deploy")
END = "end.json"

Record = dict[str, Any]


@dataclass(frozen=True)
class Generation:
    """A folder of the loop.

    Attributes:
        run_dir: Of the loop.
        number: From zero, the generation that the loop starts with.
    """

    run_dir: Path
    number: int

    @property
    def path(self) -> Path:
        """Its folder."""
        return self.run_dir / f"generation_{self.number:03d}"

    @property
    def potential(self) -> Path:
        """The potential that it ended with."""
        return self.path / "potential.mlip"

    def read(self, phase: str) -> Record | None:
        """What a phase has left, None if it is not done."""
        file = self.path / f"{phase}.json"
        return json.loads(file.read_text()) if file.exists() else None

    def once(self, phase: str, work: Callable[[], Record]) -> Record:
        """Do a phase, if it is not done; its record gets the seconds of this session.

        Args:
            phase: Of `PHASES`.
            work: Does it; what it returns stands in the record, `reason` for people.
        """
        done = self.read(phase)
        if done is not None:
            return done
        (self.path / phase).parent.mkdir(parents=True, exist_ok=True)
        started = time.monotonic()
        record = work()
        record["seconds"] = round(time.monotonic() - started, 3)
        write_json(self.path / f"{phase}.json", record)
        return record


def generations(run_dir: Path) -> list[Generation]:
    """Those that have begun, in order."""
    return [Generation(run_dir, int(path.name[-3:])) for path in sorted(run_dir.glob("generation_[0-9]*"))]


def potential_before(generation: Generation) -> tuple[Path, int]:
    """The newest potential of earlier generations, and the generation that made it."""
    earlier = range(generation.number - 1, -1, -1)
    made = next(number for number in earlier if Generation(generation.run_dir, number).potential.exists())
    return Generation(generation.run_dir, made).potential, made


def write_json(file: Path, content: Any) -> None:
    """Write a file that is whole or not there."""
    with whole_file(file) as temporary, temporary.open("w") as stream:
        stream.write(json.dumps(content, indent=2))
        stream.flush()
        os.fsync(stream.fileno())


def write_frames(file: Path, frames: Sequence[Atoms]) -> None:
    """Write frames to an extxyz file that is whole or not there; no file of no frames."""
    if frames:
        with whole_file(file) as temporary:
            ase.io.write(temporary, frames, format="extxyz")


def read_frames_of(file: Path) -> list[Atoms]:
    """Frames of a file that `write_frames` wrote; none where it wrote none."""
    return ase.io.read(file, index=":") if file.exists() else []  # type: ignore[return-value]


def copy_file(source: Path, target: Path) -> None:
    """Copy a file so that the copy is whole or not there."""
    with whole_file(target) as temporary:
        temporary.write_bytes(source.read_bytes())
