"""The layout of our H5MD files: which datasets there are, and which of them grow by one entry a frame.

    /particles/all/position/value   wrapped positions, float32, (frame, atom, 3), A
    /particles/all/image/value      image flags: position + image @ edges is the unwrapped position
    /particles/all/velocity/value   velocities, float32, (frame, atom, 3), A/fs; only if asked for
    /particles/all/box/edges/value  lattice vectors as rows, (frame, 3, 3), A
    /particles/all/species, mass    atomic numbers and masses (amu), fixed in time
    /particles/all/origin           where an atom of an interface comes from, if the structure said so
    /observables/stage/value        index of the stage a frame belongs to
    /observables/target_temperature/value  what the thermostat aimed at, K (NaN in NVE without one)
    /observables/potential_energy/value    eV (NaN where it is not known)
    /parameters/stages              JSON: name, ensemble, temperatures ... of each stage

Species that are stored more often stand in /particles/often in the same way, with `id`, their places among
all atoms, and observables in /observables/often: stage, target_temperature, center_of_mass of all atoms (A).
`step` and `time` (ps) beside each value of a group are one dataset under many names.

Source: H5MD 1.1, de Buyl, Colberg and Hofling 2014, 10.1016/j.cpc.2014.01.018.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

ALL = "all"
OFTEN = "often"  # after `all` in the alphabet: MDAnalysis reads the first group
STAGES = "parameters/stages"
# What an entry reads as before it is written, or when a damaged file has lost the way to it.
NEVER_WRITTEN = {
    "position": np.finfo(np.float32).max,
    "velocity": np.finfo(np.float32).max,
    "image": np.iinfo(np.int32).min,
    "step": -1,
}
# Entries a chunk of datasets that are rewritten in place; too small to compress.
_SCALARS_PER_CHUNK, _CELLS_PER_CHUNK = 1024, 128


@dataclass(frozen=True)
class StageRecord:
    """What a trajectory knows of a stage.

    Attributes:
        name, ensemble, thermostat, timestep_fs: As in the protocol; `thermostat` is None where there is none.
        start_K, end_K: Target temperatures at its ends, K; None for NVE without one.
        production: Frames are samples at one temperature (no ramp, no settling).
    """

    name: str
    ensemble: str
    thermostat: str | None
    timestep_fs: float
    start_K: float | None
    end_K: float | None
    production: bool


@dataclass(frozen=True)
class Element:
    """A dataset that grows by one entry a frame.

    Attributes:
        name: What it is.
        path: The H5MD element in the file, with `value`, `step` and `time` in it.
        shape: Shape of one entry.
        kind: Type of its numbers.
        unit: In H5MD's notation; empty for numbers without one.
    """

    name: str
    path: str
    shape: tuple[int, ...]
    kind: str
    unit: str = ""


@dataclass(frozen=True)
class ParticleGroup:
    """Atoms that are stored together, and what is fixed in time.

    Attributes:
        name: `all` or `often`.
        numbers: Atomic numbers, shape (N,).
        masses: shape (N,), amu.
        pbc: Periodic directions, shape (3,).
        ids: Their places among all atoms, shape (N,); None for all atoms.
        origin: Which part of the structure each atom came from, shape (N,); (0,) if unknown.
    """

    name: str
    numbers: NDArray[np.int64]
    masses: NDArray[np.float64]
    pbc: NDArray[np.bool_]
    ids: NDArray[np.int64] | None = None
    origin: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    def write(self, file: h5py.File, names: Sequence[str]) -> None:
        """Make the group in a file, with the empty elements of these names."""
        particles = file.create_group(f"particles/{self.name}")
        particles["species"] = self.numbers
        particles["mass"] = self.masses
        particles["mass"].attrs["unit"] = "u"
        if self.ids is not None:
            particles["id"] = self.ids
        if len(self.origin):
            particles["origin"] = self.origin
        box = particles.create_group("box")
        box.attrs["dimension"] = 3
        box.attrs["boundary"] = ["periodic" if flag else "none" for flag in self.pbc]
        wanted = [each for each in elements(self.name, len(self.numbers)) if each.name in names]
        _create_elements(file, wanted)

    @classmethod
    def read(cls, file: h5py.File, name: str) -> "ParticleGroup":
        """The group of a file.

        Raises:
            KeyError: It is not there.
        """
        particles = file[f"particles/{name}"]
        boundary = particles["box"].attrs["boundary"]
        return cls(
            name=name,
            numbers=particles["species"][:],
            masses=particles["mass"][:],
            pbc=np.array([kind in ("periodic", b"periodic") for kind in boundary]),
            ids=particles["id"][:] if "id" in particles else None,
            origin=particles["origin"][:] if "origin" in particles else np.zeros(0, dtype=np.int64),
        )


def elements(particles: str, num_atoms: int) -> list[Element]:
    """All elements that a group can have, positions first."""
    group = f"particles/{particles}"
    observables = "observables" if particles == ALL else f"observables/{particles}"
    return [
        Element("position", f"{group}/position", (num_atoms, 3), "f4", "Angstrom"),
        Element("image", f"{group}/image", (num_atoms, 3), "i4"),
        Element("velocity", f"{group}/velocity", (num_atoms, 3), "f4", "Angstrom fs-1"),
        Element("edges", f"{group}/box/edges", (3, 3), "f8", "Angstrom"),
        Element("stage", f"{observables}/stage", (), "i4"),
        Element("target_temperature", f"{observables}/target_temperature", (), "f8", "K"),
        Element("potential_energy", f"{observables}/potential_energy", (), "f8", "eV"),
        Element("center_of_mass", f"{observables}/center_of_mass", (3,), "f8", "Angstrom"),
    ]


def stored_groups(file: h5py.File) -> list[str]:
    """Names of the groups of particles in a file."""
    return [name for name in (ALL, OFTEN) if f"particles/{name}" in file]


def stored_elements(file: h5py.File, particles: str) -> dict[str, str]:
    """Paths of the elements that a group of a file has, by name."""
    return {each.name: each.path for each in elements(particles, 0) if each.path in file}


def growing_datasets(file: h5py.File, particles: str) -> dict[str, str]:
    """Paths of all that grows by one entry a frame, by name; `step` last."""
    position = f"particles/{particles}/position"
    values = {name: f"{path}/value" for name, path in stored_elements(file, particles).items()}
    return values | {"time": f"{position}/time", "step": f"{position}/step"}


def count_frames(file: h5py.File, particles: str) -> int:
    """Number of complete frames of a group."""
    *names, step = growing_datasets(file, particles).values()
    steps = file[step][:]
    written = np.flatnonzero(steps == NEVER_WRITTEN["step"])
    return min(*(file[name].shape[0] for name in names), int(written[0]) if len(written) else len(steps))


class FrameAppender:
    """Appends frames to a group of an open file."""

    def __init__(self, file: h5py.File, particles: str) -> None:
        """Find the datasets of a group: to look them up for each frame would take longer than to write it."""
        self._file = file
        self._datasets = {name: file[path] for name, path in growing_datasets(file, particles).items()}
        self._step = self._datasets.pop("step")

    def append(self, values: Mapping[str, Any]) -> None:
        """Write one frame, the step once all else is on file: it says that a frame is whole.

        Args:
            values: What the frame holds, by the names of `growing_datasets`.
        """
        index = self._step.shape[0]
        for name, dataset in self._datasets.items():
            dataset.resize(index + 1, axis=0)
            dataset[index] = values[name]
        self._step.resize(index + 1, axis=0)
        self._file.flush()
        self._step[index] = values["step"]
        self._file.flush()


def _create_elements(file: h5py.File, wanted: Sequence[Element]) -> None:
    """Make the empty datasets that grow with each frame."""
    first, *others = (each.path for each in wanted)
    for each in wanted:
        options: dict[str, Any] = {"chunks": (_SCALARS_PER_CHUNK, *each.shape)}
        if each.name == "edges":
            options = {"chunks": (_CELLS_PER_CHUNK, *each.shape)}
        elif len(each.shape) == 2:
            # one chunk a frame: a flushed frame is never rewritten; compressed also for the check of what is
            # read: a chunk that was lost cannot be read as zeros
            options = {
                "chunks": (1, *each.shape),
                "compression": "gzip",
                "compression_opts": 1,
                "shuffle": True,
            }
        options |= {"maxshape": (None, *each.shape), "fillvalue": NEVER_WRITTEN.get(each.name)}
        value = file.create_dataset(f"{each.path}/value", (0, *each.shape), each.kind, **options)
        if each.unit:
            value.attrs["unit"] = each.unit
    scalar = {"shape": (0,), "maxshape": (None,), "chunks": (_SCALARS_PER_CHUNK,)}
    time = file.create_dataset(f"{first}/time", dtype="f8", **scalar)
    time.attrs["unit"] = "ps"
    file.create_dataset(f"{first}/step", dtype="i8", fillvalue=NEVER_WRITTEN["step"], **scalar)
    for path in others:  # hard links, as H5MD suggests for elements sampled together
        file[f"{path}/step"] = file[f"{first}/step"]
        file[f"{path}/time"] = file[f"{first}/time"]
